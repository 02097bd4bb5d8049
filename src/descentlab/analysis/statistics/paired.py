"""Paired comparison of methods that ran with the same seeds.

Runs with the same seed share their initial weights and their batches, so the difference
of their losses varies less than either loss. A difference of losses is the logarithm of
a ratio of perplexities.

Which interval is used, and why:

- *Student's t* for fewer than 50 seeds. It is exact for normal differences and allows for a
  standard deviation that few seeds tell badly. Resampling three seeds does not: the bootstrap
  covers the true mean in about 7 of 10 cases, not in 19 of 20, and it takes 50 to catch up, for
  skewed differences as well.
- *BCa bootstrap* (Efron 1987) for 50 seeds and more; it follows the skew of the differences.
- *Sign test* (order statistics; Conover 1999, section 3.2) for the median, and wherever a run
  diverged. It needs ranks alone, so an infinite loss counts as worst and its size does not matter.
  Six seeds are the fewest that give a finite bound at 95%.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from descentlab.analysis.statistics.estimate import CONFIDENCE, Estimate, without_interval
from descentlab.analysis.statistics.resampling import generator
from descentlab.errors import ConfigError, nearest
from descentlab.quadratic.outcomes import quantile

Interval = Literal["auto", "student", "bootstrap", "signs"]
ENOUGH_TO_RESAMPLE = 50
"""Seeds from which on resampling them is as good as Student's t; the tests measure it."""
RESAMPLES = 9999


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    interval: Interval = "auto",
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Estimate:
    """Mean of ``first − second`` over seeds, or its median where a run diverged.

    Args:
        first, second: losses ``[n]`` in nats by seed, both in the same order; a diverged run's is
            infinite, and one of a pair that both diverged equals the other.
        interval: auto chooses as the top of the file says.
        confidence: of the interval.
        seed: of the bootstrap.

    Returns:
        With the p-value of no difference: of the paired t-test, of flipping signs at random, or of
        the sign test.

    Raises:
        ConfigError: if they do not have the same seeds, or for an unknown interval.

    >>> estimate = paired_difference([3.0, 3.1, 3.3], [3.1, 3.3, 3.4])
    >>> f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}] p={estimate.p_value:.3f}"
    '-0.133 [-0.277, 0.010] p=0.057'
    """
    return mean_interval(
        differences(first, second), interval=interval, confidence=confidence, seed=seed
    )


