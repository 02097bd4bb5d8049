"""``descent plan``, and what ``descent sweep`` shares with it: from a file to runs."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from descentlab.cli.main import main
from descentlab.cli.study_runs import study_runs
from descentlab.data.prepare import reopen
from descentlab.errors import ConfigError, DataError
from descentlab.runs.identity import Run
from descentlab.runs.store import Result, Store
from descentlab.runs.studies import Studies
from descentlab.sweep.costs import record_bytes
from descentlab.sweep.study_file import read_study
from descentlab.train import pace, work
from descentlab.train.plan import resolver
from descentlab.train.work import train_in_store

ROOT = Path(__file__).parents[2]

STUDY = """
name = "two"
seeds = 2

[run.model]
size = "tiny"

[run.data]
corpus = "corpus.txt"
separator = "\\f"
tokenizer = "byte"
sequence_length = 16
validation_fraction = 0.2

[run.training]
steps = 5
batch_size = 4

[methods.adam]
optimizer = { method = "adam" }

[methods.adam.axes]
"optimizer.lr" = { powers_of_two = [0, 2], times = 1e-3 }
"optimizer.beta" = { halving_one_minus = [0.8, 0.95] }

[methods.sgd]
optimizer = { method = "sgd", beta = 0.9 }

[methods.sgd.axes]
"optimizer.lr" = [0.5, 1]
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One for all: the optimizers' compiled steps lie there too."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _isolated(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESCENTLAB_CACHE", str(cache))
    documents = "\f".join(f"Document {n} says {'abc' * 40}." for n in range(60))
    Path("corpus.txt").write_text(documents)
    Path("study.toml").write_text(STUDY)


def rewrite(old: str, new: str) -> None:
    text = Path("study.toml").read_text()
    assert old in text
    Path("study.toml").write_text(text.replace(old, new))


def make_small() -> None:
    """Leave 3 settings of adam and 2 of sgd, with one seed."""
    rewrite("seeds = 2", "seeds = 1")
    rewrite("powers_of_two = [0, 2]", "powers_of_two = [0, 0]")


def table(output: str) -> dict[str, list[str]]:
    """The cells of a plan's table by method."""
    rows = [line.split("|")[1:-1] for line in output.splitlines() if line.startswith("|")]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows}


def test_a_plan_counts_and_warns_and_writes_nothing_to_the_store(capsys):
    assert main(["plan", "study.toml", "--no-measure", "--store", "nowhere"]) == 0
    shown = capsys.readouterr().out
    assert "two: 22 runs" in shown
    assert table(shown)["adam"] == ["9", "2", "18", "0", "0", "0", "0", "18", "0.0 M"]
    assert table(shown)["sgd"] == ["2", "2", "4", "0", "0", "0", "0", "4", "0.0 M"]
    assert "methods.adam.axes.optimizer.beta  3 values: 0.8, 0.9, 0.95" in shown
    assert "time:     unknown for 22 runs: not timed" in shown
    for weakness in (
        "weak: adam: 2 seeds for each setting",
        "weak: methods are tried at different numbers of settings (adam 9, sgd 2)",
        "weak: methods.sgd.axes.optimizer.lr has 2 values",
        "weak: optimizer.weight_decay differs between methods: 0.1 for adam, 0.0 for sgd",
    ):
        assert weakness in shown
    assert not Path("nowhere").exists()


