"""From a study's file to its runs, as ``descent plan`` and ``descent sweep`` share it."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from oracles.small_study import STUDY, make_small, rewrite

from descentlab.cli.main import main
from descentlab.cli.study_runs import study_runs
from descentlab.errors import ConfigError, DataError
from descentlab.runs.identity import Run
from descentlab.runs.store import Store
from descentlab.runs.studies import Studies
from descentlab.sweep.study_file import read_study
from descentlab.train import work
from descentlab.train.plan import resolver
from descentlab.train.work import train_in_store

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _study(small_corpus):
    Path("study.toml").write_text(STUDY)


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
    [
        *("adam-betas.toml", "adam-starts.toml", "batch-size.toml", "two-methods.toml"),
        *("study.toml", "slurm_study.toml", "walk_study.toml"),
    ],
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
