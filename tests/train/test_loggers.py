"""Runs in a store that tell W&B and TensorBoard, read back by the formats of their files."""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from oracles.logged import Logged, WandbRun, tensorboard, wandb_file
from train.test_several_processes import toml

from descentlab.errors import ConfigError, Paused, Preempted
from descentlab.runs.identity import Run
from descentlab.runs.records import read_records
from descentlab.runs.store import Store
from descentlab.train.certify import _with_checkpoints
from descentlab.train.loggers.base import Ending, Subject
from descentlab.train.plan import resolver
from descentlab.train.spec import run_spec
from descentlab.train.work import train_in_store
from descentlab.train.world import World

BOTH = ["tensorboard", "wandb"]


@pytest.fixture(scope="module", autouse=True)
def _offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """W&B writes its files and asks for no network; its process ends with this file's tests."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_PROJECT", "WANDB_API_KEY", "WANDB_BASE_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_DATA_DIR", str(home))
        patch.setenv("WANDB_CONFIG_DIR", str(home))
        patch.setenv("WANDB_CACHE_DIR", str(home))
        yield
    if (wandb := sys.modules.get("wandb")) is not None:
        wandb.teardown()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", create=True)


def registered(settings: Mapping[str, Any], store: Store, *loggers: str, **changes: Any) -> Run:
    execution = {**settings["execution"], "loggers": list(loggers)}
    run = resolver()({**settings, **changes, "execution": execution}, "test")
    store.register(run)
    return run


def metrics_of(store: Store, run: Run, attempt: int = 1) -> list[dict[str, Any]]:
    return read_records(store.folder(run.run_id).attempt(attempt).metrics).records


def shown(store: Store, run: Run) -> Logged:
    return tensorboard(store.root / "tensorboard" / run.run_id)


def sent(store: Store, run: Run) -> list[WandbRun]:
    """What each attempt left for W&B, whose process may still be writing after ``finish``."""
    pattern = f"wandb/offline-run-*-{run.run_id}*/run-{run.run_id}.wandb"
    deadline = time.monotonic() + 60
    while True:
        found = [wandb_file(path) for path in sorted(store.root.glob(pattern))]
        if all(each.exit_code is not None for each in found) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def column(records: list[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    return [(each["step"], float(each[name])) for each in records if name in each]


def assert_same_numbers(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> None:
    assert [step for step, _ in found] == [step for step, _ in expected]
    for (_, ours), (_, theirs) in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-7, abs=1e-12, nan_ok=True)  # both keep float32


def test_both_have_every_number_on_record_and_the_run_is_the_same_to_the_bit(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["probes"] = {"every": 3}
    settings["training"]["evaluate_every"] = 2
    silent, telling = (Store(tmp_path / name, create=True) for name in ("silent", "telling"))
    plain, run = registered(settings, silent), registered(settings, telling, *BOTH)
    assert plain.run_id == run.run_id
    train_in_store(silent, plain)
    train_in_store(telling, run, warn=pytest.fail)
    for name in ("metrics.jsonl", "probes.jsonl"):
        paths = [each.folder(run.run_id).attempt(1).path / name for each in (silent, telling)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not (silent.root / "tensorboard").exists()
    assert not (silent.root / "wandb").exists()

    board, (wandb,) = shown(telling, run), sent(telling, run)
    attempt = telling.folder(run.run_id).attempt(1)
    metrics = read_records(attempt.metrics).records
    timing = read_records(attempt.timing).records
    probes = read_records(attempt.probes).records
    for logged in (board, wandb):
        for name in ("loss", "lr", "gradient_norm", "clipped", "validation_loss"):
            assert_same_numbers(logged.column(name), column(metrics, name))
        steps = [each for each in timing if "summary" not in each]
        assert_same_numbers(logged.column("timing/seconds"), column(steps, "seconds"))
        assert_same_numbers(
            logged.column("timing/summary/peak_memory_bytes"),
            column(timing, "peak_memory_bytes"),
        )
        mlp = [each for each in probes if (each["kind"], each["block"]) == ("state", "mlp")]
        assert mlp
        assert_same_numbers(logged.column("probes/state/mlp/snr_median"), column(mlp, "snr_median"))
    assert board.texts["ending"] == "ok"
    assert '"method": "adam"' in board.texts["settings"]
    assert (wandb.run_id, wandb.project, wandb.exit_code) == (run.run_id, "descentlab", 0)
    assert wandb.config["optimizer"]["lr"] == 0.01
    assert wandb.summary["outcome"] == "ok"


def test_a_resumed_run_goes_on_where_it_was_without_doubled_steps(
    settings: dict[str, Any], store: Store
) -> None:
    """The second attempt begins two steps before the first one's end."""
    settings["execution"]["checkpoint_every"] = 2
    run = registered(settings, store, *BOTH)

    def failing(step: int, steps: int, loss: float) -> None:
        if step == 4:
            raise RuntimeError("planted")

    with pytest.raises(RuntimeError):
        train_in_store(store, run, failing)
    assert [step for step, _ in shown(store, run).column("loss")] == [1, 2, 3, 4]
    assert shown(store, run).texts["ending"] == "failed: RuntimeError: planted"
    first = sent(store, run)[0]
    assert (first.exit_code, first.summary["outcome"], first.summary["reason"]) == (
        (1, "failed", "RuntimeError: planted")
    )

    train_in_store(store, run, warn=pytest.fail)
    metrics = metrics_of(store, run, attempt=2)
    assert_same_numbers(shown(store, run).column("loss"), column(metrics, "loss"))
    assert shown(store, run).texts["ending"] == "ok"
    losses = [row for each in sent(store, run) for row in each.column("loss")]
    assert len(sent(store, run)) == 2
    assert_same_numbers(losses, column(metrics, "loss"))


