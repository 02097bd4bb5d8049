from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from descentlab.analysis.statistics.speed_up import share_between_budgets, share_within_curve
from descentlab.errors import ConfigError

INF = math.inf


def power_law(tokens):
    """Perplexity 40·tokens^−0.07, as nats."""
    return math.log(40) - 0.07 * math.log(tokens)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9, 1.2])
def test_on_a_power_law_the_answer_is_exact(share):
    tokens = [1.0e9, 2.0e9, 3.0e9]
    optima = [[power_law(each)] for each in tokens]
    found = share_between_budgets(tokens, optima, [power_law(share * 3e9)], reference=3e9)
    assert found.value == pytest.approx(share)
    assert ("extrapolated" in found.method) == (share * 3 > 3 or share * 3 < 1)
    assert found.reason == "single seeds, and no seed noise was declared"
    shuffled = share_between_budgets(tokens[::-1], optima[::-1], [power_law(share * 3e9)],
                                     reference=3e9)  # fmt: skip
    assert shuffled.value == pytest.approx(share)


@pytest.mark.parametrize("seed", range(5))
def test_between_optima_it_is_where_a_scan_first_meets_the_target(seed):
    random = np.random.default_rng(seed)
    tokens = np.sort(random.uniform(1, 9, 5)) * 1e9
    losses = random.uniform(2, 4, 5)
    target = random.uniform(losses.min() + 0.01, losses[0] - 0.01) if losses.argmin() else None
    if target is None:
        pytest.skip("the smallest budget is the best one")
    at = np.linspace(math.log(tokens[0]), math.log(tokens[-1]), 200_001)
    path = np.interp(at, np.log(tokens), losses)
    first = math.exp(at[np.argmax(path <= target)])
    found = share_between_budgets(tokens.tolist(), [[each] for each in losses], [target],
                                  reference=1e9)  # fmt: skip
    assert found.value == pytest.approx(first / 1e9, rel=1e-4), f"seed {seed}"


def test_more_tokens_that_do_not_help():
    slower = share_between_budgets([1e9, 2e9], [[3.0], [3.1]], [2.9], reference=2e9)
    assert slower.value == INF
    sooner = share_between_budgets([1e9, 2e9], [[3.0], [3.1]], [3.2], reference=2e9)
    assert sooner.value == 0


def test_the_interval_of_declared_noise_is_that_of_the_delta_method():
    """With small noise: sd of log share = σ·√(w₀² + w₁² + 1)/|slope| for weights w."""
    noise, slope = 1e-4, -0.2
    losses = [3.0, 3.0 + slope * math.log(2)]
    target = (losses[0] + losses[1]) / 2
    found = share_between_budgets([1e9, 2e9], [[each] for each in losses], [target],
                                  reference=2e9, noise=noise, resamples=20_000)  # fmt: skip
    spread = noise * math.sqrt(0.25 + 0.25 + 1) / abs(slope)
    for bound, sign in ((found.low, -1), (found.high, 1)):
        assert math.log(bound / found.value) == pytest.approx(sign * 1.96 * spread, rel=0.03)


def test_with_few_seeds_the_interval_is_as_wide_as_students_t():
    noise, slope = 1e-4, -0.2
    three = np.array([-1.0, 0.0, 1.0]) * noise
    losses = [3.0, 3.0 + slope * math.log(2)]
    target = (losses[0] + losses[1]) / 2
    found = share_between_budgets([1e9, 2e9], [each + three for each in losses], target + three,
                                  reference=2e9, resamples=20_000)  # fmt: skip
    reach = stats.t.ppf(0.975, 6) * noise * math.sqrt(1.5 / 3) / abs(slope)
    assert math.log(found.high / found.value) == pytest.approx(reach, rel=0.04)
    assert found.n == 9


def test_coverage_between_budgets():
    """True share 2^−½ of 2B; three seeds each, noise of 0.004."""
    random = np.random.default_rng(3)
    truth, covered = 2**-0.5, 0
    for i in range(200):
        a, b, c = (mean + random.normal(0, 0.004, 3) for mean in (3.1, 3.0, 3.05))
        found = share_between_budgets([1e9, 2e9], [a, b], c, reference=2e9, seed=i, resamples=400)
        covered += found.low <= truth <= found.high
    assert 0.9 <= covered / 200 <= 0.99, "seed 3"


