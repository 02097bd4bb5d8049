"""Table 1 as our own experiment puts it into a store, with made-up losses, audited from there."""

from __future__ import annotations

import math

import msgspec
import pytest
from oracles.made_up_runs import MadeUpRuns, result

from descentlab.analysis import load
from descentlab.analysis.audit import audit
from descentlab.analysis.audit.tables import Evidence
from descentlab.contests.contest import Contest
from descentlab.paper import table1

FLOORS = {"adam": 3.0, "signum": 3.1, "rmsprop": 3.2, "emasign": 3.3, "sgd": 3.5}
LRS = {"adam": 0.016, "signum": 0.008, "rmsprop": 0.008, "emasign": 0.032, "sgd": 2.0}


def loss(settings):
    """A bowl around the middle of each grid, a little apart for each method, decay and seed."""
    optimizer = settings["optimizer"]
    method, lr = optimizer["method"], optimizer["lr"]
    found = FLOORS[method] + 0.02 * math.log2(lr / LRS[method]) ** 2 + 1e-4 * settings["seed"]
    found += 0.02 * math.log2((1 - optimizer["beta"]) / 0.4) ** 2
    return (
        found
        + (0.05 if optimizer.get("clip_norm") == "none" else 0.0)
        + (lr + optimizer["beta"]) / 1e4
    )


class Stored(MadeUpRuns):
    """Puts every run into the store, as if it had been trained to its end."""

    def execute(self, stage):
        results = super().execute(stage)
        for run in stage.runs:
            self.store.register(run)
            if self.store.folder(run.run_id).result() is None:
                attempt = self.store.claim(run.run_id)
                attempt.begin({})
                attempt.finish(result(self.loss(run.settings)))
        return results


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    runs = Stored(loss)
    Contest(table1.design("tiny"), runs.laboratory(tmp_path_factory.mktemp("contest"))).run()
    return runs.store


def test_a_contest_is_one_table_with_a_row_for_every_method(held):
    (table,) = Evidence(load(held)).tables
    assert table.name == "table1-tiny"
    assert {*table.methods} == {*table1.METHODS}
    assert {len(each.cells) for each in table.searches} == {
        16
    }  # as many as signum's, extended twice
    assert all(len(each.tuning_seeds) == 1 for each in table.searches)


def test_a_contest_is_fair_but_for_what_the_paper_chose(held):
    found = [(each.severity, each.check) for each in audit(load(held))]
    assert found == [("warning", "changed-between-methods"), ("note", "same-method")]


def test_equal_runs_know_every_part_that_they_play(held):
    runs = load(held)
    parts = {frozenset(each.method for each in own) for own in runs["entries"]}
    assert frozenset({"sgd+Gclip", "sgd+Cclip"}) in parts
    assert {each.experiment for own in runs["entries"] for each in own} == {"table1-tiny"}
    stages = {each.study.split("-")[2] for own in runs["entries"] for each in own}
    assert stages == {"grid", "extension", "refinement", "seeds"}


def test_a_resumption_that_was_not_exact_is_on_record(held):
    (first, *_) = held.run_ids()
    assert load(held)["inexact_since"].isna().all()
    done = held.folder(first).result()
    changed = msgspec.structs.replace(done, inexact_since=7)
    held.folder(first).done.unlink()
    held.folder(first).attempt(1).finish(changed)
    runs = load(held).set_index("run")
    assert runs["inexact_since"].to_dict()[first] == 7
    assert [each.runs for each in audit(load(held)) if each.check == "inexact-resume"] == [(first,)]
