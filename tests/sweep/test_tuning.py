from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descentlab.sweep.tuning import (
    MAX_EXTENSIONS,
    Decays,
    Geometric,
    Point,
    Search,
    nearer_zero,
    shortfalls,
)


def bowl(lr: float, beta: float):
    """A loss whose only minimum lies at (lr, beta), round in log lr and log(1−β)."""

    def loss(point: Point) -> float:
        return math.log2(point[0] / lr) ** 2 + math.log2((1 - point[1]) / (1 - beta)) ** 2

    return loss


def tuned(search: Search, loss) -> Search:
    points = search.start()
    while points:
        search.observe({point: loss(point) for point in points})
        points = search.extension()
    return search


def search_over(lrs: list[float], betas: list[float]) -> Search:
    return Search([Geometric("lr", lrs), Decays("beta", betas)])


def new_search() -> Search:
    return search_over([1.0, 2.0, 4.0, 8.0], [0.8, 0.9, 0.95])


def test_an_inner_optimum_needs_no_extension():
    search = tuned(new_search(), bowl(2.0, 0.9))
    assert search.best == (2.0, 0.9)
    assert search.edges() == []
    assert (search.extensions, len(search.scores)) == (0, 12)


def test_the_grid_is_extended_to_an_optimum_one_step_beyond_its_corner():
    search = tuned(new_search(), bowl(16.0, 0.975))
    assert search.best == (16.0, 0.975)
    assert search.axes[0].values == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert search.axes[1].values == [0.8, 0.9, 0.95, 0.975, 0.9875]
    assert search.edges() == []


def test_extension_ends_after_two_and_the_edge_is_still_reported():
    search = tuned(new_search(), bowl(1024.0, 0.9))
    assert search.extensions == MAX_EXTENSIONS == 2
    assert search.best == (32.0, 0.9)
    assert search.edges() == ["high lr"]


def test_low_edges_extend_downwards():
    search = tuned(new_search(), bowl(0.5, 0.6))
    assert search.best == (0.5, 0.6)
    assert search.axes[0].values[0] == 0.25
    assert search.axes[1].values[:2] == [0.2, 0.6]


def test_no_momentum_is_no_edge():
    search = tuned(search_over([1.0, 2.0, 4.0], [0.0, 0.6]), bowl(2.0, 0.0))
    assert search.best == (2.0, 0.0)
    assert search.edges() == []


def test_diverged_trials_rank_worst_and_an_all_diverged_grid_goes_to_lower_rates():
    def only_small_rates_survive(point: Point) -> float:
        return 1.0 if point[0] < 0.4 else math.inf

    search = tuned(new_search(), only_small_rates_survive)
    assert search.best[0] == 0.25
    assert len(search.scores) == sum(map(math.isfinite, search.scores.values())) + 5 * 5


def test_of_equal_scores_the_lower_rate_and_decay_wins():
    search = new_search()
    search.observe(dict.fromkeys(search.start(), 1.0))
    assert search.best == (1.0, 0.8)


@given(
    st.floats(0.05, 200.0),
    st.floats(0.0, 0.999),
    st.floats(0.05, 200.0),
    st.floats(0.0, 0.999),
)
def test_every_search_ends_with_the_same_number_of_distinct_trials(lr1, beta1, lr2, beta2):
    searches = [tuned(new_search(), bowl(lr1, beta1)), tuned(new_search(), bowl(lr2, beta2))]
    for search, count in zip(searches, shortfalls(searches), strict=True):
        points = search.refinement(count)
        assert len(points) == len(set(points)) == count
        assert not set(points) & set(search.scores)
        assert all(lr > 0 and 0 <= beta < 1 for lr, beta in points)
        search.observe(dict.fromkeys(points, 9.0))
    assert shortfalls(searches) == [0, 0]


def test_refinement_takes_the_half_steps_around_the_best():
    search = tuned(new_search(), bowl(2.0, 0.9))
    points = search.refinement(8)
    half = math.sqrt(2)
    decays = {1 - 0.1 * half, 0.9, 1 - 0.1 / half}
    expected = {(lr, beta) for lr in (2 / half, 2.0, 2 * half) for beta in decays} - {(2.0, 0.9)}
    assert sorted(points) == [
        (pytest.approx(lr, rel=1e-3), pytest.approx(beta, rel=1e-9))
        for lr, beta in sorted(expected)
    ]


def test_decays_halve_and_double_their_distance_from_one():
    assert [nearer_zero(0.9, doublings) for doublings in (1, 2, 3, 4)] == [0.8, 0.6, 0.2, 0.0]
    paper_grid = [0.8, 0.9, 0.95, 0.975, 0.9875, 0.99375, 0.996875]
    assert [nearer_zero(0.8, -halvings) for halvings in range(7)] == paper_grid
