"""Racing finds the best cell for a part of the grid's price, and compares like with like."""

from __future__ import annotations

import json
import math
import random

import msgspec
import numpy as np
import pytest
from oracles.toy_races import AXES, BETAS, ToyRuns, bowl, grid, told

from descentlab.errors import ConfigError
from descentlab.sweep.racing.choice import SCHEDULERS, scheduler_named
from descentlab.sweep.racing.curve import WORST, Curve
from descentlab.sweep.racing.full_grid import FullGrid
from descentlab.sweep.racing.grid import Cell, Grid, no_drop_before
from descentlab.sweep.racing.races import races
from descentlab.sweep.racing.racing import Racing, Rules
from descentlab.sweep.racing.scheduler import SEED_SD, Report


def raced(final, *, noise=0.0, seed=0, cells=None, **rules):
    race = Racing(cells or grid(), AXES, rules=Rules(**rules))
    return ToyRuns(final, noise=noise, seed=seed).race(race)


@pytest.mark.parametrize("lr", [0.5, 1.0, 4.0, 8.0])
@pytest.mark.parametrize("beta", [0.6, 0.9, 0.975])
def test_it_finds_the_best_cell_for_a_fifth_of_the_price(lr, beta):
    race = raced(bowl(lr, beta, beta))
    assert race.result().winner == f"{lr:g}/{beta:g}/{beta:g}"
    assert race.cost < 0.2


def test_with_noise_on_every_step_it_loses_little():
    depths = []
    for seed in range(10):
        race = raced(bowl(4.0, 0.9, 0.95), noise=0.1, seed=seed)
        depths.append((race.result().loss or math.inf) - 3.0)
    print("seeds 0 to 9")
    assert np.mean(depths) < 0.01  # the second best cells are 0.02 above the best


def test_early_decisions_compare_one_learning_rate_only():
    race = raced(bowl(), noise=0.05)
    early = [each for each in race.decisions if each.fraction < race.rules.across]
    assert early
    for each in early:
        assert each.rule == "halving"
        assert race.grid.rate(each.cell) == race.grid.rate(each.against or "")


def test_a_high_learning_rate_that_looks_bad_until_late_still_wins():
    """Its course lies above the others' until the end, as under a cosine."""
    race = raced(bowl(8.0))
    assert race.result().winner == "8/0.9/0.9"
    halfway = {
        rate: min(
            race.curve(key).smoothed(0.32, 0.3)
            for key in race.grid.cells
            if race.grid.rate(key) == rate and race.reached(key) >= 0.32
        )
        for rate in (4.0, 8.0)
    }
    assert halfway[8.0] > halfway[4.0]


def test_every_learning_rate_keeps_its_best_half_at_the_first_rung():
    race = raced(bowl(), reach=0.0)
    first = [each for each in race.decisions if each.fraction == race.rules.first]
    for rate in (0.5, 1.0, 2.0, 4.0, 8.0):
        mine = [each for each in first if race.grid.rate(each.cell) == rate]
        kept = [each.score or 0.0 for each in mine if each.verdict == "kept"]
        paused = [each.score or 0.0 for each in mine if each.verdict == "paused"]
        assert len(mine) == 25
        assert 13 <= len(kept) <= 15  # half, and ties
        assert max(kept) <= min(paused)


def test_no_run_of_sgd_is_paused_before_late():
    late = no_drop_before("sgd+Gclip")
    race = raced(bowl(), noise=0.05, cells=grid(no_drop_before=late))
    assert {each.fraction >= late for each in race.decisions} == {True}
    assert all(race.reached(key) >= late for key in race.grid.cells)
    assert race.result().winner == "2/0.9/0.9"


def test_cells_that_may_never_be_dropped_are_all_trained():
    assert raced(bowl(), cells=grid(no_drop_before=1.0)).cost == 1.0


@pytest.mark.parametrize("method", ["sgd", "sgd+Gclip", "sgd+Cclip", "SGD", "clipSGD"])
def test_the_family_of_sgd(method):
    assert no_drop_before(method) == 0.6


