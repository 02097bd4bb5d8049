"""ASHA: successive halving without waiting for the others of a rung.

L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Unpack

from descentlab.sweep.racing.arrivals import Arrivals
from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.rungs import WINDOW, check_rungs, rungs
from descentlab.sweep.racing.scheduler import Usual


class ASHA(Arrivals):
    """Promotes a cell as soon as it is among the best 1 of ``eta`` told at its rung.

    Promotions come before new cells.

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
        first: float = 1 / 9,
        eta: float = 3.0,
        width: int = 8,
        **usual: Unpack[Usual],
    ) -> None:
        check_rungs(first, eta)
        self._eta = eta
        self._promoted: set[tuple[str, float]] = set()
        super().__init__(cells, axes, fractions=rungs(first, eta), width=width, **usual)

    def _advance(self, key: str) -> None:
        super()._advance(key)
        if self.over and self.best() is None:
            self._promote_one()

    def _arrive(self, key: str) -> None:
        for fraction in self._fractions[:-1]:
            if key in self._told[fraction] or self.reached(key) < fraction - 1e-9:
                continue
            score = self.curve(key).smoothed(fraction, WINDOW)
            self._told[fraction][key] = math.inf if self._diverged(key) else score
            self._promote(fraction)

    def _promote_one(self) -> None:
        """With too few cells for a promotion at a high rung, let the best there go on."""
        for fraction in reversed(self._fractions[:-1]):
            if any(map(math.isfinite, self._told[fraction].values())):
                self._promote(fraction, at_least=1)
                return

    def _promote(self, fraction: float, *, at_least: int = 0) -> None:
        scores = self._told[fraction]
        order = sorted(scores, key=lambda key: scores[key])
        best = order[: max(at_least, math.floor(len(order) / self._eta))]
        following = self._fractions[self._fractions.index(fraction) + 1]
        for key in best:
            if (key, fraction) in self._promoted or self._diverged(key):
                continue
            if self._want(key, following):
                self._promoted.add((key, fraction))
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
