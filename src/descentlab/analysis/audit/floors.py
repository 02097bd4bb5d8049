"""Whether the schedule has one shape: a floor that is a fixed learning rate gives it several."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.tables import Evidence, Table, listed

CHECK = "schedule-floor"


def schedule_floor(evidence: Evidence) -> Iterator[Finding]:
    """Tables in which the learning rate ends at different shares of its peak."""
    for table in evidence.tables:
        ends = _ends(table.frame)
        if ends.dropna().nunique() > 1:
            yield _finding(table, ends)


def _ends(frame: pd.DataFrame) -> pd.Series:
    """The share of the peak that each run's learning rate ends at; NaN if not on record."""
    floors = [each.get("schedule.floor_lr", math.nan) for each in frame["settings"]]
    shares = frame["lr"].rdiv(floors)
    return shares.map(lambda share: float(f"{share:.3g}"), na_action="ignore")


def _finding(table: Table, ends: pd.Series) -> Finding:
    parts = []
    for search in table.searches:
        if search.best is not None:
            best = ends[search.frame.index[search.frame["run"].isin(search.best.runs)]].dropna()
            parts += [f"{best.iloc[0]:.2%} for {search.method}"] if len(best) else []
    floors = {each.get("schedule.floor_lr") for each in table.frame["settings"]} - {None}
    absolute = f"the floor is {floors.pop():g} whatever the peak" if len(floors) == 1 else (
        "the floors differ")  # fmt: skip
    best = f": at the best settings {listed(parts)}" if parts else ""
    return Finding(
        severity="warning",
        check=CHECK,
        where=table.name,
        what=f"the learning rate ends at {ends.min():.2%} to {ends.max():.2%} of its peak, since "
        f"{absolute}{best}",
        why="The schedule has another shape for each learning rate, so tuning the rate tunes the "
        "schedule, and methods with small rates end far above the others' floor.",
        settle='Run the best settings with schedule = { floor = 0.0, floor_unit = "fraction" }, '
        "which gives all the same shape.",
        runs=tuple(table.frame["run"]),
    )