def test_a_run_that_begins_to_tell_when_it_is_resumed_leaves_nothing_out_from_there_on(
    settings: dict[str, Any], store: Store
) -> None:
    with pytest.raises(Paused):
        train_in_store(store, registered(settings, store), pause_at=3)
    run = registered(settings, store, *BOTH)
    train_in_store(store, run, warn=pytest.fail)
    for logged in (shown(store, run), *sent(store, run)):
        assert [step for step, _ in logged.column("loss")] == [4, 5, 6]


def test_divergence_is_passed_on(settings: dict[str, Any], store: Store) -> None:
    settings["optimizer"] = {"method": "sgd", "lr": 1e12, "beta": 0.9, "clip_norm": "none"}
    run = registered(settings, store, *BOTH)
    result = train_in_store(store, run, warn=pytest.fail)
    assert result.outcome == "diverged"
    board, (wandb,) = shown(store, run), sent(store, run)
    assert board.texts["ending"] == f"diverged: {result.reason}"
    assert (wandb.summary["outcome"], wandb.summary["reason"]) == ("diverged", result.reason)
    assert wandb.exit_code == 0
    step, loss = board.column("loss")[-1]
    assert step == result.diverged_at
    assert not math.isfinite(loss) or not math.isfinite(board.column("gradient_norm")[-1][1])


def test_a_signal_is_passed_on_as_an_interruption(settings: dict[str, Any], store: Store) -> None:
    run = registered(settings, store, *BOTH)

    def told_to_stop(step: int, steps: int, loss: float) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Preempted):
        train_in_store(store, run, told_to_stop, warn=pytest.fail)
    (wandb,) = sent(store, run)
    assert shown(store, run).texts["ending"].startswith("interrupted: stopped after step 3 of 6")
    assert (wandb.summary["outcome"], wandb.preempting) == ("interrupted", True)
    assert wandb.exit_code == 1


