"""Intervals for single runs, from seed noise that was measured on other runs.

A run without a twin says nothing about its own noise. Where others have told the standard deviation
over seeds, a true loss is drawn around every observed one: σ from what its degrees of freedom
allow, then a normal deviation. What is asked of the losses is computed for every draw.

The best of many settings is partly lucky, by how much nobody can tell from one run each: not at all
if it truly is the best by far, and as much as the best of K normal deviations if K settings are
equally good. An interval for best settings covers both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from descentlab.analysis.statistics.estimate import Estimate
from descentlab.analysis.statistics.resampling import generator, percentile_interval

DRAWS = 4000
RIVALS = 6.0
"""Standard deviations above the best, beyond which no setting is as good."""

Losses = Sequence[NDArray[np.float64]]
Statistic = Callable[[Losses], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """How much a final loss varies with the seed."""

    sd: float
    """Standard deviation in nats."""
    df: int
    """Its degrees of freedom."""
    source: str
    """Where it was measured, for people."""

    def around(
        self, losses: ArrayLike, stream: np.random.Generator, draws: int = DRAWS
    ) -> NDArray[np.float64]:
        """Draw losses ``[runs]`` anew: ``[draws, runs]``; a diverged run stays infinite.

        σ² is drawn from its posterior, ``sd²·df/χ²_df``, once for all runs of a draw.
        """
        given = np.asarray(losses, dtype=np.float64)
        sigma = self.sd * np.sqrt(self.df / stream.chisquare(self.df, draws))
        return given + sigma[:, None] * stream.standard_normal((draws, len(given)))


Group = tuple[ArrayLike, SeedNoise]
"""Losses ``[runs]`` with the noise that they share."""


def pooled(spreads: Sequence[tuple[float, float]], runs: int, source: str) -> SeedNoise:
    """The noise behind several published ``mean ± 2σ``, each over as many runs.

    Args:
        spreads: means and 2σ, of perplexity; a small σ of a perplexity is mean·σ of the loss.
        runs: in each of them.
        source: for people.

    >>> pooled([(20.0, 0.4), (20.0, 0.4)], 3, "made up")
    SeedNoise(sd=0.01, df=4, source='made up')
    """
    variances = [(two_sigma / 2 / mean) ** 2 for mean, two_sigma in spreads]
    sd = math.sqrt(sum(variances) / len(variances))
    return SeedNoise(sd=sd, df=len(spreads) * (runs - 1), source=source)


def of_bests(
    statistic: Statistic,
    groups: Sequence[Group],
    *,
    n: int,
    method: str,
    against: float = math.nan,
    seed: int = 0,
) -> Estimate:
    """Estimate a monotone function of the losses of the best settings of several groups.

    Args:
        statistic: of the true losses of the best ``[…]``, one array for each group.
        groups: the losses ``[runs]`` that each best was chosen from, and their noise.
        n: what to count the estimate by.
        method: what is estimated, for people; the sources of the noise are added.
        against: the value of no effect, for the p-value.
        seed: of the draws.

    >>> noise = SeedNoise(sd=0.01, df=1000, source="made up")
    >>> difference = lambda best: best[0] - best[1]
    >>> groups = [([3.0], noise), ([3.1, 3.5], noise)]
    >>> estimate = of_bests(difference, groups, n=1, method="difference", against=0.0)
    >>> round(estimate.value, 3), round(estimate.low, 2), round(estimate.high, 2)
    (-0.1, -0.13, -0.07)
    """
    stream = generator(seed, "declared noise")
    bests = [np.asarray(np.min(losses), dtype=np.float64) for losses, _ in groups]
    lucks = [_lucks(losses, noise, stream) for losses, noise in groups]
    drawn = [
        statistic([best - luck for best, luck in zip(bests, chosen, strict=True)])
        for chosen in product(*lucks)
    ]
    bounds = [percentile_interval(each) for each in drawn]
    return Estimate(
        float(statistic(bests)),
        min(float(low) for low, _ in bounds),
        max(float(high) for _, high in bounds),
        n,
        method=_method(method, groups),
        p_value=max(_two_sided(each, against) for each in drawn),
    )


def of_runs(
    statistic: Statistic,
    runs: Group,
    best: Group | None = None,
    *,
    n: int,
    method: str,
    seed: int = 0,
) -> Estimate:
    """Estimate a function of all runs, for instance how many of them are below another's best.

    Args:
        statistic: of the losses ``[…, runs]``, over their last dimension, and of the loss of the
            best of the others ``[…, 1]``, if there are any.
        runs: losses ``[runs]`` with their noise.
        best: the losses that the best of the others was chosen from, with their noise.
        n, method, seed: as for ``of_bests``.
    """
    stream = generator(seed, "declared noise")
    losses = np.asarray(runs[0], dtype=np.float64)
    around = runs[1].around(losses, stream)
    if best is None:
        observed, drawn = statistic([losses]), [statistic([around])]
    else:
        lowest = np.min(best[0], keepdims=True)
        observed = statistic([losses, lowest])
        drawn = [statistic([around, lowest - luck[:, None]]) for luck in _lucks(*best, stream)]
    bounds = [percentile_interval(each) for each in drawn]
    return Estimate(
        float(observed),
        min(float(low) for low, _ in bounds),
        max(float(high) for _, high in bounds),
        n,
        method=_method(method, [runs] if best is None else [runs, best]),
    )


def _lucks(
    losses: ArrayLike, noise: SeedNoise, stream: np.random.Generator
) -> tuple[NDArray[np.float64], ...]:
    """By how much the best may be below its true loss ``[DRAWS]``: if alone, and among equals."""
    given = np.asarray(losses, dtype=np.float64)
    equals = max(1, int((given <= given.min() + RIVALS * noise.sd).sum()))
    drawn = noise.around(np.zeros(equals), stream)
    return (drawn[:, 0],) if equals == 1 else (drawn[:, 0], drawn.min(-1))


def _method(method: str, groups: Sequence[Group]) -> str:
    sources = "; ".join(dict.fromkeys(noise.source for _, noise in groups))
    return f"{method}; single runs, with {sources}"


def _two_sided(drawn: NDArray[np.float64], against: float) -> float:
    if math.isnan(against):
        return math.nan
    rarer = min((drawn >= against).sum(), (drawn <= against).sum())
    return float(min(1.0, 2 * (1 + rarer) / (1 + len(drawn))))
