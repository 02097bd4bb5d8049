"""Intervals from random draws: the generator, and the quantiles that bound them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from descentlab.analysis.statistics.estimate import CONFIDENCE
from descentlab.quadratic.outcomes import quantile
from descentlab.seeding import derived_seed

RESAMPLES = 2000


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Return the stream of a purpose, the same at every call."""
    return np.random.Generator(np.random.PCG64(derived_seed(seed, "statistics", purpose)))


def resampled(values: NDArray[np.float64], stream: np.random.Generator, resamples: int) -> NDArray:
    """Draw as many of the values ``[n]`` as there are, with replacement: ``[resamples, n]``."""
    return values[stream.integers(0, len(values), (resamples, len(values)))]


def percentile_interval(
    draws: ArrayLike, confidence: float = CONFIDENCE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounds that leave (1 − confidence)/2 of the draws ``[…, resamples]`` on each side.

    Infinite draws count as such (Efron & Tibshirani 1993, chapter 13).

    >>> low, high = percentile_interval([*range(41)])
    >>> round(float(low), 9), round(float(high), 9)
    (1.0, 39.0)
    """
    outside = (1 - confidence) / 2
    return quantile(draws, outside), quantile(draws, 1 - outside)
