"""ASHA: successive halving without waiting for the others of a rung.

L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.rungs import WINDOW, check_rungs, rungs
from descentlab.sweep.racing.scheduler import Scheduler


class ASHA(Scheduler):
    """Promotes a cell as soon as it is among the best 1 of ``eta`` told at its rung.

    Promotions come before new cells, which are drawn at random. Decisions depend on the order
    of the reports.

    Args:
        cells, axes, seed, budget: as for every scheduler.
        first: fraction of the first rung.
        eta: factor between rungs.
        width: cells in training at once.
    """

    name = "asha"

    def __init__(
        self,
        cells: Sequence[Cell],
        axes: Mapping[str, Kind],
        *,
        seed: int = 0,
        budget: float = 1.0,
        first: float = 1 / 9,
        eta: float = 3.0,
        width: int = 8,
    ) -> None:
        check_rungs(first, eta)
        self._rungs, self._eta, self._width = rungs(first, eta), eta, width
        self._told: dict[float, dict[str, float]] = {fraction: {} for fraction in self._rungs}
        self._promoted: dict[float, set[str]] = {fraction: set() for fraction in self._rungs}
        super().__init__(cells, axes, seed=seed, budget=budget)

    def _begin(self) -> None:
        self._waiting = self.shuffled(list(self.grid.cells))
        self._start()

    def _start(self) -> None:
        """Begin new cells while there is room and budget."""
        while self._waiting and len(self._wanted) < self._width:
            if not self._want(self._waiting[0], self._rungs[0]):
                return
            key = self._waiting.pop(0)
            if key not in self._wanted:  # it had come so far before
                self._arrive(key)

    def _advance(self, key: str) -> None:
        self._arrive(key)
        self._start()
        if self.over and self.best() is None:
            self._promote_one()

    def _arrive(self, key: str) -> None:
        for fraction in self._rungs[:-1]:
            if key in self._told[fraction] or self.reached(key) < fraction - 1e-9:
                continue
            score = self.curve(key).smoothed(fraction, WINDOW)
            self._told[fraction][key] = math.inf if self._diverged(key) else score
            self._promote(fraction)

    def _promote_one(self) -> None:
        """With too few cells for a promotion at a high rung, let the best there go on."""
        for fraction in reversed(self._rungs[:-1]):
            if any(map(math.isfinite, self._told[fraction].values())):
                self._promote(fraction, at_least=1)
                return

    def _promote(self, fraction: float, *, at_least: int = 0) -> None:
        scores, promoted = self._told[fraction], self._promoted[fraction]
        order = sorted(scores, key=lambda key: scores[key])
        best = order[: max(at_least, math.floor(len(order) / self._eta))]
        following = self._rungs[self._rungs.index(fraction) + 1]
        for key in best:
            if key in promoted or self._diverged(key):
                continue
            if self._want(key, following):
                promoted.add(key)
                last = best[-1]
                self._decide(
                    key,
                    fraction,
                    "kept",
                    "promotion",
                    score=scores[key],
                    threshold=scores[last],
                    against=last,
                )