def test_a_diverged_optimum_has_no_share():
    found = share_between_budgets([1e9, 2e9], [[INF], [3.0]], [3.1], reference=2e9)
    assert found.reason == "a tuned optimum diverged or has no loss"


@pytest.mark.parametrize(
    ("tokens", "optima"), [([1e9], [[3.0]]), ([1e9, 1e9], [[3.0], [3.0]]), ([1e9, 2e9], [[3.0]])]
)
def test_one_budget_is_no_two(tokens, optima):
    with pytest.raises(ConfigError, match="allowed are two or more"):
        share_between_budgets(tokens, optima, [3.0], reference=1e9)


FRACTIONS = (np.arange(500) + 0.5) / 500


def curve(fractions):
    """Falls by 0.1·(1 − f)(2 + f) from f on; a cubic, so that the fit is exact."""
    return 3.0 + 0.1 * (1 - fractions) * (2 + fractions)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 0.95])
def test_within_a_cubic_curve_the_answer_is_exact(share):
    gap = curve(share) - curve(1.0)
    found = share_within_curve(FRACTIONS, curve(FRACTIONS), [gap])
    assert found.value == pytest.approx(share, abs=1e-3)
    since = 0.5 if share > 0.5 else 0.25 if share > 0.25 else 0.1
    assert f"from {since:g} of the budget" in found.method


def test_a_constant_distance_to_the_held_out_loss_does_not_matter():
    gap = [curve(0.7) - curve(1.0)]
    lifted = share_within_curve(FRACTIONS, curve(FRACTIONS) + 0.3, gap)
    assert lifted.value == share_within_curve(FRACTIONS, curve(FRACTIONS), gap).value


def test_who_ends_above_the_other_does_not_reach_it():
    found = share_within_curve(FRACTIONS, curve(FRACTIONS), [-0.01, -0.012, -0.011])
    assert (found.value, found.high) == (INF, INF)


def test_a_loss_that_is_reached_at_once_is_told():
    found = share_within_curve(FRACTIONS, curve(FRACTIONS), [5.0])
    assert found.value == 0.1
    assert "reached before that" in found.method


@pytest.mark.parametrize("drawn", [False, True])
def test_coverage_within_a_curve(drawn):
    """Noise of a step 0.1, of a final loss 0.004; steps known, or drawn as by a tracker."""
    random = np.random.default_rng(6)
    truth, covered, runs = 0.8, 0, 150
    for i in range(runs):
        where = np.sort(random.random(500)) if drawn else FRACTIONS
        losses = curve(where) + random.normal(0, 0.1, 500)
        gap = curve(truth) - curve(1.0) + random.normal(0, 0.004 * math.sqrt(2))
        found = share_within_curve(FRACTIONS, losses, [gap], noise=0.004, drawn_positions=drawn,
                                   seed=i, resamples=200)  # fmt: skip
        covered += found.low <= truth <= found.high
    assert 0.88 <= covered / runs <= 1.0, f"seed 6: {covered / runs}"


def test_without_noise_of_the_curve_the_interval_is_that_of_two_final_losses():
    """σ√2 over the curve's slope, −0.1·(1 + 2f)."""
    gap = [curve(0.8) - curve(1.0)]
    found = share_within_curve(FRACTIONS, curve(FRACTIONS), gap, noise=1e-3, resamples=4000)
    reach = 1.96 * 1e-3 * math.sqrt(2) / 0.26
    assert found.low == pytest.approx(0.8 - reach, abs=2e-3)
    assert found.high == pytest.approx(0.8 + reach, abs=2e-3)


def test_long_curves_are_averaged_over_equal_parts():
    at = (np.arange(24_800) + 0.5) / 24_800
    found = share_within_curve(at, curve(at), [curve(0.8) - curve(1.0)] * 2)
    assert found.value == pytest.approx(0.8, abs=2e-3)
    assert found.low == pytest.approx(0.8, abs=2e-3)


def test_a_curve_needs_points():
    with pytest.raises(ConfigError, match="10 or more of them"):
        share_within_curve([0.1, 0.9], [3.0, 2.0], [0.1])
