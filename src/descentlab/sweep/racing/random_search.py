"""Random search: as many whole runs as the budget pays for, drawn without repetition.

J. Bergstra, Y. Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 2012; here
over the cells of a grid.
"""

from __future__ import annotations

from collections.abc import Iterator

from descentlab.sweep.racing.waves import Waves


class RandomSearch(Waves):
    """Whole runs of cells in a random order, until the budget is spent."""

    name = "random"

    def _plan(self, keys: list[str]) -> Iterator[None]:
        for key in self.shuffled(keys):
            if not self._want(key, 1.0):
                break
        yield
