"""Which runs of a study race with each other."""

from __future__ import annotations

import json

import pytest
from oracles.paused_runs import STEPS, TARGET, loss_of

from descentlab.errors import ConfigError
from descentlab.runs.identity import make_run
from descentlab.runs.store import Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.study import study_from
from descentlab.sweep.study_race import StudyRace

STUDY = {
    "name": "test",
    "run": {},
    "seeds": [1, 2],
    "axes": {"optimizer.lr": [0.5, 1.0, 2.0], "training.batch_size": [8, 16]},
    "methods": {
        "adam": {
            "optimizer": {"method": "adam"},
            "axes": {"optimizer.beta": [0.8, 0.9, 0.95]},
        },
        "sgd": {
            "optimizer": {"method": "sgd"},
            "axes": {"optimizer.beta": [0.9, 0.95]},
        },
    },
}


def run_of(point):
    """A run whose loss is a formula of its learning rate and decay."""
    values = point.values
    settings = {
        "lr": values["optimizer.lr"],
        "beta": values["optimizer.beta"],
        "behaviour": "ok",
        "optimizer": {"method": point.method},
        "training": {"steps": STEPS, "batch_size": values["training.batch_size"]},
        "data": {"sequence_length": 16},
    }
    identity = {"method": point.method, **values}
    return make_run(identity=identity, settings=settings, data_sha256="0" * 64)


def test_only_runs_that_differ_in_numbers_of_the_optimizer_race(tmp_path):
    points = study_from(STUDY, where="test").points()
    runs = [run_of(point) for point in points]
    races = StudyRace(points, runs, "racing")
    store = Store(tmp_path / "store", create=True)
    Sweep(
        runs=runs,
        labels={},
        store=store,
        executor=InlineExecutor(),
        target=TARGET,
        observe=lambda progress: None,
        steps_of=lambda run: STEPS,
        agenda=races.agenda(store),
    ).drive()
    found = races.found()
    assert len(found) == 2 * 2 * 2  # method, batch size, seed
    for each in found:
        assert each.winner is not None
        winner = races.runs[each.winner]
        assert (winner.settings["lr"], winner.settings["beta"]) == (1.0, 0.9)
        assert winner.settings["optimizer"]["method"] == each.race.split()[0]
        assert loss_of(winner, STEPS) == 3.0
        assert 0 < each.cost <= 1
    assert {each.race for each in found} == {
        f"{method} training.batch_size={size} seed={seed}"
        for method in ("adam", "sgd")
        for size in (8, 16)
        for seed in (1, 2)
    }
    record = json.loads(races.record())
    assert set(record["decisions"]) == {each.race for each in found}
    decided = [one for made in record["decisions"].values() for one in made]
    assert {one["verdict"] for one in decided} >= {"kept", "paused"}
    assert all({"cell", "fraction", "rule"} <= one.keys() for one in decided)


def test_a_scheduler_that_is_not_there_is_refused():
    points = study_from(STUDY, where="test").points()
    with pytest.raises(ConfigError, match="did you mean racing"):
        StudyRace(points, [run_of(point) for point in points], "racng")
