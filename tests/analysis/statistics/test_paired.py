from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from descentlab.analysis.statistics.paired import mean_interval, median_interval, paired_difference
from descentlab.errors import ConfigError

INF = math.inf


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_is_that_of_the_paired_t_test(seed):
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(2, 6))
    ours = paired_difference(first.tolist(), second.tolist())
    theirs = stats.ttest_rel(first, second)
    interval = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high)), f"seed {seed}"
    assert ours.value == pytest.approx(np.mean(first - second))
    assert ours.p_value == pytest.approx(theirs[1])


def test_with_three_seeds_the_reach_is_4_3_standard_errors():
    estimate = mean_interval([1.0, 2.0, 3.0])
    assert estimate.high - estimate.value == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_one_seed_has_a_mean_but_no_interval():
    estimate = mean_interval([2.5])
    assert estimate.value == 2.5
    assert math.isnan(estimate.low)
    assert estimate.reason == "1 seed gives no interval"


def test_equal_differences_have_no_spread():
    assert mean_interval([0.0, 0.0, 0.0]).p_value == 1
    for n in (3, 60):
        estimate = mean_interval([0.5] * n)
        assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)
        assert estimate.p_value == 0


@pytest.mark.parametrize("seed", range(3))
def test_many_seeds_are_resampled_as_scipy_does(seed):
    values = np.random.default_rng(seed).exponential(size=60)
    ours, theirs = mean_interval(values), stats.bootstrap((values,), np.mean, n_resamples=9999,
                                                          rng=seed)  # fmt: skip
    interval = theirs.confidence_interval
    assert ours.method == "mean with BCa bootstrap interval"
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), rel=0.02)
    assert ours.value - ours.low < ours.high - ours.value, f"seed {seed}: as skewed as the values"


def test_the_p_value_of_many_seeds_is_near_that_of_the_t_test():
    values = np.random.default_rng(3).normal(0.3, 1.0, 60)
    theirs = stats.ttest_1samp(values, 0)[1]
    assert mean_interval(values).p_value == pytest.approx(theirs, abs=0.01)


def test_a_diverged_run_ranks_worst_and_is_counted():
    estimate = paired_difference([1.0, INF, INF], [1.5, 2.0, INF])
    assert estimate.value == 0, "the median of −0.5, ∞ and a tie"
    assert (estimate.low, estimate.high) == (-INF, INF)
    assert estimate.reason is not None
    assert estimate.reason.startswith("1 of 3 seeds with a diverged run; 3 seeds are too few")
    assert estimate.reason.endswith("takes 6")


def test_a_method_that_diverges_is_worse_however_good_its_other_runs_are():
    good, poor = [2.0] * 8, [1.9, INF, INF, INF, INF, INF, INF, INF]
    estimate = paired_difference(poor, good)
    assert estimate.reason is None
    assert (estimate.value, estimate.low, estimate.high) == (INF, pytest.approx(-0.1), INF)
    assert estimate.p_value == pytest.approx(2 * 9 / 256)
    better = paired_difference([1.9] * 9, [2.0] * 8 + [INF])
    assert (better.low, better.high) == pytest.approx((-0.1, -0.1))
    assert better.p_value == pytest.approx(2 / 512)


@pytest.mark.parametrize(("n", "d"), [(6, 1), (9, 2), (12, 3), (20, 6), (25, 8)])
def test_the_order_statistics_are_those_of_published_tables(n, d):
    """d in the tables of the sign test, two-sided 5%: Conover 1999, table A3."""
    estimate = median_interval(np.arange(1.0, n + 1))
    assert (estimate.low, estimate.high) == (d, n + 1 - d)


def test_an_undefined_number_leaves_no_interval():
    estimate = mean_interval([1.0, math.nan, 2.0])
    assert math.isnan(estimate.value)
    assert estimate.reason == "undefined for 1 of 3 seeds"


def test_seeds_must_match():
    with pytest.raises(ConfigError, match=r"shape mismatch.*got \(1,\) and \(2,\)"):
        paired_difference([1.0], [1.0, 2.0])


def test_a_misspelt_interval_is_told():
    with pytest.raises(ConfigError, match="did you mean student"):
        mean_interval([1.0, 2.0], interval="studnt")  # type: ignore[arg-type]


DRAWS = {"normal": lambda random, shape: random.normal(size=shape),
         "skewed": lambda random, shape: random.exponential(size=shape) - 1}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "n", "interval", "least", "most"),
    [
        ("normal", 3, "auto", 0.93, 0.97),
        ("normal", 3, "bootstrap", 0.0, 0.82),
        ("normal", 50, "auto", 0.87, 0.99),
        ("normal", 10, "bootstrap", 0.0, 0.94),
        ("skewed", 10, "auto", 0.87, 0.94),
        ("skewed", 50, "auto", 0.85, 0.99),
        ("skewed", 3, "signs", 1.0, 1.0),
        ("skewed", 8, "signs", 0.97, 1.0),
    ],
)
def test_coverage(kind, n, interval, least, most):
    random = np.random.default_rng(7)
    truth = 0.0 if interval != "signs" else {"skewed": math.log(2) - 1, "normal": 0.0}[kind]
    samples = DRAWS[kind](random, ({3: 800, 50: 100}.get(n, 300), n))
    estimates = [mean_interval(each, interval=interval, seed=i) for i, each in enumerate(samples)]
    share = np.mean([each.low <= truth <= each.high for each in estimates])
    assert least <= share <= most, f"seed 7: {share}"
