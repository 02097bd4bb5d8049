from __future__ import annotations

import math

import pytest
from oracles.made_up_runs import MadeUpRuns, result

from descentlab.analysis.comparison import Contender
from descentlab.contests.contest import (
    TUNING_SEED,
    Contest,
    Standing,
    Trial,
    judging_seeds,
    loss_of,
)
from descentlab.errors import ConfigError
from descentlab.paper.published import TABLE1
from descentlab.paper.table1 import METHODS, SCALES, design, findings


def held(runs: MadeUpRuns, tmp_path, warn=lambda line: None, seeds=3, scale="laptop") -> Standing:
    return Contest(design(scale), runs.laboratory(tmp_path, warn, seeds)).run()


def bowl(lr_by_method, beta=0.8):
    """A loss with its minimum at a known setting of each method."""

    def loss(settings) -> float:
        optimizer = settings["optimizer"]
        lr = math.log2(optimizer["lr"] / lr_by_method[optimizer["method"]])
        return 3 + 0.1 * lr**2 + math.log2((1 - optimizer["beta"]) / (1 - beta)) ** 2

    return loss


TRIALS = 30
INSIDE = {"adam": 0.016, "signum": 0.008, "rmsprop": 0.008, "emasign": 0.016, "sgd": 2.0}


@pytest.mark.parametrize("scale", SCALES)
def test_every_method_starts_with_as_many_trials(scale):
    sizes = {len(lrs) * len(betas) for lrs, betas in SCALES[scale].grids.values()}
    assert len(sizes) == 1
    assert SCALES[scale].grids.keys() == METHODS.keys() == TABLE1.keys()


