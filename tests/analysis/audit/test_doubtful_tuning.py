"""What the audit says of optima: on edges, alone, on few seeds."""

from __future__ import annotations

import math
import tomllib

import pytest
from oracles.audit_faults import (
    PLANTED,
    findings,
    lone_survivor,
    on_an_edge,
    one,
)
from oracles.runs import fair, grid, judged


@pytest.mark.parametrize(
    ("best", "edges", "values"),
    [
        ((4e-3, 0.95), "the highest lr", {"optimizer.lr": [0.008, 0.016]}),
        ((1e-3, 0.95), "the lowest lr", {"optimizer.lr": [0.0005, 0.00025]}),
        ((2e-3, 0.975), "the highest beta", {"optimizer.beta": [0.9875, 0.99375]}),
        ((2e-3, 0.9), "the lowest beta", {"optimizer.beta": [0.8, 0.6]}),
    ],
)
def test_edges_and_what_lies_beyond(best, edges, values):
    rows = [*grid("adam", best=best), *judged("adam", best=best)]
    found = one(rows, "optimum-on-an-edge")
    assert f"has {edges} that was tried" in found.what
    assert tomllib.loads(found.study)["methods"]["adam"]["axes"] == values


def test_nothing_lies_below_a_decay_of_0():
    betas = (0.0, 0.2, 0.6)
    rows = grid("signum", betas=betas, best=(2e-3, 0.0)) + judged("signum", best=(2e-3, 0.0))
    assert findings(rows) == []


def test_what_racing_stopped_was_tried():
    stopped = [
        {**row, "state": "interrupted", "reason": "paused after step 5 of 100, state saved",
         "loss": math.nan, "perplexity": math.nan}
        if row["lr"] == 4e-3 else row
        for row in on_an_edge(fair())
        if row["seed"] == 0 or row["method"] == "signum"
    ]  # fmt: skip
    stopped += judged("adam")
    assert findings(stopped, "optimum-on-an-edge") == []
    found = one(stopped, "no-result")
    assert (found.severity, len(found.runs)) == ("note", 6)
    assert "6 of 24 runs were paused before their end" in found.what
    assert {each.check for each in findings(stopped)} == {"no-result"}


def test_a_lone_survivor_is_told_from_a_supported_optimum():
    found = one(lone_survivor(fair()), "isolated-optimum")
    assert "is the only one of 3 with its learning rate that did not diverge" in found.what
    assert "higher lr diverged, lower beta diverged and higher beta diverged" in found.what
    steep = [
        {**row, "loss": row["loss"] + 0.3}
        if row["method"] == "adam" and row["seed"] == 0 and row["run"] != "adam-0.002-0.95" else row
        for row in fair()
    ]  # fmt: skip
    found = one(steep, "isolated-optimum")
    assert "stands by itself" in found.what
    assert "; 3 other seeds of it gave 22.24" in found.what  # exp of the mean loss, 3.102
    assert math.exp(3.102) == pytest.approx(22.24, abs=0.005)


def test_neighbours_that_racing_stopped_do_not_leave_an_optimum_alone():
    def raced(kept, **end):
        end = {"state": "interrupted", "reason": "paused after step 5 of 100, state saved", **end}
        return [
            {**row, **end, "loss": math.nan, "perplexity": math.nan}
            if row["method"] == "adam" and row["seed"] == 0 and row["run"] not in kept
            else row
            for row in fair()
        ]

    best = "adam-0.002-0.95"
    assert findings(raced([best]), "isolated-optimum") == []
    failed = one(raced([best], state="failed", reason="out of memory"), "isolated-optimum")
    assert "lower lr has no result" in failed.what
    far = [
        {**row, "loss": row["loss"] + 0.3} if row["run"] == "adam-0.004-0.95" else row
        for row in raced([best, "adam-0.004-0.95"])
    ]
    found = one(far, "isolated-optimum")
    assert "higher lr is 38% worse" in found.what
    assert "lower lr has no result" in found.what


def test_single_seeds_name_the_settings_to_run_again():
    found = one(PLANTED["few-seeds"](fair()), "few-seeds")
    assert "2 seeds for adam (1 others had 3 or more)" in found.what
    study = tomllib.loads(found.study)
    assert study["seeds"] == [104, 105, 106]
    optimizer = {"method": "adam", "lr": 0.002, "beta": 0.95, "weight_decay": 0.1, "clip_norm": 1.0}
    assert study["methods"]["adam"]["optimizer"] == optimizer


def test_judged_by_other_seeds_than_those_that_tuned():
    found = one(PLANTED["tuned-on-its-judges"](fair()), "tuned-on-its-judges")
    assert "adam and signum" in found.what
    assert len(found.runs) == 6