def test_a_plan_imports_no_torch():
    code = (
        "import sys\nfrom descentlab.cli.main import main\n"
        "assert main(['plan', 'study.toml', '--no-measure']) == 0\n"
        "print({'torch', 'pandas', 'altair'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_plan_knows_what_is_there_and_what_that_took(capsys, monkeypatch):
    make_small()
    assert main(["sweep", "study.toml", "--workers", "0"]) == 0
    assert "methods have different numbers of runs: adam 3, sgd 2" in capsys.readouterr().err
    rewrite("seeds = 1", "seeds = 3")
    monkeypatch.setattr(pace, "time_steps", lambda settings: pytest.fail("timed for nothing"))
    assert main(["plan", "study.toml", "--runs", "--workers", "2"]) == 0
    shown = capsys.readouterr().out
    assert table(shown)["adam"][2:-1] == ["9", "3", "0", "0", "0", "6"]
    assert "note: 10 runs are new to study 'two'; the others stay as they are" in shown
    assert "on 2 workers (5 finished runs in store)" in shown
    listed = [line for line in shown.splitlines() if " seed=" in line]
    assert len(listed) == 15
    assert sum("done, perplexity" in line for line in listed) == 5
    assert sum(line.endswith("pending") for line in listed) == 10


def test_a_plan_takes_no_pace_from_runs_that_were_computed_otherwise(capsys):
    make_small()
    assert main(["sweep", "study.toml", "--workers", "0"]) == 0
    rewrite("seeds = 1", "seeds = 2")
    rewrite("[run.training]", "[run.execution]\nmicro_batch = 1\n\n[run.training]")
    assert main(["plan", "study.toml", "--no-measure"]) == 0
    shown = capsys.readouterr().out
    assert table(shown)["adam"][3] == "3"  # done: how a run is computed is no part of it
    assert "time:     unknown for 5 runs: not timed" in shown


def test_a_plan_tells_states_apart_and_an_optimum_on_an_edge(capsys):
    read = read_study("study.toml")
    asked = study_runs(read, resolver(), where="study.toml")
    store = Store(Path("store"), create=True)
    for point, run in zip(asked.points, asked.of_points, strict=True):
        if point.method == "sgd":
            store.register(run)
            attempt = store.claim(run.run_id)
            attempt.begin({})
            if point.values["optimizer.lr"] == 1:  # the better one, on the axis 0.5, 1
                loss = {"steps": 5, "tokens": 320, "validation_loss": 1.0}
                attempt.finish(Result(outcome="ok", generation=1, **loss))
            elif point.values["seed"] == 0:
                attempt.end("failed", "for a test")
    assert main(["plan", "study.toml", "--no-measure"]) == 0
    shown = capsys.readouterr().out
    # done, running (this process lives), failed
    assert table(shown)["sgd"][3:6] == ["2", "1", "1"]
    assert "has lr=1, the highest" not in shown
    for run in asked.of_points:
        if store.status(run.run_id).state in ("running", "failed"):
            loss = {"steps": 5, "tokens": 320, "validation_loss": 2.0}
            store.folder(run.run_id).attempt(1).finish(Result(outcome="ok", generation=1, **loss))
    assert main(["plan", "study.toml", "--no-measure"]) == 0
    said = "weak: sgd: the best of 2 finished settings has lr=1, the highest of its axis"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lrs", "said"), [("[1e-3, 2e-3, 4e-3]", True), ("[4e-3, 8e-3, 1]", False)]
)
def test_at_the_scale_of_the_paper_its_released_runs_are_known(lrs, said, capsys):
    rewrite('"tiny"', '"160M"')
    rewrite("sequence_length = 16", "sequence_length = 2048\nmax_epochs = 1000000")
    rewrite("steps = 5\nbatch_size = 4", "steps = 6200\nbatch_size = 256")
    rewrite("{ powers_of_two = [0, 2], times = 1e-3 }", lrs)
    assert main(["plan", "study.toml", "--no-measure"]) == 0
    sentence = (
        "weak: adam: the best lr of the paper's released runs is 0.008, on the high edge of "
        "methods.adam.axes.optimizer.lr or beyond it"
    )
    assert (sentence in capsys.readouterr().out) == said


def test_runs_are_timed_with_the_cores_that_a_sweep_would_give_them(capsys, monkeypatch):
    asked: list[Any] = []

    def timed(settings: Any) -> pace.Pace:
        asked.append(settings["execution"]["threads"])
        return pace.Pace(step_seconds=1.0, start_seconds=0.0, peak_memory=10**8, source="a clock")

    monkeypatch.setattr(pace, "time_steps", timed)
    monkeypatch.setattr("descentlab.processes.usable_cores", lambda: 8)
    assert main(["plan", "study.toml", "--cores", "4"]) == 0
    assert set(asked) == {4}
    assert "on 2 workers (a clock)" in capsys.readouterr().out
    assert main(["plan", "study.toml", "--cores", "0"]) == 2
    assert "cores: got 0; give 1 or more" in capsys.readouterr().err


def test_steps_are_timed_where_no_time_is_known(capsys, monkeypatch):
    asked: list[Any] = []

    def timed(settings: Any) -> pace.Pace:
        asked.append(settings["training"]["batch_size"])
        return pace.Pace(step_seconds=60.0, start_seconds=0.0, peak_memory=10**8, source="a clock")

    monkeypatch.setattr(pace, "time_steps", timed)
    rewrite("seeds = 2", 'seeds = 2\naxes = { "training.batch_size" = [4, 8] }')
    assert main(["plan", "study.toml", "--workers", "4"]) == 0
    shown = capsys.readouterr().out
    assert sorted(asked) == [4, 8]
    # A step is a minute; an evaluation, without a backward pass, a third of a minute per batch.
    held_out = resolver()({**read_study("study.toml").settings()[0]}, "test")
    tokens = len(reopen(held_out.data_sha256).validation.tokens)
    minutes = sum(22 * (5 + tokens / (16 * size) / 3) for size in (4, 8)) / 4
    hours, rest = re.findall(r"about (\d+) h (\d+) min on 4 workers", shown)[0]
    assert 60 * int(hours) + int(rest) == pytest.approx(minutes, abs=10)
    assert "on 4 workers (a clock)" in shown
    assert "memory:   100.0 MB a run, 400.0 MB for 4 at once" in shown


