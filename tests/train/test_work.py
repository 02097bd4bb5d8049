"""A run in a store: trained once, stopped between steps, and explained when it fails."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from msgspec.structs import replace

from descentlab.errors import BusyError, DataError, Interrupted, Paused, StorageError
from descentlab.runs.identity import Run
from descentlab.runs.records import read_records
from descentlab.runs.store import Store
from descentlab.train.computation import Computation, computation
from descentlab.train.plan import resolver
from descentlab.train.resuming import beginning
from descentlab.train.spec import RunSpec, run_spec
from descentlab.train.work import train_in_store, work

Make = Callable[..., RunSpec]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", create=True)


@pytest.fixture
def registered(settings: dict[str, Any], store: Store) -> Run:
    run = resolver()(settings, "test")
    store.register(run)
    return run


def step_records(store: Store, run: Run, attempt: int = 1) -> list[dict[str, Any]]:
    records = read_records(store.folder(run.run_id).attempt(attempt).metrics).records
    return [each for each in records if "loss" in each]


def raiser(error: BaseException, at: int = 2) -> Callable[[int, int, float], None]:
    def progress(step: int, steps: int, loss: float) -> None:
        if step == at:
            raise error

    return progress


def test_result_and_metrics_are_those_of_the_loop(
    store: Store,
    registered: Run,
    tiny: Make,
    run: Callable[[RunSpec], Any],
) -> None:
    seen: list[tuple[int, int, float]] = []
    result = train_in_store(store, registered, lambda *step: seen.append(step))
    direct = run(tiny())
    assert (result.outcome, result.steps, result.tokens) == ("ok", 6, 6 * 5 * 16)
    assert result.validation_loss == direct.outcome.validation_loss
    assert step_records(store, registered) == direct.steps
    assert seen == [(each["step"], 6, each["loss"]) for each in direct.steps]
    done = msgspec.json.decode(store.folder(registered.run_id).done.read_bytes())
    del done["crc"]
    assert done == msgspec.to_builtins(result)


def test_a_finished_run_is_not_trained_again(store: Store, registered: Run) -> None:
    first = train_in_store(store, registered)
    seen: list[int] = []
    again = train_in_store(store, registered, lambda step, steps, loss: seen.append(step))
    assert again == first
    assert seen == []
    assert not store.folder(registered.run_id).attempt(2).path.exists()


def test_a_run_that_another_process_has_is_left_to_it(store: Store, registered: Run) -> None:
    store.claim(registered.run_id)
    with pytest.raises(BusyError, match=registered.run_id):
        train_in_store(store, registered)


def test_environment_is_on_record_before_the_first_step(store: Store, registered: Run) -> None:
    attempt = store.folder(registered.run_id).attempt(1)
    with pytest.raises(RuntimeError):
        train_in_store(store, registered, raiser(RuntimeError("stop"), at=1))
    environment = msgspec.json.decode(attempt.environment.read_bytes())
    assert environment["torch"] == torch.__version__
    assert (environment["device"], environment["threads"]) == ("cpu", 1)
    computed = ("precision", "compiled", "attention", "projection", "loss_chunk", "notices")
    assert [environment[name] for name in computed] == (
        ["float32", False, "sdpa", "torch", 5 * 16, []]
    )


def test_a_resumed_run_names_the_measured_choice_that_it_takes_over(
    store: Store, registered: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter(["onednn", "torch"])  # what "auto" finds, another thing at each attempt

    def attempt(pause_at: int) -> None:
        found = next(measured)

        def chosen(spec: RunSpec, device: torch.device) -> Computation:
            how = computation(spec, device)
            auto = spec.execution.projection == "auto"
            return dataclasses.replace(how, projection=found) if auto else how

        monkeypatch.setattr("descentlab.train.environment.computation", chosen)
        train_in_store(store, registered, pause_at=pause_at)

    with pytest.raises(Paused):
        attempt(pause_at=3)
    attempt(pause_at=0)
    folder = store.folder(registered.run_id)
    environments = [msgspec.json.decode(folder.attempt(n).environment.read_bytes()) for n in (1, 2)]
    assert [each["projection"] for each in environments] == ["onednn", "onednn"]


def test_all_processes_of_a_run_compute_by_what_the_first_measured(
    store: Store, registered: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is handed to the others with where the run begins."""

    def measured(spec: RunSpec, device: torch.device) -> Computation:
        return dataclasses.replace(computation(spec, device), projection="onednn")

    monkeypatch.setattr("descentlab.train.environment.computation", measured)
    spec = run_spec(registered.settings, where="test")
    assert spec.execution.projection == "auto"
    begun = beginning(store.folder(registered.run_id), spec, 2, pytest.fail)
    assert begun.spec.execution.projection == "onednn"
    chosen = replace(spec, execution=replace(spec.execution, projection="torch"))
    begun = beginning(store.folder(registered.run_id), chosen, 2, pytest.fail)
    assert begun.spec == chosen


