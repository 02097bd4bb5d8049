"""What a method reaches after k trials of tuning, and which of two is ahead there.

A comparison after full tuning hides what tuning costs. From the losses ``x₍₁₎ ≤ … ≤ x₍ₙ₎`` of n
trials, best-of-k has the distribution ``P(best of k > x₍ᵢ₎) = S_i`` with

    S_i = (1 − i/n)^k                  with replacement (Dodge et al. 2019),
    S_i = C(n − i, k) / C(n, k)        without (Tang et al. 2020),

so x₍ᵢ₎ is the best with probability ``S_{i−1} − S_i``. The mean is biased with replacement, towards
worse losses, and unbiased without: it is the U-statistic of "minimum of k". So without is the
default, for k ≤ n. Diverged trials are infinite and rank worst: quantiles stay finite where the
mean does not.

Intervals resample whole trials, so they speak of the space that the trials were drawn from. No
resample has a better trial than the best one seen, so intervals exist for k ≤ n/4 only.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from descentlab.analysis.statistics.estimate import CONFIDENCE, Estimate, without_interval
from descentlab.analysis.statistics.resampling import (
    RESAMPLES,
    generator,
    percentile_interval,
    resampled,
)
from descentlab.errors import ConfigError

FEWEST_TRIALS_EACH = 4
"""Trials for each of the k, for an interval to be near its confidence; the tests measure it."""


def best_weights(n: int, k: int, *, replacement: bool = False) -> NDArray[np.float64]:
    """Return the chances ``[n]`` that the i-th best of n trials is the best of k.

    Args:
        n: trials that there are.
        k: trials that are drawn from them.
        replacement: whether one may be drawn twice.

    Raises:
        ConfigError: for k below 1, or above n without replacement.

    >>> best_weights(4, 2).round(3).tolist()  # of six pairs the best is in three
    [0.5, 0.333, 0.167, 0.0]
    """
    if n < 1 or k < 1 or (k > n and not replacement):
        allowed = f"1 … {n}" if not replacement else "1 and more"
        raise ConfigError(f"best of k={k} of {n} trials: allowed are k of {allowed}")
    i = np.arange(1, n + 1)
    if replacement:
        worse = (1 - i / n) ** k
    else:  # C(n − i, k) / C(n − i + 1, k) = (n − i + 1 − k) / (n − i + 1)
        worse = np.cumprod(np.maximum(0, n - i + 1 - k) / (n - i + 1))
    return -np.diff(np.asarray(worse, dtype=np.float64), prepend=1.0) + 0.0  # no −0.0


def expected_best(
    losses: ArrayLike,
    k: int,
    *,
    replacement: bool = False,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Expected lowest loss of k trials, with a bootstrap interval over trials.

    Args:
        losses: ``[n]`` of all trials, in nats or any unit that is better when lower; infinite where
            diverged, which makes the expectation infinite unless k trials cannot all diverge.
        k: trials.
        replacement: Dodge's estimator, or the unbiased one.
        confidence, resamples, seed: of the interval.

    Raises:
        ConfigError: for an undefined loss, or k that does not fit.

    >>> expected_best([3.0, 1.0, 2.0, float("inf")], 3).value  # 1 1 1 2
    1.25
    """
    ranked = _ranked(losses)
    weights = best_weights(len(ranked), k, replacement=replacement)
    method = f"expected best of {k}, {_drawn(replacement)}"
    value = float(_weighted(ranked, weights))
    if not _interval_exists(len(ranked), k):
        return _none(value, len(ranked), k, method)
    stream = generator(seed, "best of k")
    draws = _weighted(np.sort(resampled(ranked, stream, resamples), axis=1), weights)
    return _estimate(value, draws, len(ranked), method, confidence)


