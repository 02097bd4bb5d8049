"""Losses of many runs in few numbers; a diverged run is an infinite loss, and stays in."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from descentlab.errors import ConfigError
from descentlab.seeding import derived_seed


def quantile(values: ArrayLike, q: float) -> NDArray[np.float64]:
    """Return the q-quantile over the last dimension, linear between order statistics.

    Between a finite and an infinite value lies infinity; nan counts as infinity.

    Args:
        values: ``[…, n]``, n ≥ 1.
        q: in [0, 1].

    Raises:
        ConfigError: without values, or for q outside [0, 1].

    >>> [float(quantile([3.0, 1.0, 2.0, float("inf")], q)) for q in (0.0, 0.5, 0.75, 1.0)]
    [1.0, 2.5, inf, inf]
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or not array.size:
        raise ConfigError(f"quantile: got values of shape {array.shape}; give one or more")
    if not 0 <= q <= 1:
        raise ConfigError(f"quantile: got q={q}; allowed are [0, 1]")
    ranked = np.sort(np.where(np.isnan(array), np.inf, array), axis=-1)
    place = q * (array.shape[-1] - 1)
    low, part = math.floor(place), place - math.floor(place)
    if part == 0:
        return ranked[..., low]
    below, above = ranked[..., low], ranked[..., low + 1]
    finite = np.isfinite(below) & np.isfinite(above)
    between = np.where(finite, below, 0.0) * (1 - part) + np.where(finite, above, 0.0) * part
    # Two values that are infinite alike give themselves; otherwise the upper one decides.
    return np.where(finite, between, np.where(below == above, below, above))


class Summary(NamedTuple):
    """Median and quartiles of n losses, and how many of them are infinite."""

    median: float
    lower: float
    upper: float
    diverged: int
    n: int

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.lower:.3g}, {self.upper:.3g}]"


def summary(values: ArrayLike) -> Summary:
    """Summarise the losses ``[n]``.

    >>> print(summary([1.0, 2.0, 3.0]))
    2 [1.5, 2.5]
    """
    array = np.asarray(values, dtype=np.float64)
    median, lower, upper = (float(quantile(array, q)) for q in (0.5, 0.25, 0.75))
    return Summary(median, lower, upper, int((~np.isfinite(array)).sum()), array.size)


class Gap(NamedTuple):
    """Median of ``log10(loss of one / loss of another)`` over paired draws, with its interval."""

    median: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.median:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def log_ratios(over: ArrayLike, under: ArrayLike) -> NDArray[np.float64]:
    """Return ``log10(over / under)`` by draw; two infinite or two zero losses are a tie.

    Raises:
        ConfigError: for losses of unequal or no length.

    >>> log_ratios([100.0, 1.0, float("inf")], [1.0, float("inf"), float("inf")]).tolist()
    [2.0, -inf, 0.0]
    """
    a, b = np.asarray(over, dtype=np.float64), np.asarray(under, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ConfigError(
            f"shape mismatch: paired losses are [n] and [n], got {a.shape}, {b.shape}"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(a == b, 0.0, np.log10(a) - np.log10(b))


def gap(over: ArrayLike, under: ArrayLike, *, seed: int = 0, resamples: int = 2000) -> Gap:
    """Return the median log ratio of paired losses ``[n]``, with a 95% bootstrap interval.

    Whole draws are resampled, so the pairs stay together.

    Raises:
        ConfigError: for losses of unequal or no length.

    >>> print(gap([10.0, 10.0, 10.0], [1.0, 1.0, 1.0]))
    +1.00 [+1.00, +1.00]
    """
    ratios = log_ratios(over, under)
    stream = np.random.Generator(np.random.PCG64(derived_seed(seed, "bootstrap")))
    drawn = ratios[stream.integers(0, len(ratios), (resamples, len(ratios)))]
    medians = quantile(drawn, 0.5)
    low, high = (float(quantile(medians, q)) for q in (0.025, 0.975))
    return Gap(float(quantile(ratios, 0.5)), low, high, len(ratios))
