"""Every curve of a store in few bytes: 16 bits for a loss, and one list of places for many runs."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from descentlab.analysis.report.document import Curve, Curves

MOST = 500
"""Points to keep of a curve; of a longer one each is the mean of as many as it takes."""
CODES = 65534
NOT_FINITE = 65535
HIGHEST = 100.0
"""Nats; what lies above is drawn there. No axis goes so far."""
DECIMALS = 6
"""Of a place, as a share of the training."""

Floats = NDArray[np.float64]


def packed(curves: pd.DataFrame, notes: tuple[str, ...] = ()) -> Curves:
    """Pack the curves of runs.

    Args:
        curves: as ``load_curves`` gives them.
        notes: on what could not be read.

    Returns:
        Curves of two points or more, one of them finite.
    """
    grids: dict[tuple[float, ...], int] = {}
    found: dict[str, dict[str, Curve]] = {"training": {}, "validation": {}}
    thinned = 0
    for (run, kind), own in curves.groupby(["run", "kind"], sort=False):
        if len(own) < 2 or not np.isfinite(own["loss"]).any():
            continue
        places = own["fraction"].to_numpy(dtype=np.float64)
        losses = own["loss"].to_numpy(dtype=np.float64)
        if len(own) > MOST:
            places, losses, thinned = _means(places), _means(losses), thinned + 1
        grid = tuple(np.round(places, DECIMALS).tolist())
        found[str(kind)][str(run)] = _curve(losses, grids.setdefault(grid, len(grids)))
    said = (f"{thinned:,} curves were longer than {MOST} points: each point is a mean of several.",)
    return Curves(
        grids=tuple(grids),
        training=found["training"],
        validation=found["validation"],
        notes=notes + said * (thinned > 0),
    )


def unpacked(curve: Curve) -> Floats:
    """The losses of a packed curve ``[points]`` in nats; nan where they were not finite.

    >>> curve = _curve(np.array([5.0, 4.0, np.inf, 3.0]), grid=0)
    >>> unpacked(curve).tolist()
    [5.0, 4.0, nan, 3.0]
    """
    codes = np.frombuffer(base64.b64decode(curve.codes), dtype="<u2").astype(np.float64)
    losses = curve.low + (curve.high - curve.low) * codes / CODES
    return np.where(codes == NOT_FINITE, np.nan, losses)


def last_losses(curves: Curves) -> pd.Series:
    """The last finite training loss of every run that has one, by run."""
    ends: Mapping[str, float] = {
        run: float(finite[-1])
        for run, curve in curves.training.items()
        if len(finite := (losses := unpacked(curve))[np.isfinite(losses)])
    }
    return pd.Series(ends, dtype="float64")


def _curve(losses: Floats, grid: int) -> Curve:
    finite = np.isfinite(losses)
    low = float(losses[finite].min()) if finite.any() else 0.0
    high = float(min(losses[finite].max(), HIGHEST)) if finite.any() else 1.0
    low = min(low, high)
    span = (high - low) or 1.0
    scaled = np.where(finite, (np.minimum(losses, high) - low) / span * CODES, NOT_FINITE)
    codes = np.round(scaled).astype("<u2").tobytes()
    return Curve(grid=grid, low=low, high=high, codes=base64.b64encode(codes).decode())


def _means(values: Floats) -> Floats:
    """Means of stretches of nearly equal length."""
    return np.array([part.mean() for part in np.array_split(values, MOST)])