def test_what_it_decides_does_not_depend_on_the_order_of_reports():
    runs = ToyRuns(bowl(), noise=0.1)
    one = runs.race(Racing(grid(), AXES))
    shuffled = Racing(grid(), AXES)
    order = random.Random(0)
    while legs := shuffled.ask():
        key, until = order.choice(legs)
        shuffled.tell(key, runs.report(shuffled.grid.cells[key], until))
    assert shuffled.decisions == one.decisions
    assert shuffled.result() == one.result()


def test_nor_on_how_much_further_some_had_come_before():
    """Runs that have their results are judged at a rung by what they were there."""
    runs = ToyRuns(bowl(), noise=0.1)
    whole = Racing(grid(), AXES)
    again = Racing(grid(), AXES)
    for cell in grid()[::3]:
        again.tell(cell.key, runs.report(cell, 1.0))
    runs.race(whole)
    runs.race(again)
    assert [(each.cell, each.fraction) for each in again.decisions if each.rule == "halving"] == [
        (each.cell, each.fraction) for each in whole.decisions if each.rule == "halving"
    ]
    assert again.result().winner == whole.result().winner


@pytest.mark.parametrize("seed", range(8))
def test_a_killed_driver_may_tell_only_where_each_cell_stands(seed):
    """The store holds the last state of a run, not every report about it."""
    runs = ToyRuns(bowl(), noise=0.4, seed=seed)
    whole = runs.race(Racing(grid(), AXES))
    latest = dict(runs.reports)
    again = told(Racing(grid(), AXES), list(latest.items()))
    assert again.ask() == []
    assert again.decisions == whole.decisions


def test_the_poll_finds_what_halving_lost():
    """The best cell looks bad early, its neighbour does not."""

    class LateBloomer(ToyRuns):
        def report(self, cell, until):
            report = super().report(cell, until)
            if cell.key != "2/0.9/0.9":
                return report
            late = np.where(report.curve.fractions < 0.1, 1.0, 0.0)
            curve = Curve(report.curve.fractions, report.curve.losses + late)
            return report._replace(curve=curve)

    def winner(polled):
        race = Racing(grid(), AXES, rules=Rules(polled=polled, reach=0.0))
        return LateBloomer(bowl()).race(race).result().winner

    assert winner(0) != "2/0.9/0.9"
    assert winner(2) == "2/0.9/0.9"


def test_within_noise_is_two_root_two_standard_deviations():
    finals = {"1": 3.0, "2": 3.0 + 2.8 * 0.01, "4": 3.0 + 2.9 * 0.01}
    cells = [Cell(key=key, point={"lr": float(key)}) for key in finals]
    grid = FullGrid(cells, {"lr": "rate"})
    for key, loss in finals.items():
        grid.tell(key, Report(1.0, loss=loss))
    assert grid.result(seed_sd=0.01).within_noise == ["1", "2"]
    assert grid.result(seed_sd=0.0).within_noise == ["1"]
    assert pytest.approx(0.2, abs=0.01) == 2 * SEED_SD * 22  # the paper's 2σ in perplexity


def test_cells_that_never_finished_are_listed_as_such():
    race = raced(bowl())
    result = race.result()
    assert set(result.finished) | set(result.unfinished) == set(race.grid.cells)
    assert set(result.finished).isdisjoint(result.unfinished)
    assert all(0 < reached < 1 for reached in result.unfinished.values())
    assert result.finished == sorted(result.finished, key=race.final)


def test_banded_grids_are_raced_and_polled_where_cells_exist():
    cells = [
        each
        for each in grid()
        if abs(BETAS.index(each.point["beta1"]) - BETAS.index(each.point["beta2"])) <= 1
    ]
    race = raced(bowl(4.0, 0.95, 0.95), cells=cells)
    assert len(cells) < len(grid()) / 1.5
    assert race.result().winner == "4/0.95/0.95"


def test_neighbours_are_eight_with_a_rate_and_two_decays():
    whole = Grid(grid(), AXES)
    assert sorted(whole.neighbours("2/0.9/0.9")) == sorted(
        [
            "1/0.9/0.9",
            "4/0.9/0.9",
            "2/0.8/0.9",
            "2/0.95/0.9",
            "2/0.9/0.8",
            "2/0.9/0.95",
            "2/0.8/0.8",
            "2/0.95/0.95",
        ]
    )
    assert len(whole.neighbours("0.5/0.6/0.6")) == 4


