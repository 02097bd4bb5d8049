"""Speed-up as budget to match: which share of its budget one method needs for another's final loss.

Two sources, in order of preference:

- *Between budgets.* The method was tuned at two budgets or more, each with its own schedule to the
  end. Perplexity as a power of tokens is a loss that is linear in log tokens; it is followed from
  one tuned optimum to the next, and beyond the outermost ones (compare Hoffmann et al. 2022).
- *Within one curve*, where there is one budget. The training loss of the winner, less its last
  value, is compared with how far the other method's final loss lies above the winner's. Before
  the end of a run its learning rate is still high, so its loss there is above that of a run that
  ends there, and the share comes out too large: read it as an upper bound.

The intervals carry what seeds alone do. The optima are the best of many settings, so they
are a little lucky; where methods had as many trials, this concerns both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import ArrayLike, NDArray

from descentlab.analysis.amounts import short
from descentlab.analysis.statistics.estimate import CONFIDENCE, Estimate, without_interval
from descentlab.analysis.statistics.resampling import RESAMPLES, generator, percentile_interval
from descentlab.errors import ConfigError

Floats = NDArray[np.float64]
SINCE = (0.5, 0.25, 0.1)
"""Fractions of the steps from which on a curve is fitted: the first one after which it still
falls to the loss asked for. 0.1 is the end of the paper's warm-up."""
DEGREE = 3
POINTS = 500
"""Of a curve at most; longer ones are averaged over equal parts."""
FEWEST_POINTS = 10
NO_ERROR = "single seeds, and no seed noise was declared"


