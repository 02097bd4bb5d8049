"""A number from runs with its interval, and how it was found."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

CONFIDENCE = 0.95
"""Of intervals, unless another is asked for."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; where there is none, ``reason`` says why.

    A bound may be infinite: then the runs do not limit the number on that side. Without an
    interval, both bounds are infinite or undefined.
    """

    value: float
    low: float
    high: float
    n: int
    """Seeds, trials or cells that it rests on."""
    method: str = field(kw_only=True)
    """How value and interval were found, for people."""
    reason: str | None = field(default=None, kw_only=True)
    p_value: float = field(default=math.nan, kw_only=True)
    """Of the test that ``method`` names; undefined where nothing was tested."""
    confidence: float = field(default=CONFIDENCE, kw_only=True)
    """Of the interval."""


def without_interval(value: float, n: int, *, method: str, reason: str) -> Estimate:
    """Make an estimate that has no interval.

    >>> without_interval(2.5, 1, method="mean", reason="1 seed gives no interval").low
    nan
    """
    return Estimate(value, math.nan, math.nan, n, method=method, reason=reason)