def test_a_spike_counts_as_no_more_than_the_worst():
    curve = Curve(np.array([0.1, 0.2, 0.3, 0.4]), np.array([1.0, 3.0, math.nan, 1e300]))
    assert curve.smoothed(0.2, 0.6) == 2.0
    assert curve.smoothed(0.4, 0.6) == pytest.approx((3.0 + WORST + WORST) / 3)
    assert curve.smoothed(0.05, 0.5) == math.inf
    assert curve.smoothed(0.1, 0.01) == 1.0  # the last point there is, however narrow the window


def test_methods_are_raced_apart_and_under_the_same_rules():
    cells = [
        msgspec.structs.replace(
            each, key=f"{method} {each.key}", point={**each.point, "method": method}
        )
        for method in ("adam", "signum")
        for each in grid()
    ]
    made: list[Racing] = []

    def make(part, axes):
        made.append(Racing(part, axes))
        return made[-1]

    found = races(cells, {**AXES, "method": "category"}, Racing)
    assert list(found) == ["method=adam", "method=signum"]
    finals = {"method=adam": bowl(2.0), "method=signum": bowl(1.0, depth=3.2)}
    for name, race in found.items():
        _, _, method = name.partition("=")
        plain = {f"{method} {each.key}": each for each in grid()}
        runs = ToyRuns(finals[name])
        while legs := race.ask():
            for key, until in legs:
                race.tell(key, runs.report(plain[key], until))
    assert found["method=adam"].result().winner == "adam 2/0.9/0.9"
    assert found["method=signum"].result().winner == "signum 1/0.9/0.9"
    assert {len(each.grid.cells) for each in found.values()} == {125}
    alone = ToyRuns(bowl(2.0)).race(Racing(grid(), AXES))
    assert [each.verdict for each in found["method=adam"].decisions] == [
        each.verdict for each in alone.decisions
    ]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([], "no cells"),
        (grid() + grid()[:1], "given twice"),
        (grid(), "no value for method"),
    ],
)
def test_cells_that_cannot_be_split_are_refused(cells, words):
    axes = dict(AXES)
    if words.startswith("no value"):
        axes["method"] = "category"
    with pytest.raises(ConfigError, match=words):
        races(cells, axes, Racing)


def test_decisions_can_be_written_down():
    runs = ToyRuns(lambda point: math.inf if point["lr"] > 4 else bowl()(point), early=0.02)
    race = runs.race(Racing(grid(), AXES))
    lines = [json.loads(msgspec.json.encode(each)) for each in race.decisions]
    diverged = [each for each in lines if each["rule"] == "diverged"]
    assert {each["verdict"] for each in diverged} == {"dropped"}
    assert all("score" not in each for each in diverged)
    assert len(lines) == len(race.decisions)


@pytest.mark.parametrize(
    ("cells", "axes", "words"),
    [
        ([], AXES, "no cells"),
        (grid() + grid()[:1], AXES, "given twice"),
        ([*grid(), msgspec.structs.replace(grid()[0], key="other")], AXES, "same settings"),
        (grid(), {"lr": "rate"}, "the axes are lr"),
        (grid(), {**AXES, "beta1": "rate"}, "only one may hold learning rates"),
        (grid(), {**AXES, "beta1": "category"}, "no categories"),
        (grid(budget=0.0), AXES, "must be above 0"),
        (grid(no_drop_before=1.5), AXES, "no_drop_before is 1.5"),
        (grid(lrs=(math.nan,)), AXES, "finite number"),
    ],
)
def test_grids_that_cannot_be_are_refused(cells, axes, words):
    with pytest.raises(ConfigError, match=words):
        Racing(cells, axes)


@pytest.mark.parametrize("budget", [0.0, 1.5, -1.0])
def test_budgets_that_are_no_share_are_refused(budget):
    with pytest.raises(ConfigError, match="budget"):
        Racing(grid(), AXES, budget=budget)


def test_an_unknown_scheduler_is_an_error_with_the_names_of_all():
    with pytest.raises(ConfigError, match="did you mean racing") as error:
        scheduler_named("raceing")
    assert all(name in str(error.value) for name in SCHEDULERS)
