"""The median rule: a run stops that is worse than the median of the others at its step.

D. Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from descentlab.errors import ConfigError
from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.rungs import WINDOW
from descentlab.sweep.racing.scheduler import Scheduler


class Median(Scheduler):
    """Cells in a random order; at each tenth of its budget a cell meets the median.

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
        seed: int = 0,
        budget: float = 1.0,
        every: float = 0.1,
        startup: int = 4,
        width: int = 8,
    ) -> None:
        if not 0 < every <= 1:
            raise ConfigError(f"every: got {every}; a share of the budget in (0, 1]")
        self._fractions = [n * every for n in range(1, round(1 / every))] + [1.0]
        self._startup, self._width = startup, width
        self._told: list[dict[str, float]] = [{} for _ in self._fractions]
        super().__init__(cells, axes, seed=seed, budget=budget)

    def _begin(self) -> None:
        self._waiting = self.shuffled(list(self.grid.cells))
        self._start()

    def _start(self) -> None:
        while self._waiting and len(self._wanted) < self._width:
            if not self._want(self._waiting[0], self._fractions[0]):
                return
            key = self._waiting.pop(0)
            if key not in self._wanted:
                self._arrive(key)

    def _advance(self, key: str) -> None:
        self._arrive(key)
        self._start()

    def _arrive(self, key: str) -> None:
        """Compare a cell at every fraction that it has reached, and let it go on if it may."""
        for number, fraction in enumerate(self._fractions[:-1]):
            if self._diverged(key) or self.reached(key) < fraction - 1e-9:
                return
            if key in self._told[number]:
                continue
            others = list(self._told[number].values())
            score = self.curve(key).smoothed(fraction, WINDOW)
            self._told[number][key] = score
            if len(others) >= self._startup and score > (median := statistics.median(others)):
                self._decide(key, fraction, "dropped", "median", score=score, threshold=median)
                return
            self._decide(key, fraction, "kept", "median", score=score)
            if not self._want(key, self._fractions[number + 1]):
                self._decide(key, fraction, "dropped", "budget")
                return
