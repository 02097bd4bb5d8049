"""A run's training loss so far, and the one number by which runs are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORST = 12.0
"""Nats. A loss above that of guessing among 160,000 tokens counts as this one, and so does one
that is not a number: a single spike must not decide a mean."""


@dataclass(frozen=True)
class Curve:
    """Training losses of single steps.

    Args:
        fractions: [n] share of the budget after each step, in rising order.
        losses: [n] nats per token; may hold NaN and inf.
    """

    fractions: NDArray[np.float64]
    losses: NDArray[np.float64]

    def smoothed(self, fraction: float, window: float) -> float:
        """The mean loss over the last part of what was trained up to a fraction.

        The window is a share of the fraction, so that rungs early and late rest on like
        parts of their training. It is wide against what may be uncertain about the
        fractions, which is 2.2% of the budget in the paper's released runs.

        Returns:
            Nats; infinite for a curve without a point up to the fraction.
        """
        end = int(np.searchsorted(self.fractions, fraction * (1 + 1e-9), side="right"))
        start = int(np.searchsorted(self.fractions, fraction * (1 - window), side="right"))
        chosen = self.losses[min(start, max(end - 1, 0)) : end]
        if chosen.size == 0:
            return math.inf
        return float(np.minimum(np.nan_to_num(chosen, nan=WORST, posinf=WORST), WORST).mean())


EMPTY = Curve(np.empty(0), np.empty(0))


def curve_of(records: Sequence[Mapping[str, Any]], steps: int) -> Curve:
    """The curve in a run's records, those of steps among them.

    Args:
        records: of ``metrics.jsonl``.
        steps: of a whole run.
    """
    points = [(each["step"] / steps, each["loss"]) for each in records if "loss" in each]
    if not points:
        return EMPTY
    fractions, losses = np.array(points, dtype=np.float64).T
    return Curve(fractions, losses)