def share_between_budgets(
    tokens: Sequence[float],
    optima: Sequence[ArrayLike],
    target: ArrayLike,
    *,
    reference: float,
    noise: float | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Share of the reference budget at which the tuned losses of several budgets meet the target.

    Args:
        tokens: ``[m]`` budgets, two or more, each of which the method was tuned for.
        optima: final losses in nats of the best setting at each budget, ``[n_i]`` by seed.
        target: final losses ``[n]`` of the other method's best setting by seed.
        reference: tokens that the other method took.
        noise: standard deviation of a final loss over seeds in nats, for where optima and target
            have a single seed each; with several, their pooled standard deviation is used.
        confidence, resamples, seed: of the interval. Each draw moves every mean by its error, with
            one variance drawn for all from its scaled inverse χ² (a generalised pivot, Weerahandi
            1993): three seeds give an interval as wide as Student's t would.

    Returns:
        Above 1 where the method is slower, and infinite where more tokens do not help it.

    Raises:
        ConfigError: for fewer than two budgets, or none for each.

    >>> share = share_between_budgets([1e9, 2e9], [[3.2], [3.0]], [3.1], reference=2e9)
    >>> round(share.value, 3)  # halfway in log tokens: 2^−½
    0.707
    """
    if len(tokens) != len(optima) or len({*tokens}) < 2 or min(*tokens, reference) <= 0:
        raise ConfigError(
            f"budgets: got {len(tokens)} budgets and {len(optima)} optima; allowed are two or more "
            "different positive budgets, each with its optimum"
        )
    order = np.argsort(tokens)
    log_tokens = np.log(np.asarray(tokens, dtype=np.float64)[order])
    groups = [np.asarray(each, dtype=np.float64) for each in (*(optima[i] for i in order), target)]
    means = np.array([np.mean(each) for each in groups], dtype=np.float64)
    n = sum(map(len, groups))
    method = f"between tuned optima at {_budgets(np.exp(log_tokens))} tokens"
    if not np.isfinite(means).all():
        reason = "a tuned optimum diverged or has no loss"
        return without_interval(math.nan, n, method=method, reason=reason)
    needed = float(_tokens_to(log_tokens, means[None])[0])
    value = needed / reference
    if not min(tokens) <= needed <= max(tokens):
        method += ", extrapolated"
    error = seed_error(groups, noise)
    if error is None:
        return without_interval(value, n, method=method, reason=NO_ERROR)
    stream = generator(seed, "share between budgets")
    errors = error.draws(stream, resamples)[:, None] / np.sqrt([len(each) for each in groups])
    moved = means + errors * stream.standard_normal((resamples, len(groups)))
    low, high = percentile_interval(_tokens_to(log_tokens, moved) / reference, confidence)
    method += f"; {error}"
    return Estimate(value, float(low), float(high), n, method=method, confidence=confidence)


def share_within_curve(
    fractions: ArrayLike,
    losses: ArrayLike,
    gaps: ArrayLike,
    *,
    noise: float | None = None,
    drawn_positions: bool = False,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Share of a run after which its training loss is as far above its end as the target.

    A cubic s(f) is fitted by least squares to the training losses in the second half, and the
    share is the first f with ``s(f) − s(1) ≤ gap``. If that is so from the half on, the fit starts
    earlier. Differences of training losses stand for differences of held-out losses, so a constant
    distance between the two does not matter.

    Args:
        fractions: ``[p]`` of the run's steps, in rising order.
        losses: ``[p]`` training losses there in nats, a noisy step each, or means over seeds.
        gaps: ``[n]`` by seed, the other method's final loss less this one's, in nats.
        noise: standard deviation of a final loss over seeds in nats, for a single gap.
        drawn_positions: whether the points are steps drawn at random and ``fractions`` are where
            they are expected, as in the paper's released runs. Then the draws move them, too.
        confidence, resamples, seed: of the interval, which draws the gap from Student's t, or from
            the noise of two runs, and the residuals of the cubic with replacement.

    Returns:
        Infinite if the method does not reach the other's loss within its own budget.

    Raises:
        ConfigError: for a curve with fewer than 10 points in its second half.
    """
    x, y = np.asarray(fractions, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    between = np.asarray(gaps, dtype=np.float64)
    n, gap = len(between), float(np.mean(between))
    if x.shape != y.shape or (x > SINCE[0]).sum() < FEWEST_POINTS:
        raise ConfigError(
            f"curve: got {x.shape} fractions and {y.shape} losses; allowed are as many of both, "
            f"{FEWEST_POINTS} or more of them in the second half of the run"
        )
    if not math.isfinite(gap) or not np.isfinite(y[x > SINCE[-1]]).all():
        reason = "a run diverged or has no loss"
        return without_interval(math.nan, n, method="within one curve", reason=reason)
    curve = next((c for since in SINCE if (c := _curve(x, y, since)).falls_by > gap), None)
    curve = curve or _curve(x, y, SINCE[-1])
    value = float(curve.first_below(np.array([gap]))[0])
    method = f"within one curve, cubic from {curve.since:g} of the budget on"
    if value <= curve.since:
        method += ", reached before that"
    error = seed_error([between], None if noise is None else noise * math.sqrt(2))
    if error is None:
        return without_interval(value, n, method=method, reason=NO_ERROR)
    stream = generator(seed, "share within a curve")
    errors = error.draws(stream, resamples) / math.sqrt(n)
    moved = gap + errors * stream.standard_normal(resamples)
    shares = curve.redrawn(stream, resamples, drawn_positions).first_below(moved)
    low, high = percentile_interval(shares, confidence)
    method += f"; {error}, and the curve's own"
    return Estimate(value, float(low), float(high), n, method=method, confidence=confidence)


class SeedError(NamedTuple):
    """How far a final loss lies from its mean over seeds."""

    deviation: float
    """Standard deviation in nats."""
    freedom: float
    """Degrees of freedom of that estimate; infinite where it was declared."""

    def __str__(self) -> str:
        if math.isinf(self.freedom):
            return f"declared seed noise of {self.deviation:.3g} nats"
        return f"seed noise of {self.deviation:.3g} nats, {self.freedom:g} degrees of freedom"

    def draws(self, stream: np.random.Generator, count: int) -> Floats:
        """Return standard deviations ``[count]`` that may have given this estimate."""
        if math.isinf(self.freedom):
            return np.full(count, self.deviation)
        return self.deviation * np.sqrt(self.freedom / stream.chisquare(self.freedom, count))


def seed_error(groups: Sequence[Floats], noise: float | None) -> SeedError | None:
    """Pool the deviation within groups ``[n_i]`` by seed; the declared one for single seeds.

    >>> print(seed_error([np.array([3.0, 3.2]), np.array([2.9, 3.1])], None))
    seed noise of 0.141 nats, 2 degrees of freedom
    """
    freedom = sum(len(each) - 1 for each in groups)
    if freedom >= 1:
        squares = sum(float(((each - each.mean()) ** 2).sum()) for each in groups)
        return SeedError(math.sqrt(squares / freedom), freedom)
    return None if noise is None else SeedError(noise, math.inf)


def _tokens_to(log_tokens: Floats, losses: Floats) -> Floats:
    """Tokens ``[R]`` at which losses ``[R, m]`` meet the target ``[R]``, their last column.

    The first segment on which the loss falls to the target decides; a target above the first
    loss or below all lies on the nearest segment's line, and nowhere if that does not fall.
    """
    losses, target = losses[:, :-1], losses[:, -1]
    slopes = np.diff(losses, axis=1) / np.diff(log_tokens)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        beyond = log_tokens[-1] + (target - losses[:, -1]) / slopes[:, -1]
        found = np.where(slopes[:, -1] < 0, beyond, np.inf)
        for i in reversed(range(slopes.shape[1])):
            inside = (losses[:, i] > target) & (losses[:, i + 1] <= target)
            at = log_tokens[i] + (target - losses[:, i]) / slopes[:, i]
            found = np.where(inside, at, found)
        before = log_tokens[0] + (target - losses[:, 0]) / slopes[:, 0]
        early = np.where(slopes[:, 0] < 0, before, -np.inf)
        return np.exp(np.where(losses[:, 0] <= target, early, found))


class _Curve(NamedTuple):
    """A cubic through the points of a curve from a fraction on, or many such ``[R, …]``."""

    since: float
    x: Floats
    y: Floats
    coefficients: Floats

    @property
    def falls_by(self) -> float:
        ends = _basis(np.array([self.since, 1.0]), self.since) @ self.coefficients[0]
        return float(ends[0] - ends[1])

    def first_below(self, gaps: Floats) -> Floats:
        """First fraction ``[R]`` where the cubic is at most the gap ``[R]`` above its end."""
        at = np.linspace(self.since, 1.0, 1001)
        heights = self.coefficients @ _basis(at, self.since).T
        reached = heights - heights[:, -1:] <= gaps[:, None]
        return np.where(reached.any(axis=1), at[reached.argmax(axis=1)], np.inf)

    def redrawn(self, stream: np.random.Generator, count: int, positions: bool) -> _Curve:
        """Fit again to points with residuals, and positions if asked for, drawn anew."""
        n = len(self.x)
        fitted = _basis(self.x, self.since) @ self.coefficients[0]
        residuals = (self.y - fitted) * math.sqrt(n / (n - DEGREE - 1))
        y = fitted + residuals[stream.integers(0, n, (count, n))]
        x = np.broadcast_to(self.x, y.shape)
        if positions:
            x = self.since + (1 - self.since) * np.sort(stream.random(y.shape), axis=1)
        return self._replace(coefficients=_fitted(x, y, self.since))


def _curve(x: Floats, y: Floats, since: float) -> _Curve:
    late = x > since
    parts = min(POINTS, int(late.sum()))
    x, y = (
        np.array([part.mean() for part in np.array_split(each[late], parts)]) for each in (x, y)
    )
    return _Curve(since, x, y, _fitted(x[None], y[None], since))


def _basis(x: Floats, since: float) -> Floats:
    scaled = (2 * x - 1 - since) / (1 - since)
    return np.asarray(chebvander(scaled, DEGREE), dtype=np.float64)


def _fitted(x: Floats, y: Floats, since: float) -> Floats:
    """Least squares by the normal equations, well conditioned for Chebyshev polynomials."""
    basis = _basis(x, since)
    moments = np.einsum("rpi,rpj->rij", basis, basis)
    return np.linalg.solve(moments, np.einsum("rpi,rp->ri", basis, y)[..., None])[..., 0]


def _budgets(tokens: Floats) -> str:
    """Budgets in words.

    >>> _budgets(np.array([2.5e9, 3.25e9]))
    '2.5B and 3.25B'
    """
    return " and ".join(map(short, tokens))
