"""CSV and JSON lines → columns of plain cells, inside the limited process."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from descentlab.analysis.imports.pickle_scan import Refused
from descentlab.analysis.imports.table import Cell, Table

MOST_CELLS = 1_000_000
MOST_COLUMNS = 1000
LONGEST_TEXT = 4096
"""Letters of a name or a cell."""
DEEPEST = 4
"""Levels of objects within objects, whose keys are joined by dots."""

INTEGER = re.compile(r"[+-]?\d{1,18}")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?|[+-]?(nan|inf|infinity)", re.I)


def read_csv(raw: bytes) -> Table:
    """Read comma-separated values with a header; an empty cell is nothing.

    Raises:
        Refused: if it is none, or too large.
    """
    csv.field_size_limit(LONGEST_TEXT)
    lines = csv.reader(io.StringIO(_decoded(raw), newline=""), strict=True)
    try:
        header = next(lines, None)
        if not header:
            raise Refused("it has no header")
        columns: dict[str, list[Cell]] = {name: [] for name in header}
        if len(columns) != len(header) or len(header) > MOST_COLUMNS:
            raise Refused(f"its header names a column twice, or more than {MOST_COLUMNS:,}")
        for number, line in enumerate(filter(None, lines), start=1):
            if len(line) != len(header):
                raise Refused(f"row {number} has {len(line)} cells; the header has {len(header)}")
            if number * len(header) > MOST_CELLS:
                raise Refused(f"it has more than {MOST_CELLS:,} cells")
            for cells, text in zip(columns.values(), line, strict=True):
                cells.append(_value(text))
    except csv.Error as error:
        raise Refused(f"it is not CSV: {error}, line {lines.line_num}") from None
    return checked(columns)


def read_jsonl(raw: bytes) -> Table:
    """Read JSON objects, one a line; keys within keys are joined by dots.

    Lists are passed over, as are objects that are nested deeper than four levels.

    Raises:
        Refused: if it is none, or too large.
    """
    rows: list[dict[str, Cell]] = []
    names: dict[str, None] = {}
    for number, line in enumerate(raw.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Refused(f"line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise Refused(f"line {number} is no JSON object")
        rows.append(flat := dict(_flat(row, "", DEEPEST)))
        names |= dict.fromkeys(flat)
        if len(names) > MOST_COLUMNS or len(rows) * len(names) > MOST_CELLS:
            raise Refused(f"it has more than {MOST_COLUMNS:,} columns or {MOST_CELLS:,} cells")
    return checked({name: [row.get(name) for row in rows] for name in names})


def _decoded(raw: bytes) -> str:
    try:
        return raw.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"byte {error.start:,} is not UTF-8") from None


def _value(text: str) -> Cell:
    stripped = text.strip()
    if not stripped:
        return None
    if INTEGER.fullmatch(stripped):
        return int(stripped)
    return float(stripped) if NUMBER.fullmatch(stripped) else stripped


def _flat(row: dict[str, Any], prefix: str, levels: int) -> Iterable[tuple[str, Cell]]:
    for name, value in row.items():
        if isinstance(value, dict):
            if levels > 1:
                yield from _flat(value, f"{prefix}{name}.", levels - 1)
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            yield f"{prefix}{name}", float(value) if abs(value) < 2**1000 else math.inf
        elif not isinstance(value, list):
            yield f"{prefix}{name}", value


def checked(columns: dict[str, list[Cell]]) -> Table:
    """Make a table, unless a text in it is too long.

    Raises:
        Refused: if one is.
    """
    texts = [each for cells in columns.values() for each in cells if isinstance(each, str)]
    if any(len(each) > LONGEST_TEXT for each in [*columns, *texts]):
        raise Refused(f"it has a text of more than {LONGEST_TEXT:,} letters")
    return Table(columns)