@pytest.mark.parametrize("scale", SCALES)
def test_the_methods_differ_in_nothing_but_the_optimizer(scale, tmp_path):
    grids = SCALES[scale].grids
    middle = {METHODS[name]["method"]: lrs[len(lrs) // 2] for name, (lrs, _) in grids.items()}
    laboratory = MadeUpRuns(bowl(middle, beta=grids["adam"][1][2]))
    held(laboratory, tmp_path, scale=scale)
    rest = [
        {key: value for key, value in run.settings.items() if key not in ("optimizer", "seed")}
        for stage in laboratory.stages
        for run in stage.runs
    ]
    assert all(each == rest[0] for each in rest)


def test_tuning_finds_the_optimum_and_winners_run_with_fresh_seeds(tmp_path):
    laboratory = MadeUpRuns(bowl(INSIDE))
    table = held(laboratory, tmp_path)
    for contender in table.contenders:
        method = METHODS[contender.name]["method"]
        assert contender.best == {"lr": INSIDE[method], "beta": 0.8}
    assert [stage.name for stage in laboratory.stages] == ["grid", "seeds"]
    grid, seeds = laboratory.stages
    assert {run.settings["seed"] for run in grid.runs} == {TUNING_SEED}
    assert {run.settings["seed"] for run in seeds.runs} == {101, 102, 103}


def test_clipping_coordinates_after_clipping_the_norm_is_the_same_runs(tmp_path):
    laboratory = MadeUpRuns(bowl(INSIDE))
    table = held(laboratory, tmp_path)
    assert table.contender("sgd+Gclip").same_as == "sgd+Cclip"
    assert table.winners["sgd+Gclip"] == table.winners["sgd+Cclip"]
    grid, seeds = laboratory.stages
    clipped = [each for each in grid.runs if each.settings["optimizer"].get("clip_norm") == 1.0]
    assert sum(each.settings["optimizer"]["method"] == "sgd" for each in clipped) == TRIALS
    assert len(seeds.runs) == 6 * 3


def test_an_optimum_on_an_edge_extends_the_grid_and_all_get_as_many_trials(tmp_path):
    warnings: list[str] = []
    laboratory = MadeUpRuns(bowl({**INSIDE, "signum": 0.128}))
    table = held(laboratory, tmp_path, warnings.append)
    assert table.contender("signum").best["lr"] == 0.128
    assert table.contender("signum").edges == ["high lr"]
    assert {contender.trials for contender in table.contenders} == {TRIALS + 12}
    assert [stage.name for stage in laboratory.stages] == [
        "grid",
        "extension",
        "extension",
        "refinement",
        "seeds",
    ]
    assert all("signum" in line and "high lr" in line for line in warnings)
    assert len(warnings) == 3


def test_diverged_runs_are_counted_and_never_win(tmp_path):
    def loss(settings):
        optimizer = settings["optimizer"]
        breaks = optimizer["method"] == "adam" and optimizer["lr"] > 0.01
        return math.inf if breaks else bowl(INSIDE)(settings)

    adam = held(MadeUpRuns(loss), tmp_path).contender("adam")
    assert adam.best == {"lr": 0.008, "beta": 0.8}
    assert (adam.diverged, adam.trials) == (18, TRIALS)
    assert all(math.isfinite(each) for each in adam.losses)


def test_a_winner_that_diverges_with_a_fresh_seed_has_infinite_perplexity(tmp_path):
    def loss(settings):
        return math.inf if settings["seed"] == 102 else bowl(INSIDE)(settings)

    table = held(MadeUpRuns(loss), tmp_path)
    assert table.contender("adam").mean == math.inf
    assert {finding.verdict for finding in findings(table)} == {"cannot be told"}


def test_the_papers_own_means_reproduce_the_papers_verdicts():
    contenders = [
        Contender(
            name=name,
            best={"lr": 1.0, "beta": 0.9},
            losses=[math.log(number.mean), math.log(number.mean * 1.0001)],
            trials=1,
            diverged=0,
            runs=2,
            edges=[],
        )
        for name, number in TABLE1.items()
    ]
    found = findings(Standing(contenders=contenders, trials=[], winners={}))
    assert [finding.verdict for finding in found] == ["holds"] * 4


def test_a_result_without_a_loss_is_infinite():
    assert loss_of(result(math.inf)) == math.inf
    assert loss_of(result(2.5)) == 2.5


def test_without_seeds_there_is_no_table():
    with pytest.raises(ConfigError, match="seeds: got 0"):
        judging_seeds(0)


def test_every_stage_is_on_record_in_the_store(tmp_path):
    held(MadeUpRuns(bowl(INSIDE)), tmp_path)
    names = sorted(path.name for path in (tmp_path / "store" / "studies").iterdir())
    assert [name.rsplit("-", 1)[0] for name in names] == [
        "table1-laptop-grid",
        "table1-laptop-seeds",
    ]


def test_racing_finds_the_same_winners_at_a_part_of_the_price(tmp_path):
    whole = held(MadeUpRuns(bowl({**INSIDE, "signum": 0.128})), tmp_path / "whole")
    raced = Contest(
        design("laptop"),
        MadeUpRuns(bowl({**INSIDE, "signum": 0.128})).laboratory(tmp_path / "raced", racing=True),
    ).run()
    for one, other in zip(whole.contenders, raced.contenders, strict=True):
        assert (other.name, other.best, other.trials) == (one.name, one.best, one.trials)
        assert other.losses == one.losses
    tried = [each for each in raced.trials if each.seed == TUNING_SEED]
    stopped = [each for each in tried if each.loss is None]
    assert {each.reached for each in tried if each.loss is not None} == {1.0}
    assert all(each.reached < 1 for each in stopped)
    assert sum(each.reached for each in tried) < 0.7 * len(tried)
    assert len(tried) == sum(each.seed == TUNING_SEED for each in whole.trials)


def test_a_run_that_two_methods_share_has_one_result_in_both(tmp_path):
    """Adam with β=0 for both averages and RMSprop with β=0 take the same steps."""

    def loss(settings):
        optimizer = settings["optimizer"]
        if optimizer["beta"] == 0:  # the best of RMSprop, and far from the best of Adam
            return 3.5 + abs(math.log2(optimizer["lr"] / 0.008))
        return bowl(INSIDE)(settings) + (optimizer["method"] == "rmsprop")

    contest = Contest(design("laptop"), MadeUpRuns(loss).laboratory(tmp_path, racing=True))
    trials: dict[str, dict[str, list[Trial]]] = {}
    for each in contest.run().trials:
        if each.seed == TUNING_SEED and each.method in ("adam", "rmsprop"):
            trials.setdefault(each.run_id, {}).setdefault(each.method, []).append(each)
    shared = [each for each in trials.values() if len(each) == 2]
    assert len(shared) == 4  # learning rates that both grids have
    for each in shared:
        (adam,), (rmsprop,) = each["adam"], each["rmsprop"]
        assert adam.loss == rmsprop.loss
    assert any(each["adam"][0].loss is not None for each in shared)
