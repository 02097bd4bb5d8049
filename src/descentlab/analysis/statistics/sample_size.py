"""How many seeds a verdict takes: the power of the paired t-test, and of the equivalence test.

With n seeds, true difference δ and standard deviation σ of the differences, the t statistic is
noncentral t with n − 1 degrees of freedom and noncentrality ``δ√n/σ`` (Cohen 1988, chapter 2).
TOST rejects where the interval lies within the margin, so its power is, over the sample's standard
deviation ``s = σu``,

    ∫ max(0, Φ((high − δ)√n/σ − t·u) − Φ((low − δ)√n/σ + t·u)) dF(u),    (n − 1)·u² ~ χ²ₙ₋₁

(Phillips 1990). An effect that was observed is not the true one: where a smallest effect of
interest can be named before, name it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from descentlab.analysis.statistics.equivalence import Margin, margin_ends
from descentlab.analysis.statistics.estimate import CONFIDENCE, Estimate, without_interval
from descentlab.errors import ConfigError

POWER = 0.8
MOST = 1_000_000
"""Seeds that are looked at; a verdict that takes more is none that seeds can give."""
QUANTILES = (np.arange(2000) + 0.5) / 2000
"""At which the sample's standard deviation is taken for the integral above."""


def paired_power(n: int, effect: float, sd: float, *, alpha: float = 0.05) -> float:
    """Chance that the two-sided paired t-test at level alpha finds a difference.

    Args:
        n: seeds.
        effect: true mean difference δ, in nats.
        sd: standard deviation σ of the differences over seeds, in nats.
        alpha: level.

    >>> round(paired_power(34, 0.5, 1.0), 3)  # Cohen's medium effect
    0.808
    """
    critical, shift = stats.t.ppf(1 - alpha / 2, n - 1), _shift(effect, sd, n)
    if math.isinf(shift):
        return 1.0
    tails = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    return float(tails)


def equivalence_power(
    n: int, margin: Margin, sd: float, *, effect: float = 0.0, alpha: float = 0.05
) -> float:
    """Chance that the paired TOST at level alpha finds the difference within the margin.

    Args:
        n: seeds.
        margin: as for ``paired_equivalence``, in nats.
        sd: standard deviation σ of the differences over seeds, in nats.
        effect: true mean difference δ, in nats.
        alpha: level of each of the two tests.

    >>> round(equivalence_power(36, 0.5, 1.0), 2)
    0.81
    """
    low, high = margin_ends(margin)
    critical = float(stats.t.ppf(1 - alpha, n - 1))
    u = np.sqrt(stats.chi2.ppf(QUANTILES, n - 1) / (n - 1))
    above = stats.norm.cdf(_shift(high - effect, sd, n) - critical * u)
    below = stats.norm.cdf(_shift(low - effect, sd, n) + critical * u)
    return float(np.maximum(0.0, above - below).mean())


def seeds_needed(
    effect: float,
    sd: float,
    *,
    margin: Margin | None = None,
    power: float = POWER,
    alpha: float = 0.05,
) -> float:
    """Fewest seeds with which the paired test has the power; infinite if a million do not.

    Args:
        effect: true mean difference, in nats.
        sd: standard deviation of the differences over seeds, in nats.
        margin: of the equivalence test; without one, the test of a difference.
        power: chance of a verdict to be reached, in (0, 1).
        alpha: level of the test.

    Raises:
        ConfigError: for a power outside (0, 1), or a negative standard deviation.

    >>> seeds_needed(0.5, 1.0), seeds_needed(0.0, 1.0, margin=0.5)
    (34.0, 36.0)
    """
    if not 0 < power < 1 or not sd >= 0:
        raise ConfigError(f"got power={power} and sd={sd}; allowed are power in (0, 1) and sd ≥ 0")
    if margin is None:
        return _fewest(lambda n: paired_power(n, effect, sd, alpha=alpha) >= power)
    low, high = margin_ends(margin)
    if not low < effect < high:
        return math.inf
    return _fewest(lambda n: equivalence_power(n, margin, sd, effect=effect, alpha=alpha) >= power)


def more_seeds(
    differences: ArrayLike,
    *,
    effect: float | None = None,
    margin: Margin | None = None,
    power: float = POWER,
    alpha: float = 0.05,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """How many seeds a verdict takes beyond those that there are.

    Args:
        differences: ``[n]`` of paired seeds, in nats.
        effect: the true difference to plan for; the mean of those seen if left out.
        margin, power, alpha: as for ``seeds_needed``.
        confidence: of the interval, which is that of the standard deviation: ``s²(n − 1)/σ² ~ χ²``.

    Returns:
        0 where there are enough; infinite where no number is.

    Raises:
        ConfigError: as ``seeds_needed`` does.

    >>> more = more_seeds([-0.010, 0.001, -0.015])
    >>> more.value, more.low, more.high
    (8.0, 2.0, 324.0)
    """
    seen = np.asarray(differences, dtype=np.float64)
    n, test = len(seen), "paired t-test" if margin is None else "paired TOST"
    method = f"seeds for power {power:g} of the {test} at level {alpha:g}"
    if n < 2 or not np.isfinite(seen).all():
        reason = f"{n} seed has no spread" if n < 2 else "a seed with a diverged run has no mean"
        return without_interval(math.nan, n, method=method, reason=reason)
    planned = float(np.mean(seen)) if effect is None else effect
    sd, outside = float(np.std(seen, ddof=1)), (1 - confidence) / 2
    spreads = [sd * math.sqrt((n - 1) / stats.chi2.ppf(q, n - 1)) for q in (1 - outside, outside)]
    low, value, high = (
        max(0.0, seeds_needed(planned, each, margin=margin, power=power, alpha=alpha) - n)
        for each in (spreads[0], sd, spreads[1])
    )
    if effect is None:
        method += ", for the difference that was seen"
    reason = "no number of seeds settles it" if math.isinf(value) else None
    return Estimate(value, low, high, n, method=method, reason=reason, confidence=confidence)


def _shift(distance: float, sd: float, n: int) -> float:
    if sd == 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance * math.sqrt(n) / sd


def _fewest(enough: Callable[[int], bool]) -> float:
    """Smallest n ≥ 2 that is enough, given that more never are less so."""
    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
        if high > MOST:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return float(high)
