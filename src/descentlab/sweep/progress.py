"""How far a sweep is, for whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from descentlab.sweep.agenda import Spent


class RunningRun(NamedTuple):
    """How far a run is."""

    label: str
    step: int
    steps: int
    seconds_left: float | None
    """By the time that its last step took; None before the first."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a sweep is."""

    total: int
    done: int
    already_done: int
    """Of those, how many had their result before this sweep began."""
    diverged: int
    failed: int
    elapsed: float
    """Seconds."""
    seconds_left: float | None
    """An estimate; None until a run has given one."""
    running: list[RunningRun]
    elsewhere: int
    """Runs that another process on this store is working on."""
    retried: int = 0
    """Tries that failed and were, or will be, followed by another."""
    spent: Spent | None = None
    """Of a race, whose runs need not all come to their ends."""


Observe = Callable[[Progress], None]
