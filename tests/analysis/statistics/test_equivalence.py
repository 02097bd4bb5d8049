from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from descentlab.analysis.statistics.equivalence import (
    one_sample_equivalence,
    paired_equivalence,
    welch_equivalence,
)
from descentlab.errors import ConfigError

INF = math.inf


def p_value(result):
    return result.pvalue


@pytest.mark.parametrize("seed", range(5))
def test_the_p_value_is_the_larger_of_two_t_tests(seed):
    first, second = np.random.default_rng(seed).normal(size=(2, 12))
    test = paired_equivalence(first, second, 0.8)
    above, below = (
        p_value(stats.ttest_1samp(first - second, -0.8, alternative="greater")),
        p_value(stats.ttest_1samp(first - second, 0.8, alternative="less")),
    )
    assert test.p_value == pytest.approx(max(above, below)), f"seed {seed}"
    interval = stats.ttest_rel(first, second).confidence_interval(0.9)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))
    assert test.confidence == pytest.approx(0.9)
    assert (test.p_value < 0.05) == (test.low > -0.8 and test.high < 0.8)


@pytest.mark.parametrize("seed", range(5))
def test_independent_samples_are_compared_as_scipy_does(seed):
    random = np.random.default_rng(seed)
    first, second = random.normal(0, 1, 9), random.normal(0.2, 2, 14)
    test = welch_equivalence(first, second, (-1.5, 2.0))
    above, below = (
        p_value(stats.ttest_ind(first + 1.5, second, equal_var=False, alternative="greater")),
        p_value(stats.ttest_ind(first - 2.0, second, equal_var=False, alternative="less")),
    )
    assert test.p_value == pytest.approx(max(above, below)), f"seed {seed}"
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.9)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))


def test_a_published_number_as_reference():
    values = [21.8, 21.9, 22.0]
    test = one_sample_equivalence(values, 0.3, reference=21.86)
    assert test.value == pytest.approx(0.04)
    reach = stats.t.ppf(0.95, 2) * 0.1 / math.sqrt(3)
    assert (test.low, test.high) == pytest.approx((0.04 - reach, 0.04 + reach))
    assert test.p_value < 0.05


def test_not_worse_than_is_one_test():
    values = np.random.default_rng(0).normal(-5, 1, 10)
    test = one_sample_equivalence(values, (-INF, 0.3))
    assert test.p_value == pytest.approx(
        p_value(stats.ttest_1samp(values, 0.3, alternative="less"))
    )
    assert one_sample_equivalence(values, 0.3).p_value > 0.99


def test_the_error_is_at_most_5_percent_on_the_margin():
    random = np.random.default_rng(11)
    p_values = [
        one_sample_equivalence(each, 1.0).p_value for each in random.normal(1, 0.5, (1000, 8))
    ]
    assert 0.035 < np.mean(np.array(p_values) < 0.05) < 0.065, "seed 11"


def test_no_spread_at_all():
    assert one_sample_equivalence([0.1, 0.1], 0.2).p_value == 0
    assert one_sample_equivalence([0.2, 0.2], 0.2).p_value == 1
    assert welch_equivalence([0.3, 0.3], [0.1, 0.1], 0.1).p_value == 1


def test_diverged_runs_count_as_worst():
    near = [0.01] * 9
    test = paired_equivalence([*near, INF], [0.0] * 10, 0.1)
    assert test.p_value == pytest.approx(11 / 1024), "nine of ten differences below the margin"
    assert test.high == pytest.approx(0.01)
    few = paired_equivalence([0.01, 0.01, INF], [0.0] * 3, 0.1)
    assert (few.p_value, few.high) == (0.5, INF)
    assert few.reason is not None
    both = paired_equivalence([0.01, 0.02, INF], [0.0, 0.0, INF], 0.1)
    assert both.value == pytest.approx(0.01), "two that diverged are a tie"


def test_independent_diverged_runs_are_ranked():
    first, second = [0.01, 0.02, 0.03, 0.04, INF], [0.015, 0.025, 0.035, 0.045, 0.055]
    test = welch_equivalence(first, second, 0.1)
    shifted = [each - 0.1 for each in first]
    assert test.p_value == pytest.approx(
        stats.mannwhitneyu(shifted, second, alternative="less").pvalue
    )
    assert test.p_value > 0.05
    assert test.reason == "1 of 10 runs diverged"


def test_one_seed_gives_no_test():
    test = one_sample_equivalence([0.1], 0.3)
    assert (test.value, test.reason) == (0.1, "1 seed gives no test")
    assert math.isnan(test.p_value)
    assert welch_equivalence([0.1, 0.2], [0.1], 0.3).reason is not None


@pytest.mark.parametrize("margin", [0.0, -1.0, (0.3, 0.3), math.nan])
def test_a_margin_without_room_is_refused(margin):
    with pytest.raises(ConfigError, match="allowed is a positive number"):
        one_sample_equivalence([0.1, 0.2], margin)
