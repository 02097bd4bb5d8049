"""Cells that a grid lacks."""

from __future__ import annotations

import math
from collections.abc import Iterator

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.search import Search
from descentlab.analysis.audit.tables import Evidence, Table, listed

CHECK = "missing-cells"
A_GRID = 0.5
"""The share of a product's cells from which on they are a grid with gaps, not a search."""


def missing_cells(evidence: Evidence) -> Iterator[Finding]:
    """Grids of which cells were never tried, by accident or as a band on purpose."""
    seen: set[tuple[str, ...]] = set()
    for table in evidence.tables:
        banded = [each for each in table.searches if _lacks(each) and each.runs not in seen]
        seen.update(each.runs for each in banded)
        if banded:
            yield _finding(table, banded)


def _lacks(search: Search) -> bool:
    if search.frame["entries"].map(bool).all():
        return False  # a study on record says which cells it asked for
    whole = _whole(search)
    return len(search.axes) > 1 and A_GRID * whole <= len(search.cells) < whole


def _whole(search: Search) -> int:
    return math.prod(len(values) for values in search.axes.values())


def _finding(table: Table, banded: list[Search]) -> Finding:
    said = [
        f"{each.method} has {len(each.cells):,} of the {_whole(each):,} cells of its grid "
        f"({' × '.join(f'{len(values)} {axis}' for axis, values in each.axes.items())})"
        for each in banded
    ]
    return Finding(
        severity="note",
        check=CHECK,
        where=table.name,
        what="; ".join(said),
        why="Shares such as “most runs of A beat B”, means over an axis and response surfaces "
        "depend on which cells were left out.",
        settle=f"Say which cells of {listed([each.method for each in banded])} were left out and "
        "why, or train them; compare rows and columns only over the cells that both have.",
        runs=tuple(run for each in banded for run in each.runs),
    )
