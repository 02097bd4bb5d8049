"""``descent plan``: what it counts, tells and prices."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from oracles.small_study import STUDY, make_small, rewrite

from descentlab.cli.main import main
from descentlab.cli.study_runs import study_runs
from descentlab.data.prepare import reopen
from descentlab.runs.store import Result, Store
from descentlab.sweep.costs import record_bytes
from descentlab.sweep.study_file import read_study
from descentlab.train import pace
from descentlab.train.plan import resolver


@pytest.fixture(autouse=True)
def _study(small_corpus):
    Path("study.toml").write_text(STUDY)


def table(output: str) -> dict[str, list[str]]:
    """The cells of a plan's table by method."""
    rows = [line.split("|")[1:-1] for line in output.splitlines() if line.startswith("|")]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in rows}


def test_a_plan_counts_and_warns_and_writes_nothing_to_the_store(capsys):
    assert main(["plan", "study.toml", "--no-measure", "--store", "nowhere"]) == 0
    shown = capsys.readouterr().out
    assert "two: 22 runs" in shown
    assert table(shown)["adam"] == ["9", "2", "18", "0", "0", "0", "0", "18", "5.76k"]
    assert table(shown)["sgd"] == ["2", "2", "4", "0", "0", "0", "0", "4", "1.28k"]
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


def test_a_wrong_number_of_workers_is_refused(capsys):
    assert main(["plan", "study.toml", "--workers", "0"]) == 2
    assert "workers: got 0; give 1 or more" in capsys.readouterr().err
