"""Histories as W&B exports them → runs.

Either a row is a step of a run, as ``run.history()`` and history artifacts have it; or, in the
CSV of a chart, a row is a step, and each run has a column ``<run> - <metric>``.
"""

from __future__ import annotations

from collections.abc import Mapping

from descentlab.analysis.imports.plain_table import POINTS, plain_runs, with_columns
from descentlab.analysis.imports.table import Cell, Table
from descentlab.runs.imported import ImportedRun

USUAL = {"run": ("run", "run_id", "run_name", "_run"), "step": ("_step", "Step", "step")}
"""The columns that tell run and step, unless the user names others."""


def history_runs(
    table: Table, sweep: str, *, chosen: Mapping[str, float | str]
) -> list[ImportedRun]:
    """Read the runs of a history.

    Args:
        table: as it was read.
        sweep: what to call the sweep of runs that name none.
        chosen: what each of our columns is: one of the table's, or a value for all its runs.

    Raises:
        DataError: if a column is missing, or a run is not as it must be.
    """
    for metric in (chosen.get(name) for name in POINTS):
        if isinstance(metric, str) and metric not in table.columns:
            table = unfolded(table, metric)
    found: dict[str, float | str] = {}
    for name, columns in USUAL.items():
        if present := [each for each in columns if each in table.columns]:
            found[name] = present[0]
    return plain_runs(with_columns(table, {**found, **chosen}), sweep)


def unfolded(table: Table, metric: str) -> Table:
    """Turn a chart's table into one with a row for each step of each run.

    Its columns of extremes, ``<run> - <metric>__MIN`` and ``__MAX``, are left out. A table that
    has no column of the metric stays as it is.

    >>> unfolded(Table({"Step": [1, 2], "a - loss": [4.0, 3.0], "a - loss__MIN": [4, 3]}), "loss")
    Table(columns={'run': ['a', 'a'], 'Step': [1, 2], 'loss': [4.0, 3.0]})
    """
    ending = f" - {metric}"
    runs = [name.removesuffix(ending) for name in table.columns if name.endswith(ending)]
    step = next((name for name in USUAL["step"] if name in table.columns), None)
    if not runs or step is None:
        return table
    columns: dict[str, list[Cell]] = {"run": [], step: [], metric: []}
    for run in runs:
        columns["run"] += [run] * table.rows
        columns[step] += table.columns[step]
        columns[metric] += table.columns[run + ending]
    return Table(columns)
