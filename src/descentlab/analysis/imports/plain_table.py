"""Runs in a table with our own columns, or with others that are told which they are.

A row is a point of a run's training, or a whole run where there are no steps. What holds for a
whole run stands in each of its rows, or in some of them. The columns are in ``docs/importing.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from descentlab.analysis.imports.table import Cell, Table
from descentlab.errors import ConfigError, DataError, nearest
from descentlab.optim.methods import AnyMethod
from descentlab.runs.imported import ImportedRun

SETTINGS = ("lr", "beta", "beta1", "beta2", "weight_decay", "clip_norm", "coordinate_clip", "eps",
            "dampening", "init")  # fmt: skip
COUNTS = ("seed", "batch_size", "sequence_length", "steps")
TEXTS = ("dataset", "model")
POINTS = ("step", "loss", "perplexity")
ENDS = ("final_loss", "final_perplexity")
COLUMNS = ("sweep", "run", "method", *SETTINGS, *COUNTS, *TEXTS, *POINTS, *ENDS, "diverged")

LONGEST_NAME = 200


def plain_runs(table: Table, sweep: str) -> list[ImportedRun]:
    """Read the runs of a table with our columns.

    Args:
        table: as it was read.
        sweep: what to call the sweep of runs that name none.

    Raises:
        DataError: naming the run and column of what is unknown, missing or out of range.
    """
    for name in table.columns:
        if name not in COLUMNS:
            raise DataError(f"column {name[:80]!r}: unknown; {nearest(name, COLUMNS)}")
    if len({"loss", "perplexity"} & {*table.columns}) == 2:
        raise DataError("it has both a loss and a perplexity; give one of them")
    if ("loss" in table.columns or "perplexity" in table.columns) != ("step" in table.columns):
        raise DataError("it has a curve without steps, or steps without a loss or perplexity")
    rows: dict[object, list[int]] = {}
    for row in range(table.rows):
        name = table.columns["run"][row] if "run" in table.columns else None
        whole = "step" not in table.columns and name is None
        rows.setdefault(row if whole else name, []).append(row)
    return [
        _Run(str(name)[:80], {column: [cells[row] for row in own] for column, cells in
             table.columns.items()}).imported(number, sweep)
        for number, (name, own) in enumerate(rows.items())
    ]  # fmt: skip


def with_columns(table: Table, chosen: Mapping[str, float | str]) -> Table:
    """Give a table our columns.

    Args:
        table: with columns of any names.
        chosen: what each of our columns is: one of the table's, or a value for all rows.

    Raises:
        DataError: if a column that must come from the table is not in it.
    """
    columns: dict[str, list[Cell]] = {}
    for name, source in chosen.items():
        if isinstance(source, str) and source in table.columns:
            columns[name] = list(table.columns[source])
        elif name in (*POINTS, *ENDS):
            hint = nearest(str(source), table.columns)
            raise DataError(f"{name}: it has no column {str(source)[:80]!r}; {hint}")
        else:
            columns[name] = [source] * table.rows
    for name in ENDS:  # in a history, only the last value is the final one
        if name in columns:
            columns[name] = _last_of_each_run(columns[name], columns.get("run"))
    return Table(columns)


def _last_of_each_run(cells: list[Cell], runs: Sequence[Cell] | None) -> list[Cell]:
    names = runs if runs is not None else [None] * len(cells)
    last = {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
    return [last.get(name) for name in names]


class _Run:
    """The rows of one run."""

    def __init__(self, name: str, cells: Mapping[str, list[Cell]]) -> None:
        self.name = name
        self.cells = cells

    def wrong(self, column: str, why: str) -> DataError:
        return DataError(f"run {self.name!r}, column {column!r}: {why}")

    def constant(self, column: str) -> Cell:
        """What all rows say that say anything."""
        values = {cell for cell in self.cells.get(column, []) if cell is not None}
        if len(values) > 1 and not all(isinstance(each, float) and each != each for each in values):
            raise self.wrong(column, "has several values")
        return next(iter(values), None)

    def number(self, column: str) -> float | None:
        value = self.constant(column)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(column, f"is {str(value)[:80]!r}, which is no number")
        return float(value)

    def count(self, column: str) -> int | None:
        value = self.number(column)
        least = 0 if column == "seed" else 1
        if value is None:
            return None
        if not math.isfinite(value) or not value.is_integer() or not least <= value <= 2**53:
            raise self.wrong(column, f"is {value:g}; it must be a whole number from {least} on")
        return int(value)

    def text(self, column: str) -> str | None:
        value = self.constant(column)
        if value is None:
            return None
        if len(text := str(value)) > LONGEST_NAME or not text.isprintable():
            raise self.wrong(column, f"must be a text of at most {LONGEST_NAME} printable letters")
        return text

    def method(self) -> tuple[str, dict[str, float | str]]:
        method = self.text("method")
        if method is None:
            raise self.wrong("method", "is missing")
        settings: dict[str, float | str] = {}
        for name in SETTINGS:
            value = self.constant(name)
            if isinstance(value, str):
                settings[name] = value
            elif (number := self.number(name)) is not None:
                settings[name] = number
        try:
            msgspec.convert({"method": method, **settings}, AnyMethod)
        except (msgspec.ValidationError, ConfigError) as error:
            raise DataError(f"run {self.name!r}: {method[:80]}: {error}") from None
        return method, settings

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
        """Perplexities and steps, of the rows that have both."""
        column = "loss" if "loss" in self.cells else "perplexity"
        if column not in self.cells:
            return np.empty(0), None
        points: dict[int, float] = {}
        for step, value in zip(self.cells["step"], self.cells[column], strict=True):
            if step is None or value is None:
                continue
            at, point = self._step(step), self._point(column, value)
            before = points.setdefault(at, point)
            if before != point and not (math.isnan(before) and math.isnan(point)):
                raise self.wrong("step", f"has step {at} twice, with different values")
        steps = sorted(points)
        values = np.array([points[step] for step in steps], dtype=np.float64)
        perplexities = _perplexities(values) if column == "loss" else values
        if (perplexities <= 0).any():
            raise self.wrong(column, "has a perplexity that is not above 0")
        return perplexities, np.array(steps, dtype=np.int64)

    def _step(self, cell: Cell) -> int:
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        if isinstance(cell, bool) or not isinstance(cell, int) or not 0 <= cell < 2**53:
            raise self.wrong("step", f"has {str(cell)[:80]!r}; steps are whole numbers from 0")
        return cell

    def _point(self, column: str, cell: Cell) -> float:
        if isinstance(cell, bool) or not isinstance(cell, int | float):
            raise self.wrong(column, f"has {str(cell)[:80]!r}, which is no number")
        return float(cell)

    def final(self) -> tuple[float | None, bool]:
        """The final perplexity, and whether the run diverged."""
        told = self.constant("diverged")
        if told not in (None, True, False, 0, 1, "true", "false"):
            raise self.wrong("diverged", f"is {str(told)[:80]!r}; allowed are true and false")
        perplexity = self.told_perplexity()
        if perplexity is not None and perplexity <= 0:
            raise self.wrong("final_perplexity", f"is {perplexity:g}; it must be above 0")
        if told in (True, 1, "true") or (perplexity is not None and not math.isfinite(perplexity)):
            return None, True
        return perplexity, False

    def told_perplexity(self) -> float | None:
        """The final perplexity as the table has it."""
        loss, perplexity = self.number("final_loss"), self.number("final_perplexity")
        if loss is not None and perplexity is not None:
            raise self.wrong("final_loss", "is given beside final_perplexity; give one of them")
        if loss is not None:
            return float(_perplexities(np.array([loss]))[0])
        return perplexity

    def imported(self, number: int, sweep: str) -> ImportedRun:
        method, settings = self.method()
        curve, steps = self.curve()
        final, diverged = self.final()
        said = self.told_perplexity() if diverged else None
        counts: dict[str, Any] = {name: self.count(name) for name in COUNTS}
        return ImportedRun(
            sweep=self.text("sweep") or sweep,
            row=number,
            method=method,
            settings=settings,
            curve=curve,
            curve_steps=steps if len(curve) else None,
            final_perplexity=final,
            diverged=diverged,
            reported={} if said is None else {"final_perplexity": said},
            dataset=self.text("dataset"),
            model=self.text("model"),
            **counts,
        )


def _perplexities(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.exp(losses)