def test_of_several_processes_only_the_first_logs(
    settings: dict[str, Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process is made of one that agrees with whatever the first says."""
    run = registered(settings, store, *BOTH)
    here = World(rank=1, size=2)
    settled = {"by_first": lambda work: work(), "check": lambda spec: None, "size": 1}
    for name, value in settled.items():
        monkeypatch.setattr(here, name, value)
    train_in_store(store, run, here=here)
    assert not (store.root / "tensorboard").exists()
    assert not (store.root / "wandb").exists()


def test_a_run_that_is_killed_on_purpose_is_shown_to_nobody(
    settings: dict[str, Any], store: Store
) -> None:
    tried = _with_checkpoints(registered(settings, store, *BOTH), steps=6)
    assert run_spec(tried.settings, where="test").execution.loggers == ()


def test_a_logger_that_cannot_write_is_on_record_and_the_run_has_its_result(
    settings: dict[str, Any], store: Store
) -> None:
    run = registered(settings, store, "tensorboard")
    (store.root / "tensorboard").write_text("in the way")
    said: list[str] = []
    result = train_in_store(store, run, warn=said.append)
    assert result.outcome == "ok"
    assert len(said) == 1
    assert said[0].startswith("tensorboard logger: NotADirectoryError")
    assert store.folder(run.run_id).attempt(1).remarks() == said


@pytest.mark.parametrize(("name", "package"), [("wandb", "wandb"), ("tensorboard", "tensorboardX")])
def test_a_missing_extra_is_one_sentence_before_anything_happens(
    settings: dict[str, Any], store: Store, name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "descentlab.train.loggers.names.find_spec",
        lambda each: None if each == package else find(each),
    )
    with pytest.raises(ConfigError) as caught:
        registered(settings, store, name)
    assert str(caught.value) == (
        f"execution.loggers: {name} needs the package {package}; pip install 'descentlab[{name}]'"
    )
    assert caught.value.exit_code == 2
    assert store.run_ids() == []


def test_a_misspelt_logger_is_named(settings: dict[str, Any], store: Store) -> None:
    with pytest.raises(ConfigError, match=r"loggers\[0\].*'wnadb'.*did you mean wandb"):
        registered(settings, store, "wnadb")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}, "CommError"),
        ({"HOME": "{folder}", "NETRC": "{folder}/none"}, "NoKey: no API key; call wandb login"),
    ],
)
def test_without_a_server_or_a_key_the_command_trains_says_so_once_and_ends(
    settings: dict[str, Any], tmp_path: Path, variables: dict[str, str], reason: str
) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(toml(settings))
    code = (
        "import sys\n"
        "from descentlab.cli.main import main\n"
        "from descentlab.train.loggers import wandb\n"
        "wandb.INIT_TIMEOUT = 2.0\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    known = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    given = {name: value.format(folder=tmp_path) for name, value in variables.items()}
    arguments = ["train", str(spec), 'execution.loggers=["wandb"]', "--store", str(tmp_path / "s")]
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**known, **given, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "done, perplexity" in ended.stdout
    assert ended.stderr.count("wandb logger: ") == 1
    assert f"warning: wandb logger: {reason}" in ended.stderr


class FakeWandb(ModuleType):
    """W&B with a server: what ``init`` was asked, and a run that begins where the server says."""

    def __init__(self, starting_step: int, logged_in: bool = True) -> None:
        super().__init__("wandb")
        self.asked: dict[str, Any] = {}
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.calls: list[Any] = []
        self.Run = object
        self.Settings = SimpleNamespace
        self.setup = lambda settings: SimpleNamespace(settings=SimpleNamespace(mode="online"))
        self.login = lambda prompt, verify: logged_in and not prompt
        self._starting_step = starting_step

    def init(self, **asked: Any) -> SimpleNamespace:
        self.asked = asked
        return SimpleNamespace(
            offline=False,
            starting_step=self._starting_step,
            summary={},
            log=lambda row, step: self.rows.append((step, row)),
            mark_preempting=lambda: self.calls.append("preempting"),
            finish=lambda exit_code: self.calls.append(exit_code),
        )


@pytest.fixture
def subject(tmp_path: Path, settings: dict[str, Any]) -> Subject:
    return Subject(
        run_id="0123456789abcdef", settings=settings, root=tmp_path, generation=2, step=2, told=4
    )


def logger_on(fake: FakeWandb, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delitem(sys.modules, "descentlab.train.loggers.wandb", raising=False)
    module = importlib.import_module("descentlab.train.loggers.wandb")
    monkeypatch.delitem(sys.modules, "descentlab.train.loggers.wandb")
    return module.WeightsAndBiases(subject)


def test_online_the_server_says_which_step_is_new_and_an_interruption_is_a_preemption(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandb(starting_step=4)  # it has the rows up to step 3
    logger = logger_on(fake, subject, monkeypatch)
    for step in (3, 4, 5):
        logger.log(step, {"loss": 1.0})
    logger.end(Ending(outcome="interrupted", reason="stopped"))
    assert (fake.asked["id"], fake.asked["resume"]) == (subject.run_id, "allow")
    assert [step for step, _ in fake.rows] == [4, 5]
    assert fake.calls == ["preempting", 1]


def test_without_a_key_it_says_what_to_do_and_never_asks_for_one(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandb(0, logged_in=False)
    with pytest.raises(Exception, match="no API key; call wandb login once"):
        logger_on(fake, subject, monkeypatch)
    assert fake.asked == {}
