"""A study's own racing: what ``descent sweep`` and ``descent plan`` make of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from descentlab.cli.main import main
from descentlab.cli.study_runs import study_runs
from descentlab.runs.store import Store
from descentlab.sweep.racing.choice import SCHEDULERS
from descentlab.sweep.racing.names import Name
from descentlab.sweep.study_file import read_study
from descentlab.train.plan import resolver

STUDY = """
name = "raced"
seeds = [4, 2]
racing = "successive-halving"

[run]
model = { size = "tiny" }
optimizer = { method = "adam" }
training = { steps = 9, batch_size = 4 }

[run.data]
corpus = "corpus.txt"
separator = "\\f"
tokenizer = "byte"
sequence_length = 16
validation_fraction = 0.2

[axes]
"optimizer.lr" = { powers_of_two = [0, 2], times = 1e-3 }
"optimizer.beta" = [0.6, 0.8, 0.9]
"""


@pytest.fixture(autouse=True)
def _study(small_corpus):
    Path("study.toml").write_text(STUDY)


def seeds_done(store: Store) -> list[int]:
    """The seed of every run that has its result."""
    return sorted(
        run.identity["seed"] for run in store.runs() if store.folder(run.run_id).done.exists()
    )


def run_ids(text: str) -> list[str]:
    Path("study.toml").write_text(text)
    return list(study_runs(read_study("study.toml"), resolver(), where="study").runs)


def test_a_sweep_races_as_its_study_says_and_the_command_line_overrides(capsys):
    assert main(["sweep", "study.toml", "--workers", "0"]) == 0
    shown = capsys.readouterr().out
    store = Store(Path("store"))
    (race,) = (store.root / "races").glob("raced-*.json")
    record = json.loads(race.read_bytes())
    assert record["scheduler"] == "successive-halving"
    (found,) = record["found"]
    # Of nine cells three pass the first rung at a ninth, of them one the second; it runs with 2.
    assert seeds_done(store) == [2, 4]
    assert found["cost"] == pytest.approx((6 / 9 + 2 * 3 / 9 + 2) / 18)
    assert re.search(r"best is lr=\S+ beta=\S+, perplexity [\d.]+ over 2 seeds, for 19% of", shown)
    assert json.loads((store.studies / "raced.json").read_bytes())["racing"] == record["scheduler"]

    assert main(["sweep", "study.toml", "--workers", "0", "--racing", "none"]) == 0
    assert seeds_done(store) == [2] * 9 + [4] * 9
    assert not (store.studies / "raced+2.json").exists()  # the study is the same


def test_racing_is_no_part_of_a_runs_identity():
    assert run_ids(STUDY) == run_ids(STUDY.replace('racing = "successive-halving"\n', ""))


def test_a_plan_says_what_racing_may_take_and_that_it_does_not_know(capsys):
    plan = ["plan", "study.toml", "--no-measure"]
    assert main(plan) == 0
    shown = capsys.readouterr().out
    (line,) = [each for each in shown.splitlines() if each.startswith("racing:")]
    # Successive halving costs the same whatever the losses, as long as none diverges.
    assert line.startswith("racing:   successive-halving took 19% of the whole study's")
    assert "what it takes of yours depends on them" in line
    assert "to train: 18 runs" in shown
    assert main([*plan, "--racing", "none"]) == 0
    assert "racing:" not in capsys.readouterr().out


def test_a_study_that_is_raced_otherwise_has_no_new_runs(capsys):
    assert main(["sweep", "study.toml", "--register-only"]) == 0
    assert "descent sweep races them" in capsys.readouterr().err
    Path("study.toml").write_text(STUDY.replace("successive-halving", "asha"))
    assert main(["plan", "study.toml", "--no-measure"]) == 0
    assert "are new to study" not in capsys.readouterr().out
    assert main(["sweep", "study.toml", "--register-only"]) == 0
    studies = Store(Path("store")).studies
    assert json.loads((studies / "raced+2.json").read_bytes())["racing"] == "asha"


def test_an_unknown_racing_is_refused_with_the_nearest_name(capsys):
    Path("study.toml").write_text(STUDY.replace("successive-halving", "sucessive-halving"))
    assert main(["sweep", "study.toml"]) == 2
    said = capsys.readouterr().err
    assert "study.toml: racing:" in said
    assert "did you mean successive-halving?" in said
    assert "Traceback" not in said


def test_a_study_in_python_names_its_racing_too():
    Path("study.py").write_text(
        "from descentlab.sweep.study import Study\n"
        "study = Study(name='p', run={'optimizer': {'method': 'adam'}}, racing='median')\n"
    )
    assert read_study("study.py").racing == "median"


def test_the_names_are_those_of_the_schedulers():
    assert set(get_args(Name)) == set(SCHEDULERS)
