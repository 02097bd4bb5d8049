"""Tables for people: Markdown with aligned columns."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is text, and whose others are numbers.

    >>> print(aligned(["way", "ms"], [["slow", "120"], ["quick", "7"]]))
    | way   |  ms |
    | ----- | --: |
    | slow  | 120 |
    | quick |   7 |
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(cells, widths) for cells in (header, rule, *rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers = cells
    padded = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
    return f"| {' | '.join([name.ljust(widths[0]), *padded])} |"