def test_records_take_about_what_the_plan_says():
    rewrite("steps = 5", "steps = 25\nevaluate_every = 10")
    make_small()
    assert main(["sweep", "study.toml", "--workers", "0"]) == 0
    store = Store(Path("store"))
    for run in store.runs():
        folder = store.folder(run.run_id).path
        taken = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert record_bytes(run.settings) == pytest.approx(taken, rel=0.15)


def trained_at() -> dict[str, int]:
    """When each run of the store was finished."""
    store = Store(Path("store"))
    return {each: store.folder(each).done.stat().st_mtime_ns for each in store.run_ids()}


def test_added_points_and_seeds_run_alone(capsys):
    make_small()
    assert main(["sweep", "study.toml", "--workers", "0"]) == 0
    first = trained_at()
    rewrite("[0.5, 1]", "[0.5, 1, 2]")
    rewrite("seeds = 1", "seeds = [0, 7]")
    assert main(["sweep", "study.toml", "--workers", "0"]) == 0
    second = trained_at()
    assert len(first) == 5
    assert len(second) == 2 * 6
    assert {run_id: second[run_id] for run_id in first} == first
    assert "12/12 runs, 5 of them from before" in capsys.readouterr().err
    assert sorted(path.name for path in Path("store/studies").iterdir()) == [
        "two+2.json",
        "two.json",
    ]


def test_another_fixed_setting_is_refused_with_its_name_and_changes_nothing(capsys):
    make_small()
    assert main(["sweep", "study.toml", "--workers", "0"]) == 0
    before = trained_at()
    rewrite("steps = 5", "steps = 6")
    assert main(["plan", "study.toml", "--no-measure"]) == 0
    assert "note: descent sweep will refuse this: study 'two'" in capsys.readouterr().out
    assert main(["sweep", "study.toml", "--workers", "0"]) == 2
    assert "run.training.steps was 5, is 6" in capsys.readouterr().err
    assert trained_at() == before


def test_a_study_that_changes_under_a_sweep_changes_nothing(monkeypatch):
    trained: list[str] = []

    def changing(store: Store, run: Run, **options: Any) -> Any:
        trained.append(run.run_id)
        if len(trained) == 2:
            rewrite("steps = 5", "steps = 6")
            rewrite('name = "two"', 'name = "three"')
        if len(trained) == 4:
            Path("study.toml").unlink()
        return train_in_store(store, run, **options)

    monkeypatch.setattr(work, "train_in_store", changing)
    make_small()
    asked = read_study("study.toml")
    assert main(["sweep", "study.toml", "--workers", "0"]) == 0
    store = Store(Path("store"))
    runs = list(store.runs())
    assert len(trained) == len(runs) == len(asked.points()) == 5
    assert {store.status(run.run_id).state for run in runs} == {"done"}
    assert {run.settings["training"]["steps"] for run in runs} == {5}
    (record,) = Studies(store.studies, store.aside).versions("two")
    assert sorted(record["runs"]) == sorted(trained)
    assert record["run"] == asked.run
    assert [path.name for path in store.studies.iterdir()] == ["two.json"]


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("optimizer.beta", "optimizer.btea", 2, "methods.adam.axes.optimizer.btea: unknown "),
        ("optimizer.beta", "optimiser.beta", 2, "did you mean optimizer?"),
        ("[0.5, 1]", "[0.5, -1]", 2, "methods.sgd.axes.optimizer.lr: Expected float > 0.0"),
        ("[0.5, 1]", '[0.5, "x"]', 2, "methods.sgd.axes.optimizer.lr: Expected float, got str"),
        ("[0.5, 1]", "[0.5, nan]", 2, "methods.sgd.axes.optimizer.lr: Expected float"),
        ("[0.5, 1]", "[]", 2, "methods.sgd.axes.optimizer.lr: has no values"),
        ("beta = 0.9", "bta = 0.9", 2, "methods.sgd.optimizer.bta: unknown setting; did you mean"),
        ("steps = 5", "step = 5", 2, "run.training.step: unknown setting; did you mean steps?"),
        ("steps = 5", 'steps = "5"', 2, "run.training.steps: Expected int, got str (given: '5')"),
        ('"sgd"', '"sdg"', 2, "methods.sgd.optimizer.method: no method is called 'sdg'; did you"),
        ('size = "tiny"', 'size = "tinny"', 2, "no size is called 'tinny'; did you mean tiny?"),
        (", beta = 0.9", "", 2, "missing the setting beta (with sgd lr=0.5 seed=0)"),
        ("seeds = 2", "seeds = 200000", 2, "seeds: got 200000"),
        ("steps = 5", "steps = 5000", 3, "take fewer steps or more text"),
        ("corpus.txt", "none.txt", 3, "no such file"),
    ],
)
@pytest.mark.parametrize("command", [["plan"], ["sweep", "--workers", "0"]])
def test_bad_studies_end_in_one_sentence(command, old, new, code, message, capsys):
    rewrite(old, new)
    assert main([*command, "study.toml", "--store", "new"]) == code
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert said.rstrip().splitlines()[-1].startswith("error: ")
    assert code == 3 or "study.toml" in said
    assert not Path("new").exists()


