from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest

from descentlab.analysis.statistics.tuning_cost import (
    best_weights,
    expected_best,
    probability_better,
    quantile_best,
)
from descentlab.errors import ConfigError

INF = math.inf
LOSSES = [3.1, 2.9, 3.4, 2.9, INF, 3.0]


def bests(losses, k, *, replacement):
    """The minimum of every choice of k trials."""
    chosen = product(losses, repeat=k) if replacement else combinations(losses, k)
    return np.sort([min(each) for each in chosen])


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_mean_and_quantiles_are_those_of_all_choices(k, replacement):
    every = bests(LOSSES, k, replacement=replacement)
    mean = expected_best(LOSSES, k, replacement=replacement)
    assert mean.value == pytest.approx(every.mean())
    for q in (0.1, 0.5, 0.9):
        expected = every[math.ceil(q * len(every) - 1e-9) - 1]
        assert quantile_best(LOSSES, k, q, replacement=replacement).value == expected


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_chance_to_be_ahead_is_that_of_all_pairs_of_choices(k, replacement):
    others = [2.9, 3.05, INF, 3.3]
    ours, theirs = (bests(each, k, replacement=replacement) for each in (LOSSES, others))
    wins = np.mean([(a < b) + (a == b) / 2 for a in ours for b in theirs])
    found = probability_better(LOSSES, others, k, replacement=replacement).value
    assert found == pytest.approx(wins)
    assert probability_better(others, LOSSES, k, replacement=replacement).value == pytest.approx(
        1 - wins
    )


def test_many_trials_do_not_overflow():
    weights = best_weights(5000, 2500)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(0.5)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_of_uniform_losses_the_best_of_k_is_1_over_k_plus_1(k):
    """The middles of n equal parts of [0, 1]: Dodge's estimate tends to the closed form."""
    n = 4000
    losses = (np.arange(n) + 0.5) / n
    assert expected_best(losses, k, replacement=True, resamples=2).value == pytest.approx(
        1 / (k + 1), abs=1e-4
    )


def test_without_replacement_is_unbiased_and_with_it_is_not():
    """Tang et al. 2020: E of the minimum of 5 uniforms is 1/6."""
    random = np.random.default_rng(0)
    samples = random.random((4000, 12))
    weights = {flag: best_weights(12, 5, replacement=flag) for flag in (False, True)}
    means = {flag: (np.sort(samples, axis=1) @ each).mean() for flag, each in weights.items()}
    assert means[False] == pytest.approx(1 / 6, abs=0.004), "seed 0"
    assert means[True] > 1 / 6 + 0.01, "seed 0"


def test_diverged_trials_spoil_the_mean_of_few_but_not_the_median():
    losses = [1.0, 2.0, 3.0, INF]
    assert expected_best(losses, 1).value == INF
    assert expected_best(losses, 2).value == pytest.approx((3 * 1 + 2 * 2 + 1 * 3) / 6)
    assert quantile_best(losses, 1).value == 2.0
    assert quantile_best([1.0, INF, INF, INF], 1).value == INF


def test_two_that_diverge_are_a_tie():
    assert probability_better([INF], [INF], 1).value == 0.5
    assert probability_better([1.0], [INF], 1).value == 1


def coverage(n, k, runs=400, seed=4):
    random = np.random.default_rng(seed)
    found = [
        expected_best(each, k, resamples=400, seed=i)
        for i, each in enumerate(random.random((runs, n)))
    ]
    return np.mean([each.low <= 1 / (k + 1) <= each.high for each in found])


def test_intervals_cover_where_there_are_any():
    for n, k in ((40, 1), (40, 5), (40, 10)):
        share = coverage(n, k)
        assert 0.88 <= share <= 0.99, f"seed 4, k={k}: {share}"


def test_too_few_trials_give_no_interval():
    estimate = expected_best(np.arange(8.0), 4)
    assert math.isnan(estimate.low)
    assert estimate.reason == "8 trials give no interval for the best of 4; it takes 16"


def test_the_chance_to_be_ahead_has_an_interval_over_trials():
    random = np.random.default_rng(9)
    first, second = random.normal(0, 1, 60), random.normal(1.0, 1, 60)
    found = probability_better(first, second, 1)
    truth = 0.760  # Φ(1/√2)
    assert found.low < truth < found.high, "seed 9"
    assert 0.1 < found.high - found.low < 0.25, "seed 9"


@pytest.mark.parametrize(("losses", "k"), [([1.0], 2), ([1.0], 0), ([], 1), ([math.nan], 1)])
def test_what_has_no_best_is_refused(losses, k):
    with pytest.raises(ConfigError, match="allowed"):
        expected_best(losses, k)