def test_throughput_and_peak_memory_end_the_timing_of_every_attempt(
    store: Store, registered: Run
) -> None:
    train_in_store(store, registered)
    *steps, summary = read_records(store.folder(registered.run_id).attempt(1).timing).records
    assert [each["step"] for each in steps] == [1, 2, 3, 4, 5, 6]
    assert summary["summary"] is True
    assert summary["step"] == 6
    assert summary["seconds"] == pytest.approx(sum(each["seconds"] for each in steps))
    flops = run_spec(registered.settings, where="test").model.training_flops(16)
    assert summary["flops_per_second"] == pytest.approx(flops * summary["tokens_per_second"])
    assert summary["mfu"] == summary["flops_per_second"] / summary["peak_flops_per_second"]
    assert summary["peak_memory_bytes"] > 100e6  # torch alone takes more


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [
        (signal.SIGTERM, 75),
        (signal.SIGUSR1, 75),
        (signal.SIGUSR2, 75),
        (signal.SIGINT, 130),
    ],
    ids=["TERM", "USR1", "USR2", "INT"],
)
def test_a_signal_stops_the_run_between_two_steps(
    number: signal.Signals, exit_code: int, store: Store, registered: Run
) -> None:
    def handler(number: int, frame: object) -> None: ...

    def progress(step: int, steps: int, loss: float) -> None:
        if step == 3:
            os.kill(os.getpid(), number)

    outside = signal.signal(number, handler)  # not ignored, as INT is in background jobs
    try:
        with pytest.raises(Interrupted) as stopped:
            train_in_store(store, registered, progress)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, outside)
    assert stopped.value.exit_code == exit_code
    assert [each["step"] for each in step_records(store, registered)] == [1, 2, 3]
    assert store.folder(registered.run_id).result() is None
    assert store.status(registered.run_id).state == "interrupted"


def test_a_second_signal_is_not_held_back(store: Store, registered: Run) -> None:
    outside = signal.getsignal(signal.SIGTERM)
    handlers = []

    def progress(step: int, steps: int, loss: float) -> None:
        handlers.append(signal.getsignal(signal.SIGTERM))
        os.kill(os.getpid(), signal.SIGTERM)
        handlers.append(signal.getsignal(signal.SIGTERM))

    with pytest.raises(Interrupted):
        train_in_store(store, registered, progress)
    catching, afterwards = handlers
    assert catching not in (outside, signal.SIG_DFL)
    assert afterwards in (outside, signal.SIG_DFL)


def test_a_stopped_run_goes_on_and_comes_to_the_same_end(
    store: Store, registered: Run, tiny: Make, run: Callable[[RunSpec], Any]
) -> None:
    with pytest.raises(Interrupted):
        train_in_store(store, registered, lambda *step: os.kill(os.getpid(), signal.SIGTERM))
    seen: list[int] = []
    result = train_in_store(store, registered, lambda step, steps, loss: seen.append(step))
    assert result.generation == 2
    assert seen == [2, 3, 4, 5, 6]
    assert step_records(store, registered, attempt=2) == run(tiny()).steps
    assert list(store.folder(registered.run_id).path.rglob("step-*")) == []


def test_signal_handlers_are_put_back_after_a_run(store: Store, registered: Run) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    train_in_store(store, registered)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


