"""How far a sweep is, for whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from descentlab.runs.races import Decision
from descentlab.sweep.agenda import Spent


class RunningRun(NamedTuple):
    """How far a run is."""

    label: str
    step: int
    steps: int
    seconds_left: float | None
    """By the time that its last step took; None before the first."""
    loss: float | None = None
    """Of its last step, in nats."""


class Best(NamedTuple):
    """The run with the lowest held-out loss so far."""

    label: str
    loss: float
    """In nats."""


class Raced(NamedTuple):
    """What races did so far."""

    stopped: int
    """Runs that stand still by a race's decision."""
    last: str
    """The newest decision with its numbers, in one line."""


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
    best: Best | None = None
    raced: Raced | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    """By label of a run that was given up, why."""


Observe = Callable[[Progress], None]


def raced(decisions: Sequence[Decision], labels: Mapping[str, str]) -> Raced | None:
    """Put decisions, the newest last, into a number and a line; None if there are none.

    >>> paused = Decision(
    ...     fraction=0.04, cell="a1", verdict="paused", rule="halving", score=4.5, threshold=4.25
    ... )
    >>> raced([paused], {"a1": "adam lr=0.01"})
    Raced(stopped=1, last='adam lr=0.01 paused at 4% by halving: 4.5000, where 4.2500 goes on')
    """
    if not decisions:
        return None
    latest = {each.cell: each for each in decisions}
    stopped = [each for each in latest.values() if _stops(each)]
    newest = next(filter(_stops, reversed(decisions)), decisions[-1])
    called = labels.get(newest.cell, newest.cell)
    numbers = "" if newest.score is None else f": {newest.score:.4f}"
    if numbers and newest.threshold is not None:
        numbers += f", where {newest.threshold:.4f} goes on"
    what = f"{newest.verdict} at {newest.fraction:.0%} by {newest.rule}"
    return Raced(len(stopped), f"{called} {what}{numbers}")


def _stops(decision: Decision) -> bool:
    """Whether its run goes no further; one that is whole has nothing left."""
    return decision.verdict != "kept" and decision.fraction < 1
