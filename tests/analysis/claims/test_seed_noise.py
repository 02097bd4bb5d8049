"""Intervals of single runs under seed noise that others measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from descentlab.analysis.claims.seed_noise import SeedNoise, of_bests, of_runs, pooled
from descentlab.paper.published import TABLE1, TABLE2, TABLE3, seed_noise

SEED = 7


def difference(bests):
    return bests[0] - bests[1]


def test_pooling_is_the_root_of_the_mean_variance():
    noise = pooled([(20.0, 0.2), (20.0, 0.6)], 3, "made up")
    assert noise.sd == pytest.approx(math.sqrt((0.1**2 + 0.3**2) / 2) / 20)
    assert noise.df == 4


def test_the_published_noise_of_adam_is_that_of_its_eight_rows():
    rows = [TABLE1["adam"], *(each for eps, each in TABLE2.items() if eps != 1e-8)]
    rows += [TABLE3["adam ZI−BC"], TABLE3["adam GI−BC"]]
    relative = [each.two_sigma / 2 / each.mean for each in rows]
    noise = seed_noise()["adam"]
    assert noise.sd == pytest.approx(float(np.sqrt(np.mean(np.square(relative)))))
    assert (len(rows), noise.df) == (8, 16)
    assert "8 rows of Tables 1–3" in noise.source
    assert seed_noise()["sgd"].sd == pytest.approx(5.14 / 2 / 53.62)


def test_draws_have_the_spread_of_student():
    noise = SeedNoise(sd=0.01, df=5, source="made up")
    drawn = noise.around([3.0], np.random.default_rng(SEED), 200_000)[:, 0]
    # Student's t with 5 degrees of freedom: 97.5% below 2.571, variance 5/3.
    assert np.quantile(drawn, 0.975) - 3 == pytest.approx(0.02571, rel=0.02)
    assert drawn.var() == pytest.approx(1e-4 * 5 / 3, rel=0.1)


def test_a_diverged_run_stays_diverged():
    noise = SeedNoise(sd=0.01, df=5, source="made up")
    drawn = noise.around([3.0, math.inf], np.random.default_rng(SEED), 10)
    assert np.isinf(drawn[:, 1]).all()
    groups = [([3.0, math.inf], noise), ([3.1], noise)]
    assert math.isfinite(of_bests(difference, groups, n=2, method="best").high)


@pytest.mark.parametrize(("settings", "apart"), [(1, 0.0), (20, 0.0), (20, 1.0), (20, 0.01)])
def test_the_interval_covers_the_true_difference_also_of_the_best_of_many(settings, apart):
    """Many settings to choose from, all equal, or all but one hopeless, or a little apart."""
    stream, sigma, covered = np.random.default_rng(SEED), 0.01, 0
    for trial in range(250):
        measured = sigma * math.sqrt(stream.chisquare(16) / 16)
        noise = SeedNoise(sd=measured, df=16, source="made up")
        many = 3 + apart * np.arange(settings) + sigma * stream.standard_normal(settings)
        one = 3 + sigma * stream.standard_normal(1)
        groups = [(many, noise), (one, noise)]
        estimate = of_bests(difference, groups, n=1, method="d", seed=trial)
        covered += estimate.low <= 0 <= estimate.high
    print(f"seed {SEED}: {covered} of 250")
    assert covered >= 0.92 * 250


def test_p_values_are_two_sided_and_never_zero():
    noise = SeedNoise(sd=0.01, df=1000, source="made up")

    def p_value(gap):
        groups = [([3.0], noise), ([3.0 + gap], noise)]
        return of_bests(difference, groups, n=1, method="d", against=0.0).p_value

    assert 0 < p_value(1.0) < 0.001
    assert p_value(-1.0) == p_value(1.0)
    assert p_value(0.0) > 0.9
    # 1.96 standard deviations of a difference; 4,000 draws tell it to 0.005.
    assert p_value(1.96 * 0.01 * math.sqrt(2)) == pytest.approx(0.05, abs=0.015)


def test_the_method_names_every_source_once():
    one, other = (SeedNoise(sd=0.01, df=4, source=name) for name in ("noise a", "noise b"))
    groups = [([3.0], one), ([3.1], other), ([3.2], one)]
    estimate = of_bests(difference, groups, n=1, method="best")
    assert estimate.method == "best; single runs, with noise a; noise b"


def test_a_count_of_runs_moves_with_their_noise():
    noise = SeedNoise(sd=0.01, df=1000, source="made up")
    losses = np.concatenate([np.full(50, 2.0), np.full(25, 3.0), np.full(25, 4.0)])

    def below(groups):
        return (groups[0] < 3.0).mean(-1)

    estimate = of_runs(below, (losses, noise), n=100, method="share")
    assert estimate.value == 0.5
    # Half of the 25 that lie on the border fall below it: 12.5 ± 1.96 · 2.5 of 100.
    assert estimate.low == pytest.approx(0.576, abs=0.011)
    assert estimate.high == pytest.approx(0.674, abs=0.011)


def test_the_best_of_others_is_a_threshold_that_may_be_lucky():
    noise = SeedNoise(sd=0.01, df=1000, source="made up")
    losses, others = np.linspace(2.9, 3.1, 101), np.full(50, 3.0)

    def below(groups):
        return (groups[0] < groups[1]).mean(-1)

    lucky = of_runs(below, (losses, noise), (others, noise), n=101, method="share")
    sure = of_runs(below, (losses, noise), (others[:1], noise), n=101, method="share")
    assert lucky.value == sure.value == 50 / 101
    assert lucky.low == pytest.approx(sure.low, abs=0.03)
    # The best of 50 equals is 2.25 standard deviations below the truth: 11 of the 101 steps.
    assert lucky.high == pytest.approx(0.5 + 0.11 + 1.3 * 0.05, abs=0.04)