@pytest.mark.parametrize(
    ("error", "reason", "passing"),
    [
        (RuntimeError("boom"), "RuntimeError: boom", False),
        (MemoryError("4 TB"), "out of memory", True),
        (RuntimeError("[enforce fail] can't allocate memory: 4 TB"), "out of memory", True),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory", True),
        (DataError("text: unfit"), "text: unfit", False),
        (StorageError("disk full"), "disk full", True),
    ],
    ids=["bug", "memory", "torch's memory", "CUDA's memory", "user", "disk"],
)
def test_failure_leaves_its_reason_its_traceback_and_whether_it_may_pass(
    error: Exception, reason: str, passing: bool, store: Store, registered: Run
) -> None:
    with pytest.raises(type(error)):
        train_in_store(store, registered, raiser(error))
    attempt = store.folder(registered.run_id).attempt(1)
    failure = msgspec.json.decode((attempt.path / "failed.json").read_bytes())
    del failure["crc"]
    assert failure == {"reason": reason, "passing": passing}
    log = attempt.log.read_text()
    assert log.startswith("Traceback")
    assert log.rstrip().endswith(str(error))
    status = store.status(registered.run_id)
    assert (status.state, status.reason) == ("failed", reason)


def test_divergence_is_a_result(store: Store, settings: dict[str, Any]) -> None:
    settings["optimizer"] = {"method": "sgd", "lr": 1e6, "beta": 0.0, "clip_norm": "none"}
    run = resolver()(settings, "test")
    store.register(run)
    result = train_in_store(store, run)
    assert (result.outcome, result.validation_loss) == ("diverged", None)
    assert result.diverged_at == len(step_records(store, run)) == result.steps + 1


def test_lost_tokens_are_made_again(
    store: Store,
    registered: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path / "empty"))
    assert train_in_store(store, registered).outcome == "ok"


@pytest.fixture
def outdated(
    store: Store,
    settings: dict[str, Any],
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """A run whose tokens are lost, and whose text has changed since it was planned."""
    text = shutil.copytree(corpus, tmp_path / "text")
    settings["data"]["corpus"] = str(text)
    run = resolver()(settings, "test")
    store.register(run)
    (text / "00.txt").write_text("Something else entirely.")
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path / "empty"))
    return run


def test_a_corpus_that_changed_since_the_plan_is_refused(store: Store, outdated: Run) -> None:
    with pytest.raises(DataError, match="other tokens today"):
        train_in_store(store, outdated)


def test_work_ends_the_process_with_the_errors_exit_code(store: Store, outdated: Run) -> None:
    with pytest.raises(SystemExit) as ended:
        work(str(store.root), msgspec.json.encode(outdated).decode())
    assert ended.value.code == DataError.exit_code


@pytest.mark.parametrize("pauses", [[3], [1, 2, 3, 4, 5]])
def test_a_run_that_was_paused_ends_with_the_same_bytes(
    store: Store, registered: Run, tmp_path: Path, pauses: list[int]
) -> None:
    for number, step in enumerate(pauses, start=1):
        with pytest.raises(Paused, match=f"after step {step} of 6"):
            train_in_store(store, registered, pause_at=step)
        status = store.status(registered.run_id)
        assert (status.state, status.generation) == ("interrupted", number)
        assert f"after step {step} of 6" in (status.reason or "")
        assert [each["step"] for each in step_records(store, registered, number)] == [
            *range(1, step + 1)
        ]
    result = train_in_store(store, registered, pause_at=6)
    other = Store(tmp_path / "other", create=True)
    other.register(registered)
    undisturbed = train_in_store(other, registered)
    assert result.validation_loss == undisturbed.validation_loss
    last = store.folder(registered.run_id).attempt(len(pauses) + 1)
    whole = other.folder(registered.run_id).attempt(1)
    assert last.metrics.read_bytes() == whole.metrics.read_bytes()


def test_asking_for_less_than_was_trained_pauses_at_once(store: Store, registered: Run) -> None:
    with pytest.raises(Paused):
        train_in_store(store, registered, pause_at=4)
    with pytest.raises(Paused, match="after step 4 of 6"):
        train_in_store(store, registered, pause_at=2)


def test_a_process_that_pauses_a_run_ends_well(store: Store, registered: Run) -> None:
    work(str(store.root), msgspec.json.encode(registered).decode(), "2")
    assert store.status(registered.run_id).state == "interrupted"
