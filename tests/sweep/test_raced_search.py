"""A raced search extends and evens out as a whole one does, and comes to the same point."""

from __future__ import annotations

import math

import pytest
from oracles.toy_races import ToyRuns

from descentlab.sweep.racing.grid import Cell
from descentlab.sweep.racing.raced_search import RacedSearch
from descentlab.sweep.tuning import Decays, Geometric, Search, shortfalls


def axes():
    return [Geometric("lr", [1.0, 2.0, 4.0, 8.0]), Decays("beta", [0.6, 0.8, 0.9, 0.95])]


def bowl(lr, beta):
    def final(point):
        steps = (math.log2(point["lr"] / lr), math.log2((1 - point["beta"]) / (1 - beta)))
        return 3.0 + 0.02 * sum(step**2 for step in steps)

    return final


def train(search: RacedSearch, final) -> None:
    runs = ToyRuns(final)
    while asked := search.ask():
        for point, until in asked:
            cell = Cell(key=str(point), point=dict(zip(("lr", "beta"), point, strict=True)))
            search.tell(point, runs.report(cell, until))


def tuned(final, method="adam") -> RacedSearch:
    search = RacedSearch(axes(), method=method)
    train(search, final)
    while search.extension():
        train(search, final)
    return search


def whole(final) -> Search:
    search = Search(axes())
    points = search.start()
    while points:
        search.observe(
            {point: final(dict(zip(("lr", "beta"), point, strict=True))) for point in points}
        )
        points = search.extension()
    return search


@pytest.mark.parametrize("method", ["adam", "sgd"])
@pytest.mark.parametrize("lr", [0.25, 1.0, 4.0, 16.0, 1024.0])
@pytest.mark.parametrize("beta", [0.2, 0.8, 0.975])
def test_it_ends_where_whole_runs_do(lr, beta, method):
    final = bowl(lr, beta)
    raced, full = tuned(final, method).search, whole(final)
    assert raced.best == full.best
    assert raced.edges() == full.edges()
    assert raced.extensions == full.extensions
    assert raced.trials == set(full.scores)


def test_it_costs_less_than_half_of_the_whole():
    search = tuned(bowl(4.0, 0.8))
    assert search.race.cost < 0.5
    assert search.search.passed_over


def test_points_that_were_passed_over_are_not_asked_for_again():
    search = tuned(bowl(16.0, 0.8))
    before = set(search.search.trials)
    points = search.refinement(6)
    assert len(points) == 6
    assert not before & set(points)
    train(search, bowl(16.0, 0.8))
    assert len(search.search.trials) == len(before) + 6


def test_trials_are_evened_out_by_what_was_entered():
    one, other = tuned(bowl(4.0, 0.8)), tuned(bowl(64.0, 0.8))
    lacking = shortfalls([one.search, other.search])
    assert lacking == [8, 0]
    one.refinement(lacking[0])
    train(one, bowl(4.0, 0.8))
    assert shortfalls([one.search, other.search]) == [0, 0]


def test_a_finer_point_that_is_better_wins():
    final = bowl(4.0 * math.sqrt(2), 0.8)
    search = tuned(final)
    search.refinement(8)
    train(search, final)
    assert search.search.best == (pytest.approx(5.657, rel=1e-3), 0.8)


def test_where_all_diverge_the_grid_goes_to_lower_rates():
    search = tuned(lambda point: 1.0 if point["lr"] < 0.4 else math.inf)
    assert search.search.best[0] == 0.25