def differences(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return ``first − second`` by seed ``[n]``; two diverged runs are a tie.

    >>> differences([1.0, float("inf"), float("inf")], [2.0, 2.0, float("inf")]).tolist()
    [-1.0, inf, 0.0]

    Raises:
        ConfigError: if they do not have the same seeds.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ConfigError(
            f"shape mismatch: paired losses are [n] and [n], got {a.shape} and {b.shape}"
        )
    tied = np.isinf(a) & (a == b)
    return np.where(tied, 0.0, a - np.where(tied, 0.0, b))


def mean_interval(
    values: ArrayLike,
    *,
    interval: Interval = "auto",
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Estimate:
    """Interval of a mean over seeds; of the median where a value is infinite.

    Args:
        values: one number per seed ``[n]``; one that is undefined leaves no interval.
        interval, confidence, seed: as in ``paired_difference``; the p-value is that of zero.

    Raises:
        ConfigError: for an unknown interval.

    >>> estimate = mean_interval([1.0, 2.0, 3.0])
    >>> round(estimate.value, 3), round(estimate.low, 3), round(estimate.high, 3)
    (2.0, -0.484, 4.484)
    """
    if interval not in ("auto", "student", "bootstrap", "signs"):
        allowed = nearest(interval, ("auto", "student", "bootstrap", "signs"))
        raise ConfigError(f"interval: got {interval!r}; {allowed}")
    numbers = np.asarray(values, dtype=np.float64)
    n, undefined = len(numbers), int(np.isnan(numbers).sum())
    if undefined:
        reason = f"undefined for {undefined} of {n} seeds"
        return without_interval(math.nan, n, method="mean", reason=reason)
    if interval == "signs" or np.isinf(numbers).any():
        return median_interval(numbers, confidence=confidence)
    if n < 2:
        value = float(numbers[0]) if n else math.nan
        return without_interval(value, n, method="mean", reason=f"{n} seed gives no interval")
    if interval == "bootstrap" or (interval == "auto" and n >= ENOUGH_TO_RESAMPLE):
        return _bootstrap(numbers, confidence, seed)
    return _student(numbers, confidence)


def median_interval(values: ArrayLike, *, confidence: float = CONFIDENCE) -> Estimate:
    """Median of values ``[n]``, infinite ones among them, between two order statistics.

    With d the largest count for which P(Binomial(n, ½) < d) ≤ (1 − confidence)/2, the d-th
    smallest and the d-th largest value enclose the true median at least that often, whatever the
    distribution. For d = 0 they do not exist: the interval is the whole line, with a reason.

    >>> estimate = median_interval([1.0, 2.0, 3.0, 4.0, 5.0, float("inf")])
    >>> estimate.value, estimate.low, estimate.high
    (3.5, 1.0, inf)
    """
    numbers = np.sort(np.asarray(values, dtype=np.float64))
    n, infinite = len(numbers), int(np.isinf(numbers).sum())
    outside = (1 - confidence) / 2
    d = int(np.searchsorted(stats.binom.cdf(np.arange(n), n, 0.5), outside, side="right"))
    diverged = f"{infinite} of {n} seeds with a diverged run" if infinite else ""
    because = f", since {diverged}" if diverged else ""
    reason = None
    if d == 0:
        needed = math.ceil(1 - math.log2(1 - confidence))
        seeds = f"{n} seeds are too few for an interval of the median, which takes {needed}"
        reason = "; ".join(filter(None, (diverged, seeds)))
    value = float(quantile(numbers, 0.5)) if n else math.nan
    return Estimate(
        value,
        float(numbers[d - 1]) if d else -math.inf,
        float(numbers[n - d]) if d else math.inf,
        n,
        method=f"median with the interval of the sign test{because}",
        reason=reason,
        p_value=_sign_test(numbers),
        confidence=confidence,
    )


def _student(numbers: NDArray[np.float64], confidence: float) -> Estimate:
    n, mean = len(numbers), float(np.mean(numbers))
    error = float(np.std(numbers, ddof=1)) / math.sqrt(n)
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    p_value = float(mean == 0) if error == 0 else 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    method = "mean with Student's t interval"
    return Estimate(
        mean, mean - reach, mean + reach, n, method=method, p_value=p_value, confidence=confidence
    )


def _bootstrap(numbers: NDArray[np.float64], confidence: float, seed: int) -> Estimate:
    n, mean = len(numbers), float(np.mean(numbers))
    method = "mean with BCa bootstrap interval"
    if np.ptp(numbers) == 0:  # every resample is the same, which scipy calls degenerate
        p_value = float(mean == 0)
        return Estimate(mean, mean, mean, n, method=method, p_value=p_value, confidence=confidence)
    interval = stats.bootstrap(
        (numbers,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=confidence,
        method="BCa",
        # SciPy 1.15 named it rng and still takes the name that 1.13 knows.
        random_state=generator(seed, "bootstrap of the mean"),  # pyright: ignore[reportCallIssue]
    ).confidence_interval
    # Under no difference a method's name is a coin flip in every pair (Fisher 1935).
    flips = generator(seed, "sign flips").choice((-1.0, 1.0), (RESAMPLES, n))
    beyond = np.abs(flips @ numbers) >= abs(numbers.sum()) * (1 - 1e-12)
    p_value = float((1 + beyond.sum()) / (1 + RESAMPLES))
    low, high = float(interval.low), float(interval.high)
    return Estimate(mean, low, high, n, method=method, p_value=p_value, confidence=confidence)


def _sign_test(numbers: NDArray[np.float64]) -> float:
    """Two-sided p-value of as many positive as negative values, ties left out."""
    above, below = int((numbers > 0).sum()), int((numbers < 0).sum())
    return float(stats.binomtest(above, above + below).pvalue) if above + below else 1.0
