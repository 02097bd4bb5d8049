"""How far an experiment or a study is, by the rows of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from descentlab.web.live.row import Row

SPARED = ("stopped", "failed", "damaged")
"""States of runs without a result that nobody is going to train on, unless told to."""


class Group(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An experiment, a study of none, or an imported sweep."""

    name: str
    runs: int
    states: dict[str, int]
    """How many of its runs are in each state."""
    trained: float
    """Share of all steps of its runs that were made."""
    left: float | None = None
    """Seconds until all its runs that no race has stopped are whole; None where nothing tells."""
    raced: bool = False
    """Whether races decide which of its runs are trained to their end."""
    imported: bool = False
    best: str = ""
    """The run with the lowest held-out loss."""


def groups_of(rows: Iterable[Row], raced: Iterable[str]) -> list[Group]:
    """Put rows into groups, those with running runs first, then by name, runs of none last.

    Args:
        rows: of all runs; one may be in several groups.
        raced: the names of groups with a race on record.
    """
    parts: dict[str, list[Row]] = {}
    for row in rows:
        for name in row.groups or ("",):
            parts.setdefault(name, []).append(row)
    found = [_group(name, part, raced=name in raced) for name, part in parts.items()]
    return sorted(
        found, key=lambda group: (-group.states.get("running", 0), not group.name, group.name)
    )


def _group(name: str, rows: list[Row], *, raced: bool) -> Group:
    states = Counter(row.state for row in rows)
    asked = sum(row.steps for row in rows)
    made = sum(_share(row) * row.steps for row in rows)
    finished = [row for row in rows if row.result is not None]
    best = min(finished, key=lambda row: row.result or 0.0, default=None)
    return Group(
        name=name,
        runs=len(rows),
        states=dict(states),
        trained=round(made / asked, 5) if asked else 1.0,
        left=_seconds_left(rows),
        raced=raced or states["paused"] + states["stopped"] > 0,
        imported=all(row.imported for row in rows),
        best="" if best is None else best.id,
    )


def _share(row: Row) -> float:
    """Of a run's steps, how many were made; one that has its result has no more to make."""
    if row.state in ("done", "diverged"):
        return 1.0
    return min(1.0, row.step / row.steps) if row.steps else 0.0


def _seconds_left(rows: list[Row]) -> float | None:
    """The tokens that are left, at the pace of finished runs, by as many as run now.

    Where none has finished, at the pace of those that run.
    """
    running = [row for row in rows if row.state == "running"]
    if not running:
        return None
    finished = [row for row in rows if row.state == "done" and row.rate and row.tokens]
    counted = finished or [row for row in running if row.rate and row.tokens]
    if not counted:
        return None
    seconds = sum(row.tokens / (row.rate or 1.0) for row in counted)
    pace = sum(row.tokens for row in counted) / seconds
    left = sum(row.tokens * (1 - _share(row)) for row in rows if row.state not in SPARED)
    return float(f"{left / pace / len(running):.3g}")
