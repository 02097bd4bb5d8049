"""Whether two methods are as good as equal: the two one-sided tests, with a margin declared before.

A difference that is not significant is no evidence of equality. TOST turns the question round: its
null hypothesis is that the difference δ lies outside the margin, and both ``δ ≤ low`` and
``δ ≥ high`` must be rejected at level α (Schuirmann 1987; Lakens 2017). That is so exactly if the
interval at confidence 1 − 2α lies within the margin.

A margin is a number, for −margin … +margin, or its two ends. With −inf as the lower end only
"not worse by more than the upper end" is tested (non-inferiority).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from descentlab.analysis.statistics.estimate import Estimate, without_interval
from descentlab.analysis.statistics.paired import differences, median_interval
from descentlab.errors import ConfigError
from descentlab.quadratic.outcomes import quantile

Margin = float | tuple[float, float]
ALPHA = 0.05


def paired_equivalence(
    first: ArrayLike, second: ArrayLike, margin: Margin, *, alpha: float = ALPHA
) -> Estimate:
    """Test that the mean of ``first − second`` over paired seeds lies within the margin.

    Args:
        first, second: losses ``[n]`` in nats by seed; infinite for a diverged run.
        margin: in nats.
        alpha: level of the test.

    Returns:
        The mean difference with its interval at confidence 1 − 2·alpha, and the larger p-value of
        the two tests. Where a run diverged, median and sign tests take their place.

    Raises:
        ConfigError: for unequal seeds, or a margin without room.

    >>> test = paired_equivalence([3.00, 3.01, 3.02, 3.01], [3.01, 3.01, 3.01, 3.02], 0.05)
    >>> test.p_value < 0.05, -0.05 < test.low, test.high < 0.05
    (True, True, True)
    """
    return one_sample_equivalence(differences(first, second), margin, alpha=alpha)


def one_sample_equivalence(
    values: ArrayLike, margin: Margin, *, reference: float = 0.0, alpha: float = ALPHA
) -> Estimate:
    """Test that a mean differs from the reference by no more than the margin.

    Args:
        values: ``[n]``; where one is infinite, median and sign tests take the mean's place.
        margin: around the reference, in the unit of the values.
        reference: for instance a published number.
        alpha: level of the test.

    Returns:
        ``mean − reference``, with interval and p-value as in ``paired_equivalence``.

    Raises:
        ConfigError: for a margin without room.
    """
    low, high = margin_ends(margin)
    numbers = np.asarray(values, dtype=np.float64) - reference
    n = len(numbers)
    if np.isnan(numbers).any() or n < 2:
        value = float(np.mean(numbers)) if n else math.nan
        reason = f"{n} seed gives no test" if n < 2 else "undefined for some seeds"
        return without_interval(value, n, method="TOST", reason=reason)
    if np.isinf(numbers).any():
        return _by_signs(numbers, low, high, alpha)
    error = float(np.std(numbers, ddof=1)) / math.sqrt(n)
    mean = float(np.mean(numbers))
    return _by_t(mean, error, n - 1, (low, high), alpha, n, "TOST with Student's t")


def welch_equivalence(
    first: ArrayLike, second: ArrayLike, margin: Margin, *, alpha: float = ALPHA
) -> Estimate:
    """Test that the means of two independent samples differ by no more than the margin.

    Variances may differ (Welch 1947): the error is ``√(s₁²/n₁ + s₂²/n₂)``.

    Args:
        first, second: ``[n₁]`` and ``[n₂]``; where a run diverged, the two tests are those of Mann
            and Whitney on the shifted samples, which rank it worst, and there is no interval.
        margin: in the unit of the values.
        alpha: level of the test.

    Raises:
        ConfigError: for a margin without room.
    """
    low, high = margin_ends(margin)
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    n = len(a) + len(b)
    if min(len(a), len(b)) < 2 or np.isnan([*a, *b]).any():
        reason = f"{len(a)} and {len(b)} seeds with a result give no test; it takes two and two"
        return without_interval(math.nan, n, method="TOST with Welch's t", reason=reason)
    if np.isinf(a).any() or np.isinf(b).any():
        return _by_ranks(a, b, low, high)
    parts = np.array([np.var(each, ddof=1) / len(each) for each in (a, b)])
    error = float(np.sqrt(parts.sum()))
    spread = float((parts**2 / np.array([len(a) - 1, len(b) - 1])).sum())
    freedom = float(parts.sum() ** 2 / spread) if spread else n - 2.0
    mean = float(np.mean(a) - np.mean(b))
    return _by_t(mean, error, freedom, (low, high), alpha, n, "TOST with Welch's t")


def margin_ends(margin: Margin) -> tuple[float, float]:
    """Return the two ends of a margin.

    >>> margin_ends(0.3), margin_ends((float("-inf"), 0.3))
    ((-0.3, 0.3), (-inf, 0.3))

    Raises:
        ConfigError: if there is no room between them.
    """
    low, high = margin if isinstance(margin, tuple) else (-margin, margin)
    if not low < high:
        raise ConfigError(f"margin: got {margin}; allowed is a positive number, or (low, high)")
    return float(low), float(high)


def _by_t(
    mean: float,
    error: float,
    freedom: float,
    margin: tuple[float, float],
    alpha: float,
    n: int,
    method: str,
) -> Estimate:
    def below(distance: float) -> float:
        """P-value of a mean that lies this far above an end that it should be below."""
        if error == 0 or math.isinf(distance):
            return float(distance >= 0)
        return float(stats.t.cdf(distance / error, freedom))

    reach = float(stats.t.ppf(1 - alpha, freedom)) * error
    p_value = max(below(mean - margin[1]), below(margin[0] - mean))
    return Estimate(
        mean,
        mean - reach,
        mean + reach,
        n,
        method=method,
        p_value=p_value,
        confidence=1 - 2 * alpha,
    )


def _by_signs(numbers: NDArray[np.float64], low: float, high: float, alpha: float) -> Estimate:
    n, median = len(numbers), median_interval(numbers, confidence=1 - 2 * alpha)
    inside = [int((numbers < high).sum()), int((numbers > low).sum()) if low > -math.inf else None]
    tails = [float(stats.binom.sf(count - 1, n, 0.5)) for count in inside if count is not None]
    return Estimate(
        median.value,
        median.low,
        median.high,
        n,
        method=f"TOST with sign tests; {median.method}",
        reason=median.reason,
        p_value=max(tails),
        confidence=median.confidence,
    )


def _by_ranks(a: NDArray[np.float64], b: NDArray[np.float64], low: float, high: float) -> Estimate:
    diverged = int(np.isinf(a).sum() + np.isinf(b).sum())
    tails = [stats.mannwhitneyu(a - high, b, alternative="less").pvalue]
    if low > -math.inf:
        tails.append(stats.mannwhitneyu(a - low, b, alternative="greater").pvalue)
    value = float(quantile(a, 0.5)) - float(quantile(b, 0.5))
    return Estimate(
        value,
        -math.inf,
        math.inf,
        len(a) + len(b),
        method="difference of medians; TOST with the tests of Mann and Whitney",
        reason=f"{diverged} of {len(a) + len(b)} runs diverged",
        p_value=float(max(tails)),
    )
