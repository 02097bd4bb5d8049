"""What a comparison adds to the report on its runs: costs, searches, conformance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from descentlab.analysis.report.document import Block, Cell, Column, Grid, Items, Paragraph, Section
from descentlab.contests.compare import Comparison
from descentlab.contests.comparison_report import COST_LEGEND, rows_of, searched, tested
from descentlab.optim.conformance.outcome import Outcome

COLUMNS = {
    "method": Column("method"),
    "state_bytes": Column("state, bytes per parameter", ".3g"),
    "update_ratio": Column("update, of fused AdamW's", ".2f"),
    "step_ms": Column("step, ms", ".3g"),
    "equal_time_steps": Column("steps at equal time", ".0f"),
    "equal_time_perplexity": Column("perplexity at equal time", ".2f"),
    "equal_time_rank": Column("rank at equal time", ".0f"),
}
"""Of the cost card, by column of the table that the comparison is written as."""


def sections(found: Comparison, outcomes: Mapping[str, Sequence[Outcome]]) -> list[Section]:
    """The cost card, how each candidate was searched, and what the conformance kit said.

    Args:
        found: what came out.
        outcomes: of the conformance kit, by candidate.
    """
    parts: list[Section] = []
    if found.costs or found.paces:
        parts.append(_section("cost", "What each costs", _costs(found), Paragraph(COST_LEGEND)))
    parts.append(_section("searches", "How each was searched", Items(tuple(searched(found)))))
    if outcomes:
        said = [line for own in tested(outcomes).values() for line in own]
        parts.append(_section("conformance", "Conformance", Items(tuple(said))))
    return parts


def _section(key: str, title: str, *blocks: Block) -> Section:
    return Section(key=key, title=title, blocks=blocks)


def _costs(found: Comparison) -> Grid:
    rows = tuple(tuple(_known(row[name]) for name in COLUMNS) for row in rows_of(found))
    return Grid(
        key="cost-card",
        columns=tuple(COLUMNS.values()),
        rows=rows,
        caption="What each method costs, in the order of perplexity.",
    )


def _known(cell: str | float) -> Cell:
    return None if isinstance(cell, float) and math.isnan(cell) else cell
