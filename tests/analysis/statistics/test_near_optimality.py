from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from descentlab.analysis.statistics.near_optimality import family_regret, null_regret
from descentlab.errors import ConfigError

INF = math.inf


def test_one_against_one_is_a_difference_of_two_normals():
    for q in (0.025, 0.4, 0.95):
        expected = 0.1 * math.sqrt(2) * stats.norm.ppf(q)
        assert null_regret(q, 1, 1, noise=0.1) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("m", "n"), [(1, 7), (5, 195), (3, 2)])
def test_the_null_is_what_draws_of_noise_give(m, n):
    random = np.random.default_rng(5)
    draws = random.normal(size=(40_000, m)).min(axis=1) - random.normal(size=(40_000, n)).min(
        axis=1
    )
    for q in (0.05, 0.5, 0.95):
        share = np.mean(draws <= null_regret(q, m, n, noise=1.0))
        assert share == pytest.approx(q, abs=0.006), f"seed 5: {share}"


def test_the_p_value_is_the_integral_over_the_others_minimum():
    regret = family_regret([0.5], [0.0, 0.2, 0.9], noise=0.3)

    def beaten(t):  # the others' minimum is at t, the family's at least 0.5 above
        return 3 * stats.norm.pdf(t) * stats.norm.sf(t) ** 2 * stats.norm.sf(t + 0.5 / 0.3)

    assert regret.p_value == pytest.approx(integrate.quad(beaten, -12, 12)[0], abs=1e-8)


def test_the_equal_betas_row_by_row():
    """Perplexity of the released 3B sweep at β₁=0.9: the gap of .114 is luck at σ = 0.1."""
    gap = family_regret([22.114], [22.0, 22.05, 22.2, 22.4, 22.6, 22.7, 23.0], noise=0.1)
    assert gap.value == pytest.approx(0.114)
    assert gap.low == 0
    assert gap.p_value > 0.3


def test_a_family_that_holds_the_best_has_no_regret():
    regret = family_regret([1.0, 3.0], [1.2, 1.4], noise=0.1)
    assert (regret.value, regret.p_value, regret.low) == (0.0, 1.0, 0.0)
    assert regret.high < 0.2


@pytest.mark.parametrize(("m", "n", "better_by"), [(1, 7, 0.0), (1, 7, 2.0), (4, 30, 1.0)])
def test_coverage_and_false_alarms(m, n, better_by):
    random = np.random.default_rng(2)
    family = random.normal(better_by, 1, (300, m))
    others = random.normal(0, 1, (300, n))
    found = [family_regret(a, b, noise=1.0) for a, b in zip(family, others, strict=True)]
    covered = np.mean([each.low <= better_by <= each.high for each in found])
    assert covered >= 0.92, f"seed 2: {covered}"
    if better_by == 0:
        alarms = np.mean([each.p_value < 0.05 for each in found])
        assert 0.02 < alarms < 0.08, f"seed 2: {alarms}"


def test_diverged_settings():
    assert family_regret([INF, 1.0], [1.1, INF], noise=0.1).value == 0
    lost = family_regret([INF, INF], [1.1, 1.2], noise=0.1)
    assert (lost.value, lost.p_value) == (INF, 0)
    alone = family_regret([1.0], [INF], noise=0.1)
    assert (alone.value, alone.p_value) == (0, 1)
    nothing = family_regret([INF], [INF], noise=0.1)
    assert nothing.reason == "every setting diverged"


@pytest.mark.parametrize(
    ("family", "others", "noise"),
    [([], [1.0], 0.1), ([1.0], [], 0.1), ([math.nan], [1.0], 0.1), ([1.0], [1.0], 0.0)],
)
def test_what_cannot_be_judged_is_refused(family, others, noise):
    with pytest.raises(ConfigError, match="allowed are"):
        family_regret(family, others, noise=noise)