def test_an_unwritable_store_is_exit_code_4_and_a_file_none(capsys):
    Path("file").write_text("not a folder")
    assert main(["sweep", "study.toml", "--store", "file/store"]) == 4
    assert "choose a folder that you may write to" in capsys.readouterr().err
    assert main(["plan", "study.toml", "--no-measure", "--store", "file"]) == 2
    assert "file: not a store" in capsys.readouterr().err


def test_a_wrong_number_of_workers_is_refused(capsys):
    assert main(["plan", "study.toml", "--workers", "0"]) == 2
    assert "workers: got 0; give 1 or more" in capsys.readouterr().err


def tiny(path: Path) -> list[dict[str, Any]]:
    """The settings of a study's runs with a model and a text that take no time."""
    study = read_study(path)
    small = {"size": "tiny"}
    data = {"corpus": "corpus.txt", "separator": "\f", "tokenizer": "byte", "sequence_length": 8}
    settings = [study.settings()[place] for place in (0, -1)]
    return [
        {**each, "model": small, "data": {**data, "max_epochs": 99, "validation_fraction": 0.2}}
        | {"training": {**each["training"], "steps": 2, "batch_size": 2}}
        for each in settings
    ]


@pytest.mark.parametrize(
    "name",
    ["adam-betas.toml", "adam-starts.toml", "batch-size.toml", "two-methods.toml", "study.toml"],
)
def test_the_examples_train_when_they_are_made_tiny(name):
    store = Store(Path("store"), create=True)
    for settings in tiny(ROOT / "examples" / name):
        run = resolver()(settings, name)
        store.register(run)
        assert train_in_store(store, run).outcome == "ok"


PIECES = [
    *('"', "'", "[", "]", "{", "}", "=", ".", ",", "\n", "\\", "#", "-", "1e999", "nan", "inf"),
    *("[[zip]]", "[axes]", "[methods]", "log", "count = 0", "seed", "axes", "true", "\0", "é"),
    *("99999999999999999999", "1979-05-27", "[[]]", "{}", '""', "run.", "lr = lr", "-1"),
]


def mutated(text: str, chance: random.Random) -> str:
    """A few pieces cut out, put in, doubled or moved."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(text))
        end = min(len(text), start + chance.choice([1, 1, 2, 8, 40]))
        piece = chance.choice(["", chance.choice(PIECES), text[start:end] * 2])
        text = text[:start] + piece + text[end if chance.random() < 0.7 else start :] or " "
    return text


def test_a_thousand_malformed_studies_end_in_a_sentence():
    """Or stay studies, as some mutations leave them: never anything but an error of ours."""
    seed = int(os.environ.get("STUDY_SEED", random.randrange(2**32)))
    print(f"STUDY_SEED={seed}")
    chance = random.Random(seed)
    resolve = resolver()
    path = Path("mutated.toml")
    text = STUDY.replace("seeds = 2", "seeds = 1")
    refused = 0
    for number in range(1000):
        path.write_text(mutated(text, chance), encoding="utf-8")
        said = ""
        try:
            study = read_study(path)
            if len(study.points()) <= 20:
                study_runs(study, resolve, where=str(path))
        except ConfigError as error:
            said = str(error)
            refused += 1
        except DataError:
            pass  # another corpus, or too many steps for it
        assert not said or str(path) in said, number
    assert 500 < refused < 1000
