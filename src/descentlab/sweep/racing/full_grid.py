"""No racing: every cell is trained to its end."""

from __future__ import annotations

from collections.abc import Iterator

from descentlab.sweep.racing.waves import Waves


class FullGrid(Waves):
    """What racing is measured against: the full price, and no regret."""

    name = "none"

    def _plan(self, keys: list[str]) -> Iterator[None]:
        self._wave(keys, 1.0)
        yield
