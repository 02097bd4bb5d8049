"""Contenders that count and write down their steps; a module that other processes can import."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Counting:
    """Writes its name into a file at each step, and fails or dies when told to."""

    name: str
    log: Path
    fails_at: int = 0
    dies_at: int = 0

    def __call__(self, turn: Callable[[], None]) -> None:
        step = 0
        while True:
            turn()
            step += 1
            if step == self.fails_at:
                raise ValueError(f"{self.name} cannot\ngo on")
            if step == self.dies_at:
                os._exit(9)
            with self.log.open("a") as log:
                log.write(self.name)