def quantile_best(
    losses: ArrayLike,
    k: int,
    q: float = 0.5,
    *,
    replacement: bool = False,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The q-quantile of the lowest loss of k trials: the smallest x with P(best ≤ x) ≥ q.

    It needs no mean, so diverged trials leave it finite wherever fewer than a share 1 − q of
    the draws of k diverge altogether.

    Args:
        losses, k, replacement, confidence, resamples, seed: as in ``expected_best``.
        q: in (0, 1); 0.5 is the median.

    Raises:
        ConfigError: for an undefined loss, k that does not fit, or q outside (0, 1).

    >>> quantile_best([3.0, 1.0, 2.0, float("inf")], 1).value
    2.0
    """
    if not 0 < q < 1:
        raise ConfigError(f"quantile of the best of k: got q={q}; allowed are q in (0, 1)")
    ranked = _ranked(losses)
    reached = np.cumsum(best_weights(len(ranked), k, replacement=replacement))
    at = int(np.searchsorted(reached, q - 1e-12))
    method = f"{q:g}-quantile of the best of {k}, {_drawn(replacement)}"
    if not _interval_exists(len(ranked), k):
        return _none(float(ranked[at]), len(ranked), k, method)
    stream = generator(seed, "best of k")
    draws = np.sort(resampled(ranked, stream, resamples), axis=1)[:, at]
    return _estimate(float(ranked[at]), draws, len(ranked), method, confidence)


def probability_better(
    first: ArrayLike,
    second: ArrayLike,
    k: int,
    *,
    replacement: bool = False,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Chance that the first method's best of k trials is below the second's best of k.

    ``P(A < B) + ½·P(A = B)``, exact for the two sets of trials: every choice of k trials of each
    counts once. Two bests that both diverged are a tie.

    Args:
        first, second: losses ``[n]`` and ``[m]`` of all trials; infinite where diverged.
        k, replacement, confidence, resamples, seed: as in ``expected_best``; the trials of both
            are resampled.

    Raises:
        ConfigError: for an undefined loss, or k that does not fit either.

    >>> probability_better([1.0, 2.0], [1.0, 3.0], 1).value  # a tie, two wins, a loss
    0.625
    """
    a, b = _ranked(first), _ranked(second)
    of_a, of_b = (best_weights(len(each), k, replacement=replacement) for each in (a, b))
    fewest = min(len(a), len(b))
    method = f"chance of the lower best of {k}, {_drawn(replacement)}, ties half"
    value = _chance(a, b, of_a, of_b)
    if not _interval_exists(fewest, k):
        return _none(value, fewest, k, method)
    many_a = np.sort(resampled(a, generator(seed, "best of k: first"), resamples), axis=1)
    many_b = np.sort(resampled(b, generator(seed, "best of k: second"), resamples), axis=1)
    draws = [_chance(x, y, of_a, of_b) for x, y in zip(many_a, many_b, strict=True)]
    return _estimate(value, np.array(draws), fewest, method, confidence)


def _ranked(losses: ArrayLike) -> NDArray[np.float64]:
    array = np.sort(np.asarray(losses, dtype=np.float64))
    if array.ndim != 1 or not array.size or np.isnan(array).any():
        raise ConfigError("losses of trials: allowed is a list of numbers, infinite where diverged")
    return array


def _weighted(ranked: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last dimension ``[…, n]``; infinite if an infinite value has weight."""
    infinite = np.isinf(ranked)
    finite = np.where(infinite, 0.0, ranked) @ weights
    return np.where(infinite @ (weights > 0).astype(float) > 0, math.inf, finite)


def _chance(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    of_a: NDArray[np.float64],
    of_b: NDArray[np.float64],
) -> float:
    """P(best of a < best of b) + ½·P(=) for sorted trials and the weights of each."""
    below = np.concatenate([[0.0], np.cumsum(of_b)])
    less, at_most = (below[np.searchsorted(b, a, side)] for side in ("left", "right"))
    return float(of_a @ (1 - (less + at_most) / 2))


def _interval_exists(n: int, k: int) -> bool:
    return n >= FEWEST_TRIALS_EACH * k


def _none(value: float, n: int, k: int, method: str) -> Estimate:
    reason = f"{n} trials give no interval for the best of {k}; it takes {FEWEST_TRIALS_EACH * k}"
    return without_interval(value, n, method=method, reason=reason)


def _estimate(
    value: float, draws: NDArray[np.float64], n: int, method: str, confidence: float
) -> Estimate:
    low, high = (float(each) for each in percentile_interval(draws, confidence))
    method += ", bootstrap over trials"
    return Estimate(value, low, high, n, method=method, confidence=confidence)


def _drawn(replacement: bool) -> str:
    return f"drawn {'with' if replacement else 'without'} replacement"
