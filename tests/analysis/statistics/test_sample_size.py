from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from descentlab.analysis.statistics.equivalence import one_sample_equivalence
from descentlab.analysis.statistics.sample_size import (
    equivalence_power,
    more_seeds,
    paired_power,
    seeds_needed,
)
from descentlab.errors import ConfigError


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_published_sample_sizes_of_the_paired_t_test(effect, n):
    """Two-sided 5%, power 0.8: G*Power's dz table (Faul et al. 2007)."""
    assert seeds_needed(effect, 1.0) == n
    assert paired_power(n - 1, effect, 1.0) < 0.8 <= paired_power(n, effect, 1.0)


@pytest.mark.parametrize(("n", "effect"), [(3, 2.0), (8, 1.0), (30, 0.3)])
def test_the_power_is_how_often_the_t_test_finds_it(n, effect):
    samples = np.random.default_rng(1).normal(effect, 1, (20_000, n))
    _, p_values = stats.ttest_1samp(samples, 0, axis=1)
    found = np.mean(np.array(p_values) < 0.05)
    assert paired_power(n, effect, 1.0) == pytest.approx(found, abs=0.01), "seed 1"


@pytest.mark.parametrize(
    ("n", "effect", "margin"), [(5, 0.0, 2.0), (12, 0.2, 1.0), (40, -0.1, 0.5)]
)
def test_the_power_of_equivalence_is_the_integral(n, effect, margin):
    critical, root = stats.t.ppf(0.95, n - 1), math.sqrt(n)

    def within(q):
        u = math.sqrt(stats.chi2.ppf(q, n - 1) / (n - 1))
        high = stats.norm.cdf((margin - effect) * root - critical * u)
        return max(0.0, high - stats.norm.cdf((-margin - effect) * root + critical * u))

    exact = integrate.quad(within, 0, 1, limit=200)[0]
    assert equivalence_power(n, margin, 1.0, effect=effect) == pytest.approx(exact, abs=1e-4)


def test_the_power_of_equivalence_is_how_often_tost_finds_it():
    samples = np.random.default_rng(2).normal(0.2, 1, (1500, 12))
    found = np.mean([one_sample_equivalence(each, 1.0).p_value < 0.05 for each in samples])
    assert equivalence_power(12, 1.0, 1.0, effect=0.2) == pytest.approx(found, abs=0.035), "seed 2"


def test_not_worse_than_needs_fewer_seeds_than_equivalence():
    """The one-sided t-test's n for d = 0.5, power 0.8, is 27 (G*Power)."""
    assert seeds_needed(0.0, 1.0, margin=(-math.inf, 0.5)) == 27
    assert seeds_needed(0.0, 1.0, margin=0.5) > 27


def test_how_many_more():
    seen = np.array([-0.5, -1.5, -1.0]) * 0.01
    more = more_seeds(seen, power=0.8)
    assert more.value == seeds_needed(2.0, 1.0) - 3
    assert more.low <= more.value < more.high
    sd = 0.005 * math.sqrt(2 / stats.chi2.ppf(0.025, 2))
    assert more.high == seeds_needed(0.01, sd) - 3
    assert more_seeds(np.tile(seen, 10)).value == 0
    assert more_seeds(seen, effect=0.001).value > 100


def test_when_no_number_of_seeds_is_enough():
    assert seeds_needed(0.0, 1.0) == math.inf
    assert seeds_needed(0.5, 1.0, margin=0.5) == math.inf
    outside = more_seeds([0.4, 0.5, 0.6], margin=0.3)
    assert (outside.value, outside.reason) == (math.inf, "no number of seeds settles it")


def test_no_spread_needs_no_more_than_two():
    assert seeds_needed(0.1, 0.0) == 2
    assert seeds_needed(0.1, 0.0, margin=0.2) == 2
    assert more_seeds([0.1, 0.1]).value == 0


def test_what_has_no_spread_gives_no_number():
    assert more_seeds([0.1]).reason == "1 seed has no spread"
    assert more_seeds([0.1, math.inf]).reason == "a seed with a diverged run has no mean"


@pytest.mark.parametrize(("power", "sd"), [(1.0, 1.0), (0.0, 1.0), (0.8, -1.0), (0.8, math.nan)])
def test_impossible_powers_are_refused(power, sd):
    with pytest.raises(ConfigError, match="allowed are power in"):
        seeds_needed(0.5, sd, power=power)
