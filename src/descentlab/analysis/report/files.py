"""A report for programs: one JSON file with everything, or a folder of CSV tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from descentlab.analysis.report.curves import unpacked
from descentlab.analysis.report.document import (
    CurveChart,
    Document,
    Grid,
    HeatMap,
    LineChart,
    blocks_of,
)
from descentlab.storage import storage_errors

DIGITS = 6
"""Of losses in JSON; they were packed with fewer."""


def as_json(document: Document) -> bytes:
    """Everything that a report shows; curves as numbers, infinite cells as “diverged”."""
    content = msgspec.to_builtins(document)
    content["curves"] = {
        kind: {
            run: {
                "fraction": document.curves.grids[curve.grid],
                "loss": [_rounded(loss) for loss in unpacked(curve)],
            }
            for run, curve in getattr(document.curves, kind).items()
        }
        for kind in ("training", "validation")
    }
    content["curves"]["notes"] = document.curves.notes
    content["runs"] = list(_runs(document))
    return msgspec.json.encode(_plain(content)) + b"\n"


def write_tables(document: Document, out: Path) -> list[Path]:
    """Write every table, the values of every chart and the list of runs as CSV.

    Args:
        document: to write.
        out: a folder; made if it is not there, files of the same names are replaced.

    Raises:
        StorageError: if the disk refuses.
    """
    grids = [block for block in blocks_of(document.sections) if isinstance(block, Grid)]
    tables: dict[str, Iterator[Sequence[object]]] = {
        **{grid.key: _of_grid(grid) for grid in grids},
        **{f"chart-{key}": _of_chart(chart) for key, chart in document.charts.items()},
        "runs": _of_runs(document),
    }
    written = []
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, rows in tables.items():
            path = out / f"{name}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(_cells(row) for row in rows)
            written.append(path)
    return written


def _of_grid(grid: Grid) -> Iterator[Sequence[object]]:
    yield [column.name for column in grid.columns]
    yield from grid.rows


def _of_chart(chart: LineChart | HeatMap | CurveChart) -> Iterator[Sequence[object]]:
    match chart:
        case LineChart():
            yield ["name", chart.x.title or "place", chart.y.title, "low", "high", "said", "run"]
            for series in chart.series:
                columns = (series.low, series.high, series.labels, series.runs)
                rest = [each or (None,) * len(series.x) for each in columns]
                for x, y, *more in zip(series.x, series.y, *rest, strict=True):
                    place = chart.x.names[int(x)] if chart.x.names else x
                    yield [series.name, place, math.inf if y is None else y, *more]
        case HeatMap():
            yield [f"{chart.y} / {chart.x}", *chart.columns]
            for name, row in zip(chart.rows, chart.values, strict=True):
                yield [name, *row]
        case CurveChart():
            yield ["name", "run"]
            yield from ([name, run] for name, runs in chart.groups.items() for run in runs)


def _of_runs(document: Document) -> Iterator[Sequence[object]]:
    names = [*document.runs.columns, *document.runs.settings]
    yield names
    for run in _runs(document):
        settings = run["settings"]
        yield [run[name] if name in run else settings.get(name) for name in names]


def _runs(document: Document) -> Iterator[dict[str, Any]]:
    """One record per run, with its settings, and the names of what it was compared in."""
    runs = document.runs
    for place in range(len(runs)):
        record = {name: values[place] for name, values in runs.columns.items()}
        record["comparisons"] = [document.compared[number] for number in record["comparisons"]]
        found = {
            key: values[at[place]] for key, (values, at) in runs.settings.items() if at[place] >= 0
        }
        yield {**record, "settings": found}


def _cells(row: Iterable[object]) -> list[object]:
    return [_cell(each) for each in row]


def _cell(value: object) -> object:
    """A cell of a CSV file: an infinite result says that it diverged, a list is JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return "" if math.isnan(value) else "diverged"
    if isinstance(value, list | tuple | Mapping):
        return msgspec.json.encode(value).decode() if value else ""
    # A text that a spreadsheet would take for a formula is kept a text.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and math.isinf(value):
        return "diverged"
    return value


def _rounded(loss: float) -> float | None:
    return round(float(loss), DIGITS) if math.isfinite(loss) else None
