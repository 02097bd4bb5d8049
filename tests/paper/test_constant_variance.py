"""The experiment that takes Adam's estimate away, with made-up losses."""

from __future__ import annotations

import math

import pytest
from oracles.made_up_runs import MadeUpRuns

from descentlab.contests.contest import TUNING_SEED
from descentlab.paper.constant_variance import GLOBAL, GRIDS, PER_TENSOR, run
from descentlab.paper.table1 import SCALES

OPTIMUM = {"adam": 0.016, "signum": 0.008, "constant_variance": 0.008}
OFFSET = {"adam": 0.0, "signum": 0.3, "constant_variance": 0.2}
VARIANCES = {"embedding.weight": [1e-6, 3e-6], "head.weight": [4e-6, 4e-6]}


def loss(settings) -> float:
    """A bowl for each method, which ends highest for Signum; seeds move all alike."""
    optimizer = settings["optimizer"]
    method = optimizer["method"]
    beta = optimizer["beta"]
    distance = math.log2(optimizer["lr"] / OPTIMUM[method]) ** 2 + math.log2((1 - beta) / 0.2) ** 2
    if method == "constant_variance":
        best = 0.1 if optimizer.get("relative") else 1e-8
        distance += math.log10(optimizer["variance"] / best) ** 2
    relative = -0.1 if optimizer.get("relative") else 0.0
    return 3 + OFFSET[method] + relative + 0.1 * distance + 1e-3 * (settings["seed"] % 5)


@pytest.fixture
def runs() -> MadeUpRuns:
    return MadeUpRuns(loss, VARIANCES)


@pytest.mark.parametrize("scale", SCALES)
def test_every_method_starts_with_as_many_trials(scale):
    sizes = {math.prod(len(axis) or 1 for axis in grid) for grid in GRIDS[scale].values()}
    assert len(sizes) == 1


def test_the_best_setting_on_every_axis_is_found_with_equal_trials(runs, tmp_path):
    standing = run("laptop", runs.laboratory(tmp_path)).standing
    best = {each.name: each.best for each in standing.contenders}
    assert best == {
        "adam": {"lr": 0.016, "beta": 0.8},
        "signum": {"lr": 0.008, "beta": 0.8},
        GLOBAL: {"lr": 0.008, "beta": 0.8, "variance": 1e-8},
        PER_TENSOR: {"lr": 0.008, "beta": 0.8, "variance": 0.1},
    }
    assert {each.trials for each in standing.contenders} == {48}


def test_tensors_keep_the_proportions_that_adams_best_run_measured(runs, tmp_path):
    report = run("laptop", runs.laboratory(tmp_path))
    measured = next(stage for stage in runs.stages if stage.name == "variance")
    (only,) = measured.runs
    assert only.settings["optimizer"]["lr"] == OPTIMUM["adam"]
    assert only.settings["seed"] == TUNING_SEED
    assert only.settings["probes"]["by"] == "parameter"
    relative = {
        str(each.settings["optimizer"]["relative"])
        for stage in runs.stages
        for each in stage.runs
        if each.settings["optimizer"].get("relative")
    }
    assert relative == {str({"embedding.weight": 2e-6, "head.weight": 4e-6})}
    assert "2e-06 (embedding.weight) to 4e-06 (head.weight)" in report.remarks[0]


def test_verdicts_follow_the_losses(runs, tmp_path):
    verdicts = {each.claim: each for each in run("laptop", runs.laboratory(tmp_path)).findings}
    assert [each.verdict for each in verdicts.values()] == ["holds"] * 5
    share = verdicts["the best constants per tensor close most of the gap from signum to adam"]
    expected = (math.exp(0.3) - math.exp(0.1)) / (math.exp(0.3) - 1)
    assert share.estimate.value == pytest.approx(expected)


def test_only_the_optimizer_and_the_seed_differ(runs, tmp_path):
    run("laptop", runs.laboratory(tmp_path))
    rest = [
        {name: table for name, table in each.settings.items() if name not in ("optimizer", "seed")}
        for stage in runs.stages
        if stage.name != "variance"
        for each in stage.runs
    ]
    assert all(each == rest[0] for each in rest)
