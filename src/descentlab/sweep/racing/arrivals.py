"""Schedulers that decide whenever a report arrives, without waiting for the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Unpack

from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.scheduler import Scheduler, Usual


class Arrivals(Scheduler):
    """Cells in a random order, so many in training at once, compared at fixed fractions.

    Decisions depend on the order of the reports.

    Args:
        cells, axes, seed, budget: as for every scheduler.
        fractions: of the budget, at which cells are compared; the last is 1.
        width: cells in training at once.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        axes: Mapping[str, Kind],
        *,
        fractions: Sequence[float],
        width: int,
        **usual: Unpack[Usual],
    ) -> None:
        self._fractions, self._width = fractions, width
        self._told: dict[float, dict[str, float]] = {fraction: {} for fraction in fractions}
        super().__init__(cells, axes, **usual)

    def _begin(self) -> None:
        self._waiting = self.shuffled(list(self.grid.cells))
        self._start()

    def _start(self) -> None:
        """Begin new cells while there is room and budget."""
        while self._waiting and len(self._wanted) < self._width:
            if not self._want(self._waiting[0], self._fractions[0]):
                return
            key = self._waiting.pop(0)
            if key not in self._wanted:  # it had come so far before
                self._arrive(key)

    def _advance(self, key: str) -> None:
        self._arrive(key)
        self._start()

    @abstractmethod
    def _arrive(self, key: str) -> None:
        """Compare a cell at every fraction that it has reached, and say what goes on."""
