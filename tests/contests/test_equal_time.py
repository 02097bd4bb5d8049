"""Steps that fit into the time of the fastest, by arithmetic; and timed once only."""

from __future__ import annotations

import math

import pytest
from oracles.made_up_runs import MadeUpRuns

from descentlab.contests.contest import Contest, Design, Entry
from descentlab.contests.equal_time import at_equal_time
from descentlab.paper.table1 import SCALES
from descentlab.sweep.tuning import Decays, Geometric

STEPS = SCALES["tiny"].run["training"]["steps"]


def made_up_loss(settings):
    optimizer = settings["optimizer"]
    loss = 3 + math.log2(optimizer["lr"] / 0.2) ** 2 + (optimizer["beta"] - 0.8) ** 2
    return loss + 0.5 * (STEPS / settings["training"]["steps"] - 1)


def test_the_slower_gets_as_many_steps_as_its_time_allows(tmp_path, monkeypatch):
    axes = (Geometric("lr", [0.1, 0.2, 0.4]), Decays("beta", [0.6, 0.8, 0.9]))
    entries = {name: Entry(optimizer={"method": name}, axes=axes) for name in ("adam", "signum")}
    design = Design(name="timed", run=SCALES["tiny"].run, entries=entries)
    runs = MadeUpRuns(made_up_loss)
    laboratory = runs.laboratory(tmp_path, print, 2)
    standing = Contest(design, laboratory).run()
    # A gradient takes 2 ms at best; adam had company on the machine.
    took = {standing.winners["adam"][0]: 9e-3, standing.winners["signum"][0]: 3e-3}
    monkeypatch.setattr(
        "descentlab.contests.equal_time.step_seconds", lambda store, run_ids: took[run_ids[0]]
    )
    paces = at_equal_time(design, standing, {"adam": 4e-3, "signum": 1e-3}, laboratory)
    assert {name: each.seconds for name, each in paces.items()} == pytest.approx(
        {"adam": 6e-3, "signum": 3e-3}
    )
    assert {name: each.steps for name, each in paces.items()} == {
        "adam": STEPS // 2,
        "signum": STEPS,
    }
    assert paces["adam"].losses == pytest.approx([3.5, 3.5])
    assert paces["signum"].losses == pytest.approx([3.0, 3.0])
    again = at_equal_time(design, standing, {"adam": 1.0, "signum": 1e-3}, laboratory)
    assert again == paces


def test_equal_times_train_nothing(tmp_path, monkeypatch):
    axes = (Geometric("lr", [0.1, 0.2, 0.4]), Decays("beta", [0.6, 0.8, 0.9]))
    entries = {name: Entry(optimizer={"method": name}, axes=axes) for name in ("adam", "signum")}
    design = Design(name="timed", run=SCALES["tiny"].run, entries=entries)
    runs = MadeUpRuns(made_up_loss)
    laboratory = runs.laboratory(tmp_path, print, 2)
    standing = Contest(design, laboratory).run()
    monkeypatch.setattr("descentlab.contests.equal_time.step_seconds", lambda store, run_ids: 1.0)
    stages = len(runs.stages)
    paces = at_equal_time(design, standing, {"adam": 1.01e-3, "signum": 1e-3}, laboratory)
    assert {each.steps for each in paces.values()} == {STEPS}
    assert len(runs.stages) == stages
