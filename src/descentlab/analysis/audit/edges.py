"""Whether a method's best setting lies on the end of what was tried."""

from __future__ import annotations

import math
from collections.abc import Iterator

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.search import LOWER_BOUND, UPPER_BOUND, Cell, Search
from descentlab.analysis.audit.studies import methods_of, outwards
from descentlab.analysis.audit.tables import Evidence, listed

CHECK = "optimum-on-an-edge"
TUNED = ("lr", "beta")
"""What the axes begin with that are always tuned; others are, if they have three values."""


def optimum_on_an_edge(evidence: Evidence) -> Iterator[Finding]:
    """Best settings with the lowest or highest value on an axis, unless nothing lies beyond it."""
    for search in evidence.searches:
        best = search.best
        if best is None:
            continue
        edges = dict(_edges(search, best))
        if edges:
            yield _finding(search, best, edges)


def _edges(search: Search, best: Cell) -> Iterator[tuple[str, bool]]:
    for place, (axis, values) in enumerate(search.axes.items()):
        if len(values) < 3 and not axis.startswith(TUNED):
            continue
        value = best.point[place]
        if value == values[0] and value != LOWER_BOUND:
            yield axis, False
        elif value == values[-1] and value != UPPER_BOUND:
            yield axis, True


def _finding(search: Search, best: Cell, edges: dict[str, bool]) -> Finding:
    loss = search.loss(best)
    named = [f"the {'highest' if up else 'lowest'} {axis}" for axis, up in edges.items()]
    inside = [
        f"{math.exp(search.loss(each.cell) - loss) - 1:.1%} worse at {each.place}"
        for each in search.beside(best)
        if each.axis in edges and each.cell is not None and math.isfinite(search.loss(each.cell))
    ]
    beyond = {axis: outwards(search, axis, up=up) for axis, up in edges.items()}
    axes = {axis: values for axis, values in beyond.items() if values}
    return Finding(
        severity="warning",
        check=CHECK,
        where=search.where,
        what=f"the best of {len(search.cells):,} settings of {search.method}, {search.shown(best)} "
        f"(perplexity {math.exp(loss):.2f}), has {listed(named)} that was tried"
        + (f"; inside, perplexity is {listed(inside)}" if inside else ""),
        why="A better setting may lie beyond, so the method's result is a bound, not its best.",
        settle=f"Extend {search.method} there until its best lies inside.",
        runs=best.runs,
        study=methods_of({search.method: (search.settings(best), axes)}) if axes else "",
    )
