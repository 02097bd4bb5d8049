"""Tables for people: Markdown with aligned columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(
    header: Sequence[str], rows: Sequence[Sequence[str]], texts: Collection[int] = (0,)
) -> str:
    """Return a table.

    Args:
        header: the names of the columns.
        rows: their cells.
        texts: the columns of texts, by place; the others are numbers, and stand to the right.

    >>> print(aligned(["way", "ms"], [["slow", "120"], ["quick", "7"]]))
    | way   |  ms |
    | ----- | --: |
    | slow  | 120 |
    | quick |   7 |
    >>> print(aligned(["way", "n"], []))
    | way |  n |
    | --- | -: |
    """
    widths = [
        max(1 if n in texts else 2, *map(len, column))
        for n, column in enumerate(zip(header, *rows, strict=True))
    ]
    rule = [
        "-" * width if n in texts else "-" * (width - 1) + ":" for n, width in enumerate(widths)
    ]
    return "\n".join(_line(cells, widths, texts) for cells in (header, rule, *rows))


def _line(cells: Sequence[str], widths: Sequence[int], texts: Collection[int]) -> str:
    padded = (
        cell.ljust(width) if n in texts else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"
