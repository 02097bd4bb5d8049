"""Whether a family of settings holds the optimum, when each setting ran with one seed or a few.

The best of a family, such as β₁ = β₂, against the best of all others: the best of many is lucky,
so a small family loses even where all settings are equally good. With seed noise σ, m family
members and n others of equal merit, the signed regret ``D``, minimum of the family less minimum
of the others, is

    D₀ = σ·(min of m normals − min of n normals),
    P(D₀ ≤ σx) = ∫ n·φ(t)·Φ(−t)ⁿ⁻¹·(1 − Φ(−t − x)ᵐ) dt,

by order statistics (David & Nagaraja 2003, section 2.1). It is the null distribution, and, as all
others may be better by one amount, a pivot: ``D − D₀`` is an interval for that amount.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from descentlab.analysis.statistics.estimate import CONFIDENCE, Estimate, without_interval
from descentlab.errors import ConfigError

GRID = np.linspace(-12.0, 12.0, 2401)
"""Standard deviations; the trapezoidal rule is exact to rounding for so smooth an integrand."""


def family_regret(
    family: ArrayLike, others: ArrayLike, *, noise: float, confidence: float = CONFIDENCE
) -> Estimate:
    """How much worse the best of a family is than the best setting, against noise alone.

    Give the settings that are in question, one number each: for β₁ = β₂ in one row of β₁, the loss
    at each β₂ after tuning the learning rate. Hopeless settings among the others make the null
    distribution, and with it the p-value, too large.

    Args:
        family: losses ``[m]`` in nats; infinite where diverged.
        others: losses ``[n]`` of all settings outside of the family.
        noise: standard deviation σ of one of these losses over seeds, in nats.
        confidence: of the interval.

    Returns:
        ``max(0, min(family) − min(others))``. The p-value is the chance of at least that much
        if all settings that did not diverge were equally good. The interval is for the amount
        by which the best of the others is truly better, 0 if it is not.

    Raises:
        ConfigError: for an empty family or no others, an undefined loss, or noise that is not
            positive.

    >>> regret = family_regret([3.090], [3.085, 3.093, 3.110], noise=0.005)
    >>> round(regret.value, 3), round(regret.p_value, 2), regret.low
    (0.005, 0.45, 0.0)
    """
    ours, theirs = (np.asarray(each, dtype=np.float64) for each in (family, others))
    if not len(ours) or not len(theirs) or np.isnan([*ours, *theirs]).any():
        raise ConfigError(
            f"family_regret: got {len(ours)} losses of the family and {len(theirs)} of others; "
            "allowed are one or more of each, all defined"
        )
    m, n = int(np.isfinite(ours).sum()), int(np.isfinite(theirs).sum())
    total = len(ours) + len(theirs)
    method = f"best of {len(ours)} against best of {len(theirs)}, null of noise {noise:.3g}"
    if not m and not n:
        reason = "every setting diverged"
        return without_interval(math.nan, total, method=method, reason=reason)
    if not m or not n:
        regret = math.inf if not m else 0.0
        return Estimate(regret, regret, regret, total, method=method, p_value=float(m > 0))
    signed = float(ours.min() - theirs.min())
    outside = (1 - confidence) / 2
    luck = [null_regret(q, m, n, noise=noise) for q in (outside, 1 - outside)]
    return Estimate(
        max(0.0, signed),
        max(0.0, signed - luck[1]),
        max(0.0, signed - luck[0]),
        total,
        method=method,
        p_value=1.0 if signed <= 0 else float(1 - _distribution(signed / noise, m, n)),
        confidence=confidence,
    )


def null_regret(q: float, m: int, n: int, *, noise: float) -> float:
    """Return the q-quantile of ``best of m − best of n`` settings that differ by noise alone.

    >>> round(null_regret(0.95, 1, 7, noise=0.1 / 21.86), 4)  # nats, for σ = 0.1 of perplexity
    0.0151

    Raises:
        ConfigError: for noise that is not positive, no settings, or q outside (0, 1).
    """
    if not (noise > 0 and m > 0 and n > 0 and 0 < q < 1):
        raise ConfigError(
            f"null_regret: got q={q}, m={m}, n={n}, noise={noise}; allowed are q in (0, 1) and "
            "positive others"
        )
    return noise * _quantile(q, m, n)


@lru_cache(maxsize=1024)
def _quantile(q: float, m: int, n: int) -> float:
    return optimize.root_scalar(
        lambda x: _distribution(x, m, n) - q, bracket=(GRID[0], GRID[-1]), xtol=1e-10
    ).root


def _distribution(x: float, m: int, n: int) -> float:
    """P(min of m − min of n standard normals ≤ x)."""
    density = np.exp(math.log(n) + stats.norm.logpdf(GRID) + (n - 1) * stats.norm.logsf(GRID))
    family: NDArray[np.float64] = -np.expm1(m * stats.norm.logsf(GRID + x))
    return float(np.trapezoid(density * family, GRID))
