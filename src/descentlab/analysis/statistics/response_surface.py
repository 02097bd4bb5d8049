"""The loss as a quadratic of Adam's hyper-parameters, and what β₁ = β₂ costs on it.

    loss ≈ c + gᵀu + ½·uᵀHu,    u = (log lr, log(1 − β₁), log(1 − β₂)), each scaled to [−1, 1],

by least squares (Box & Wilson 1951; Myers, Montgomery & Anderson-Cook 2016, chapter 6). The regret
of β₁ = β₂ is the minimum on that diagonal less the minimum over all, both within the range of the
settings fitted. A quadratic describes the surroundings of an optimum, not a whole grid: fit the
good region with ``within``, and look at ``ResponseSurface.doubts``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial import Delaunay

from descentlab.analysis.statistics.box_minimum import Quadratic, box_minimum
from descentlab.analysis.statistics.estimate import CONFIDENCE, Estimate
from descentlab.analysis.statistics.resampling import RESAMPLES, generator, percentile_interval
from descentlab.errors import ConfigError

Floats = NDArray[np.float64]
NAMES = ("lr", "β1", "β2")
PAIRS = tuple((i, j) for i in range(3) for j in range(i, 3))
TERMS = 1 + 3 + len(PAIRS)
GOOD_R_SQUARED = 0.8
"""Below, the surface leaves too much of the losses unexplained to be believed."""


@dataclass(frozen=True)
class Point:
    """Settings and the loss that the surface has there, in nats."""

    lr: float
    beta1: float
    beta2: float
    loss: float


@dataclass(frozen=True, kw_only=True)
class ResponseSurface:
    """A quadratic that was fitted to n settings."""

    center: Floats
    half_range: Floats
    """``[3]``: a setting's coordinate is ``u = (log − center) / half_range``."""
    u: Floats
    """``[n, 3]`` of the settings fitted."""
    losses: Floats
    """``[n]``, in nats."""
    coefficients: Floats
    """``[10]``: constant, linear, and the products in the order of ``PAIRS``."""
    optimum: Point
    equal_betas: Point
    """The best with β₁ = β₂."""
    r_squared: float
    residual_deviation: float
    """In nats, with n − 10 degrees of freedom."""
    lack_of_fit: float
    """P-value of residuals this large if the quadratic were true; undefined without the noise."""
    convex: bool
    """Whether H is positive definite. If not, it is a saddle or a ridge, and its minimum lies on
    an edge of the range."""
    left_out: int
    """Settings that diverged or were not good enough to be fitted."""

    @property
    def n(self) -> int:
        """How many runs the surface was fitted to."""
        return len(self.losses)

    def loss(self, lr: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> Floats:
        """Return the surface's loss at settings of any shape that broadcasts."""
        u = (_coordinates(lr, beta1, beta2) - self.center) / self.half_range
        return _design(u) @ self.coefficients

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the surface should not be trusted; empty if nothing speaks against it."""
        u = (self._logs(self.optimum) - self.center) / self.half_range
        edges = [f"{name} {'up' if at > 0 else 'down'}" for name, at in zip(NAMES, u, strict=True)
                 if abs(at) > 1 - 1e-9]  # fmt: skip
        found = {
            f"R² is only {self.r_squared:.2f}": self.r_squared < GOOD_R_SQUARED,
            f"lack of fit, p = {self.lack_of_fit:.2g}": self.lack_of_fit < 0.05,
            "it is a saddle or a ridge": not self.convex,
            f"the optimum is on an edge of the range: {', '.join(edges)}": bool(edges),
            "the optimum lies outside of the settings fitted": not edges and not self._inside(u),
        }
        return tuple(doubt for doubt, holds in found.items() if holds)

    def _inside(self, u: Floats) -> bool:
        return bool(Delaunay(self.u).find_simplex(u, tol=1e-9) >= 0)

    @staticmethod
    def _logs(point: Point) -> Floats:
        return _coordinates(point.lr, point.beta1, point.beta2)


def fit_surface(
    lr: ArrayLike,
    beta1: ArrayLike,
    beta2: ArrayLike,
    losses: ArrayLike,
    *,
    within: float = math.inf,
    noise: float | None = None,
) -> ResponseSurface:
    """Fit the quadratic to settings and their losses.

    Args:
        lr, beta1, beta2: ``[n]`` learning rates and decays in [0, 1); settings may repeat, with
            another seed.
        losses: ``[n]`` final losses in nats; a diverged one lies above every bound.
        within: nats above the lowest loss up to which settings are fitted.
        noise: standard deviation of a loss over seeds in nats. With it, lack of fit is
            ``residual sum of squares / noise² ~ χ²``; without it, settings that repeat give the
            F-test against their own spread.

    Raises:
        ConfigError: where there are too few settings, or one of the three takes fewer than three
            values, so that ten coefficients cannot be told.
    """
    logs, y = _coordinates(lr, beta1, beta2), np.asarray(losses, dtype=np.float64)
    kept = np.isfinite(y)
    kept &= y <= np.min(y[kept], initial=math.inf) + within
    logs, y, left_out = logs[kept], y[kept], int((~kept).sum())
    low, high = (logs.min(axis=0), logs.max(axis=0)) if len(y) else (np.zeros(3), np.zeros(3))
    center, half_range = (low + high) / 2, (high - low) / 2
    design = _design((logs - center) / np.where(half_range > 0, half_range, 1.0))
    if len(y) <= TERMS or np.linalg.matrix_rank(design) < TERMS:
        values = [len(np.unique(column.round(9))) for column in logs.T]
        told = ", ".join(f"{count} of {name}" for name, count in zip(NAMES, values, strict=True))
        raise ConfigError(
            f"response surface: got {len(y)} settings with values {told}; allowed are more than "
            f"{TERMS}, three values of each or more, not all on a line or plane"
        )
    coefficients = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=np.float64)
    residuals = y - design @ coefficients
    total, squares = float(((y - y.mean()) ** 2).sum()), float(residuals @ residuals)
    curvature = _quadratics(coefficients[None]).hessian[0]
    free, equal = _minima(coefficients[None], center, half_range)
    return ResponseSurface(
        center=center,
        half_range=half_range,
        u=(logs - center) / half_range,
        losses=y,
        coefficients=coefficients,
        optimum=_point(free, center, half_range),
        equal_betas=_point(equal, center, half_range),
        r_squared=1 - squares / total if total else 1.0,
        residual_deviation=math.sqrt(squares / (len(y) - TERMS)),
        lack_of_fit=_lack_of_fit(logs, y, squares, noise),
        convex=bool(np.linalg.eigvalsh(curvature)[0] > 0),
        left_out=left_out,
    )


def equal_betas_regret(
    surface: ResponseSurface,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """What β₁ = β₂ costs on the surface, in nats: never below 0.

    The interval is a residual bootstrap: the fit, plus residuals drawn with replacement and
    widened by ``√(n/(n − 10))``, is fitted again (Efron & Tibshirani 1993, chapter 9). No
    resample has a regret below 0, so a quantile of theirs never allows that there is none: the
    upper bound is the percentile, the lower one ``2·value − percentile``, or 0.

    Returns:
        With the doubts of the surface in ``method``.
    """
    design = _design(surface.u)
    fitted = design @ surface.coefficients
    residuals = (surface.losses - fitted) * math.sqrt(surface.n / (surface.n - TERMS))
    drawn = generator(seed, "response surface").integers(0, surface.n, (resamples, surface.n))
    again = (fitted + residuals[drawn]) @ np.linalg.pinv(design).T
    free, equal = _minima(again, surface.center, surface.half_range)
    value = max(0.0, surface.equal_betas.loss - surface.optimum.loss)
    _, high = percentile_interval(equal[1] - free[1], confidence)
    fit = f"quadratic through {surface.n} settings, R² = {surface.r_squared:.2f}"
    return Estimate(
        value,
        max(0.0, 2 * value - float(high)),
        max(0.0, float(high)),
        surface.n,
        method="; ".join((fit, "residual bootstrap", *surface.doubts)),
        confidence=confidence,
    )


def _coordinates(lr: ArrayLike, beta1: ArrayLike, beta2: ArrayLike) -> Floats:
    """Return ``[…, 3]``: log lr, log(1 − β₁), log(1 − β₂)."""
    rate, first, second = np.broadcast_arrays(*(np.asarray(x, float) for x in (lr, beta1, beta2)))
    if not ((rate > 0) & (first >= 0) & (first < 1) & (second >= 0) & (second < 1)).all():
        raise ConfigError(
            "response surface: allowed are lr > 0 and β1 and β2 in [0, 1), all defined"
        )
    return np.stack([np.log(rate), np.log1p(-first), np.log1p(-second)], axis=-1)


def _design(u: Floats) -> Floats:
    """Return the ten terms ``[…, 10]`` at coordinates ``[…, 3]``."""
    ones = np.ones((*u.shape[:-1], 1))
    products = np.stack([u[..., i] * u[..., j] for i, j in PAIRS], axis=-1)
    return np.concatenate([ones, u, products], axis=-1)


def _quadratics(coefficients: Floats) -> Quadratic:
    """Read ``[R, 10]`` coefficients as c + gᵀu + ½uᵀHu."""
    hessian = np.zeros((len(coefficients), 3, 3))
    for (i, j), column in zip(PAIRS, coefficients[:, 4:].T, strict=True):
        hessian[:, i, j] += column
        hessian[:, j, i] += column
    return Quadratic(coefficients[:, 0], coefficients[:, 1:4], hessian)


def _minima(
    coefficients: Floats, center: Floats, half_range: Floats
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Minima ``(u [R, 3], loss [R])`` over the range, and on the diagonal within it."""
    surfaces = _quadratics(coefficients)
    low = (center - half_range)[1:].max()
    high = (center + half_range)[1:].min()
    if low > high:
        raise ConfigError("response surface: β1 and β2 have no value in common to be equal at")
    middle, half = (low + high) / 2, (high - low) / 2
    # u = origin + directions·w, with w = (u₁, place on the diagonal) in [−1, 1]².
    origin = np.array([0.0, *(middle - center[1:]) / half_range[1:]])
    directions = np.array([[1.0, 0.0], *([0.0, half / each] for each in half_range[1:])])
    w, loss = box_minimum(surfaces.on_plane(origin, directions))
    return box_minimum(surfaces), (origin + w @ directions.T, loss)


def _point(found: tuple[Floats, Floats], center: Floats, half_range: Floats) -> Point:
    (u,), (loss,) = found
    rate, first, second = center + half_range * u
    return Point(
        lr=math.exp(rate),
        beta1=-math.expm1(first),
        beta2=-math.expm1(second),
        loss=float(loss),
    )


def _lack_of_fit(logs: Floats, y: Floats, squares: float, noise: float | None) -> float:
    freedom = len(y) - TERMS
    if noise is not None:
        return float(stats.chi2.sf(squares / noise**2, freedom))
    _, cell = np.unique(logs.round(9), axis=0, return_inverse=True)
    means = np.bincount(cell.ravel(), y) / np.bincount(cell.ravel())
    pure = float(((y - means[cell.ravel()]) ** 2).sum())
    repeats = len(y) - len(means)
    if repeats < 1 or freedom <= repeats or pure == 0:
        return math.nan
    ratio = ((squares - pure) / (freedom - repeats)) / (pure / repeats)
    return float(stats.f.sf(ratio, freedom - repeats, repeats))
