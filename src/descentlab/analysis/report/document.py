"""What a report is made of: sections of blocks, charts, curves and runs. Plain data, no markup.

Texts are plain sentences; names from a store stand in them as they are. Whoever writes a document
out escapes them for what they write.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

Cell = str | int | float | None
"""None where there is nothing to say; an infinite number is that of diverged runs."""

Tone = Literal["good", "bad", "warning", "quiet"]


class Paragraph(msgspec.Struct, frozen=True, tag="paragraph"):
    """Sentences."""

    text: str
    quiet: bool = False
    """Whether it is a remark on what stands above."""


class Items(msgspec.Struct, frozen=True, tag="items"):
    """A list of sentences."""

    items: tuple[str, ...]


class Code(msgspec.Struct, frozen=True, tag="code"):
    """Text to copy, with its line breaks."""

    text: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True, tag="verdict"):
    """A judgement in one sentence, and what it rests on."""

    badge: str
    tone: Tone
    heading: str
    """What is judged."""
    sentence: str
    details: tuple[str, ...] = ()
    """n, the test, caveats."""
    target: str = ""
    """The key of the section that has more; none if empty."""


class Column(msgspec.Struct, frozen=True):
    """A column of a grid."""

    name: str
    form: str = ""
    """How its numbers are written, as Python's format has it; texts without one."""


class Grid(msgspec.Struct, frozen=True, kw_only=True, tag="grid"):
    """A table."""

    key: str
    """Of its file, unique in a document."""
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str


class Figure(msgspec.Struct, frozen=True, tag="figure"):
    """The place of a chart."""

    chart: str
    """Its key."""


class Details(msgspec.Struct, frozen=True, tag="details"):
    """Blocks that are shown when asked for."""

    summary: str
    blocks: tuple[Paragraph | Items | Code | Verdict | Grid | Figure, ...]


Block = Paragraph | Items | Code | Verdict | Grid | Figure | Details


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a report under a heading."""

    key: str
    """Its anchor: letters, digits and hyphens, unique in a document."""
    title: str
    blocks: tuple[Block, ...]


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of a chart."""

    title: str
    kind: Literal["linear", "log", "names"] = "linear"
    names: tuple[str, ...] = ()
    """Of the places 0, 1, …, where the axis has names."""
    low: float | None = None
    top: float | None = None
    """Where it ends; what lies above is drawn at the edge."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one name. Those without y are drawn at the upper edge: they diverged."""

    name: str
    color: int
    """Its place in the palette."""
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    """Bounds of intervals; empty if it has none."""
    labels: tuple[str, ...] = ()
    """What to say of each point besides its place."""
    runs: tuple[str, ...] = ()
    """The run behind each point."""
    line: bool = False
    dashed: bool = False
    faint: bool = False
    points: bool = True


class LineChart(msgspec.Struct, frozen=True, kw_only=True, tag="lines"):
    """Lines and points over two axes."""

    title: str
    where: str
    """The comparison that it belongs to."""
    alt: str
    """What it shows, for who cannot see it."""
    note: str
    """How to read it."""
    x: Axis
    y: Axis
    series: tuple[Series, ...]


class HeatMap(msgspec.Struct, frozen=True, kw_only=True, tag="heat"):
    """A number for each row and column, as a colour; lower is better and lighter."""

    title: str
    where: str
    """The comparison that it belongs to."""
    alt: str
    note: str
    x: str
    y: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    """``[rows][columns]`` of what is coloured; None where nothing was tried, infinite if all
    diverged."""
    texts: tuple[tuple[str, ...], ...] = ()
    """Written into the cells."""
    labels: tuple[tuple[str, ...], ...] = ()
    """What to say of each cell."""
    marked: tuple[tuple[int, int], ...] = ()
    """Row and column of cells that are framed: those with equal betas."""
    best: tuple[int, int] | None = None
    """The cell that is marked as the lowest."""
    scale: str
    """What the colour stands for."""
    cap: float
    """The value from which on colours are the same."""


class CurveChart(msgspec.Struct, frozen=True, kw_only=True, tag="curves"):
    """Training curves of runs; the reader may choose others."""

    title: str
    where: str
    """The comparison that it belongs to."""
    alt: str
    note: str
    groups: Mapping[str, tuple[str, ...]]
    """By name, the runs that are drawn at first, in the order of the palette."""
    members: Mapping[str, tuple[str, ...]]
    """By the same names, the best of all runs that have a curve."""
    counts: Mapping[str, int]
    """By the same names, how many have one."""
    top: float
    """The perplexity at which its axis ends."""


Chart = LineChart | HeatMap | CurveChart


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Losses of a run in 16 bits each, over places that many runs share."""

    grid: int
    """Which of the document's grids has the places."""
    low: float
    high: float
    """Losses in nats that the codes 0 and 65534 stand for; 65535 is not finite."""
    codes: str
    """Little-endian, in base64."""


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """All curves of a store."""

    grids: tuple[tuple[float, ...], ...]
    """Places as shares of the training."""
    training: Mapping[str, Curve]
    validation: Mapping[str, Curve]
    """Both by run."""
    notes: tuple[str, ...] = ()
    """How they were thinned, and what could not be read."""


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """Every run, column by column."""

    columns: Mapping[str, tuple[Any, ...]]
    settings: Mapping[str, tuple[tuple[Any, ...], tuple[int, ...]]]
    """By dotted key: the values that there are, and which of them each run has, −1 for none."""
    environments: tuple[Mapping[str, Any], ...]
    """Distinct ones; the column ``environment`` says which is whose."""

    def __len__(self) -> int:
        return len(self.columns["run"])


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A report."""

    title: str
    facts: tuple[str, ...]
    """What was looked at, when and by which version."""
    sections: tuple[Section, ...]
    charts: Mapping[str, Chart]
    """By key, in the order of their figures."""
    runs: Runs
    curves: Curves
    compared: tuple[str, ...]
    """The names of what was compared; the column ``comparisons`` of the runs counts in them."""


def written(cell: Cell, column: Column) -> str:
    """A cell as a page or a text has it.

    >>> written(21.857, Column("perplexity", ".2f")), written(float("inf"), Column("", ".2f"))
    ('21.86', 'diverged')
    >>> written(None, Column("")), written(1430, Column("", ",")), written(-0.5, Column("", ".1f"))
    ('–', '1,430', '−0.5')
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if isinstance(cell, float) and math.isinf(cell):
        return "diverged"
    if isinstance(cell, str) or not column.form:
        return str(cell)
    return format(cell, column.form).replace("-", "−")


def blocks_of(sections: Sequence[Section]) -> list[Block]:
    """All blocks in their order, those inside of others after these."""
    found: list[Block] = []
    for section in sections:
        for block in section.blocks:
            found.append(block)
            if isinstance(block, Details):
                found += block.blocks
    return found
