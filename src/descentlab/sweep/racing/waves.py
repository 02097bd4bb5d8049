"""Schedulers that decide in waves: all that was asked is told before the next decision."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence

from descentlab.sweep.racing.grid import Cell
from descentlab.sweep.racing.scheduler import Scheduler


class Waves(Scheduler):
    """A scheduler whose course is written down as one generator.

    What it decides depends on the reports of a wave, and not on their order, nor on how much
    further some cells had come, unless they have diverged since. So a restart may tell of each
    cell only where it stands, in any order.
    """

    def _begin(self) -> None:
        self._course = self._plan(list(self.grid.cells))
        self._go_on()

    def enter(self, cells: Sequence[Cell]) -> None:
        """Let further cells into a race that is over, under the same rules.

        They meet those that were compared at the same rungs before, and the best.

        Raises:
            ConfigError: for a cell that is in the grid.
        """
        assert self.over
        self.grid.add(cells)
        self._course = self._plan([cell.key for cell in cells])
        self._go_on()

    def _advance(self, key: str) -> None:
        if not self._wanted:
            self._go_on()

    def _go_on(self) -> None:
        while not self._wanted:
            if next(self._course, "over") == "over":
                return

    @abstractmethod
    def _plan(self, keys: list[str]) -> Iterator[None]:
        """The whole course over some cells; each ``yield`` waits for all that is wanted."""

    def _wave(self, keys: Iterable[str], until: float) -> list[str]:
        """Want cells to be trained until a fraction; those that the budget does not pay for are
        dropped, and the others returned."""
        paid = []
        for key in keys:
            if self._want(key, until):
                paid.append(key)
            else:
                self._decide(key, self.reached(key), "dropped", "budget")
        return paid

    def _sound(self, keys: Iterable[str], fraction: float) -> list[str]:
        """Those cells that were trained until a fraction and did not diverge."""
        return [key for key in keys if not self._diverged(key) and self._has(key, fraction)]

    def _has(self, key: str, fraction: float) -> bool:
        return self.reached(key) >= fraction - 1e-9
