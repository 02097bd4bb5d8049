"""A report as Markdown: the texts and the tables; charts by their titles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from descentlab.analysis.comparison import aligned
from descentlab.analysis.markdown import escaped
from descentlab.analysis.report.document import (
    Block,
    Chart,
    Code,
    Details,
    Document,
    Figure,
    Grid,
    Items,
    Paragraph,
    Verdict,
    written,
)
from descentlab.analysis.report.gathering import best_runs

LONGEST = 100_000
"""Characters of a sentence; nothing is cut."""


def markdown(document: Document) -> str:
    """The whole report as one text."""
    parts = [f"# {_said(document.title)}", "\n".join(f"- {_said(each)}" for each in document.facts)]
    for section in document.sections:
        parts.append(f"## {_said(section.title)}")
        for block in section.blocks:
            parts += _block(block, document.charts)
    parts += ["## Runs", *_block(best_runs(document.runs), document.charts)]
    return "\n\n".join(parts) + "\n"


def _block(block: Block, charts: Mapping[str, Chart]) -> Iterator[str]:
    match block:
        case Paragraph():
            yield _said(block.text)
        case Items():
            yield "\n".join(f"- {_said(each)}" for each in block.items)
        case Code():
            yield f"```toml\n{_fenced(block.text)}\n```"
        case Verdict():
            yield f"**{_said(block.heading)}: {_said(block.badge)}.** {_said(block.sentence)}"
            if block.details:
                yield "\n".join(f"- {_said(each)}" for each in block.details)
        case Grid():
            yield _grid(block)
            yield _said(block.caption)
        case Figure():
            chart = charts[block.chart]
            name = f"{_said(chart.title)}, {_said(chart.where)}"
            yield f"*Chart {block.chart}: {name}.* {_said(chart.alt)}"
        case Details():
            yield f"### {_said(block.summary)}"
            for inner in block.blocks:
                yield from _block(inner, charts)


def _grid(grid: Grid) -> str:
    rows = [
        [_said(written(cell, column)) for cell, column in zip(row, grid.columns, strict=True)]
        for row in grid.rows
    ]
    return aligned([_said(column.name) for column in grid.columns], rows)


def _said(text: str) -> str:
    return escaped(text, longest=LONGEST)


def _fenced(text: str) -> str:
    """Text within a fence, which no line of it can end."""
    lines = ("".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
             for line in text.strip("\n").split("\n"))  # fmt: skip
    return "\n".join(line.replace("```", "'''") for line in lines)
