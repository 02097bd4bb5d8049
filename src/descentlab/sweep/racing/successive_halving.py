"""Plain successive halving, which compares all cells with one another at every rung.

K. Jamieson, A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", AISTATS 2016.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Unpack

from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.rungs import WINDOW, check_rungs, rungs
from descentlab.sweep.racing.scheduler import Usual
from descentlab.sweep.racing.waves import Waves


class SuccessiveHalving(Waves):
    """At each rung, 1 of ``eta`` goes on; rungs lie a factor of ``eta`` apart.

    Where the budget does not pay for all cells, it begins with a random part of them.

    Args:
        cells, axes, seed, budget: as for every scheduler.
        first: fraction of the first rung.
        eta: the factor.
    """

    name = "successive-halving"

    def __init__(
        self,
        cells: Sequence[Cell],
        axes: Mapping[str, Kind],
        *,
        first: float = 1 / 9,
        eta: float = 3.0,
        **usual: Unpack[Usual],
    ) -> None:
        check_rungs(first, eta)
        self._rungs, self._eta = rungs(first, eta), eta
        super().__init__(cells, axes, **usual)

    def _plan(self, keys: list[str]) -> Iterator[None]:
        alive = self._affordable(self.shuffled(keys))
        for fraction in self._rungs:
            alive = self._wave(alive, fraction)
            yield
            alive = self._sound(alive, fraction)
            if fraction < 1 and alive:
                alive = self._halved(alive, fraction)

    def _halved(self, alive: list[str], fraction: float) -> list[str]:
        score = {key: self.curve(key).smoothed(fraction, WINDOW) for key in alive}
        order = sorted(alive, key=lambda key: score[key])
        count = max(1, math.floor(len(alive) / self._eta))
        last = order[count - 1]
        for place, key in enumerate(order):
            self._decide(
                key,
                fraction,
                "kept" if place < count else "dropped",
                "halving",
                score=score[key],
                threshold=score[last],
                against=last,
            )
        return order[:count]

    def _affordable(self, keys: list[str]) -> list[str]:
        """The longest beginning of the cells whose whole course the budget pays for."""
        allowed = self.budget * self.grid.price
        for count in range(len(keys), 1, -1):
            dearest = sorted((self._budget(key) for key in keys[:count]), reverse=True)
            price, left, before = 0.0, count, 0.0
            for fraction in self._rungs:
                price += (fraction - before) * sum(dearest[:left])
                left, before = max(1, math.floor(left / self._eta)), fraction
            if price <= allowed:
                return keys[:count]
        return keys[:1]
