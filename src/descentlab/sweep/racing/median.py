"""The median rule: a run stops that is worse than the median of the others at its step.

D. Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Unpack

from descentlab.errors import ConfigError
from descentlab.sweep.racing.arrivals import Arrivals
from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.rungs import WINDOW
from descentlab.sweep.racing.scheduler import Usual


class Median(Arrivals):
    """At each tenth of its budget a cell meets the median of those that were there before.

    Args:
        cells, axes, seed, budget: as for every scheduler.
        every: fraction between two comparisons.
        startup: cells that must have come to a fraction before the rule holds there.
        width: cells in training at once.
    """

    name = "median"

    def __init__(
        self,
        cells: Sequence[Cell],
        axes: Mapping[str, Kind],
        *,
        every: float = 0.1,
        startup: int = 4,
        width: int = 8,
        **usual: Unpack[Usual],
    ) -> None:
        if not 0 < every <= 1:
            raise ConfigError(f"every: got {every}; a share of the budget in (0, 1]")
        self._startup = startup
        fractions = [*(n * every for n in range(1, round(1 / every))), 1.0]
        super().__init__(cells, axes, fractions=fractions, width=width, **usual)

    def _arrive(self, key: str) -> None:
        for fraction, following in pairwise(self._fractions):
            if self._diverged(key) or self.reached(key) < fraction - 1e-9:
                return
            if key in self._told[fraction]:
                continue
            others = list(self._told[fraction].values())
            score = self.curve(key).smoothed(fraction, WINDOW)
            self._told[fraction][key] = score
            if len(others) >= self._startup and score > (median := statistics.median(others)):
                self._decide(key, fraction, "dropped", "median", score=score, threshold=median)
                return
            self._decide(key, fraction, "kept", "median", score=score)
            if not self._want(key, following):
                self._decide(key, fraction, "dropped", "budget")
                return
