"""Which runs are compared with which: the tables that a reader of a store would make.

- Our own runs belong to the table of each experiment, or study, that asked for them; runs that none
  asked for are compared with those of the same tokens, model, length and batch.
- The paper's released runs: those of equal model, text, length and batch whose files name
  the same budget, and those that ran that budget under another name.
- Other imports: those of equal model, text, length and batch; by their sweep, where none of
  these is on record.

What varies in a table and takes the same values for every method, as a batch size on an axis
does, splits it. What takes different values is left for the checks to find.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from descentlab.analysis.audit.search import Search, number
from descentlab.analysis.frame import CONDITIONS
from descentlab.analysis.imports.secretsauce import conditions

FIXED = ["source", *(name for name in CONDITIONS if name != "precision")]
"""Columns that are equal for runs that nobody has put into one table; that precision is not is a
finding."""
OF_A_METHOD = ("init", "bias_correction")
"""Conventions: a method that ran with several is so many methods."""
NOT_ON_RECORD = "not on record"
TASKS = ("model", "data", "data.sequence_length", "training.batch_size", "training.tokens")
"""What a study varies to compare tasks, often with other learning rates for each."""
CROSSED = 0.5
"""Share of a method's cells that the values of a setting must have in common to be an axis."""


@dataclass(frozen=True)
class Table:
    """Runs that are compared with one another."""

    name: str
    searches: list[Search]
    """One for each method and budget, the best first."""

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The runs of all its searches."""
        return pd.concat([search.frame for search in self.searches])

    @property
    def methods(self) -> dict[str, list[Search]]:
        """The searches of each method."""
        found: dict[str, list[Search]] = {}
        for search in self.searches:
            found.setdefault(search.method, []).append(search)
        return found


@dataclass(frozen=True)
class Evidence:
    """What the checks look at: every run, and how they are compared."""

    frame: pd.DataFrame
    """As ``analysis.load`` gives it."""

    @cached_property
    def tables(self) -> list[Table]:
        """The tables that a reader would make of the runs; damaged runs are in none."""
        whole = self.frame[self.frame["state"] != "damaged"]
        return [table for name, runs in _groups(whole) for table in _split(name, runs)]

    @property
    def compares(self) -> bool:
        """Whether there are two settings or more in any table."""
        return any(sum(len(own.cells) for own in each.searches) > 1 for each in self.tables)

    @cached_property
    def searches(self) -> list[Search]:
        """Every search once, though it may stand in several tables, or under several names."""
        found: dict[frozenset[str], list[Search]] = {}
        for search in (each for table in self.tables for each in table.searches):
            found.setdefault(frozenset(search.runs), []).append(search)
        return [_together(same) for same in found.values()]


def _together(same: list[Search]) -> Search:
    """One search for those of the same runs, named for all of them."""
    names = dict.fromkeys(search.method for search in same)
    if len(names) == 1:
        return same[-1]
    return Search(" = ".join(names), same[-1].where, same[-1].frame)


def nuisance(frame: pd.DataFrame) -> pd.DataFrame:
    """What should be equal for all methods and is none of their own settings, a column each.

    Returns:
        By dotted key of a spec; texts, with ``NOT_ON_RECORD`` where it is not known.
    """
    columns: dict[str, pd.Series] = {
        "model": frame["model"],
        "data": frame["dataset"].where(frame["data"].isna(), frame["data"]),
        "data.sequence_length": frame["sequence_length"],
        "training.batch_size": frame["batch_size"],
        "training.tokens": frame["tokens"],
        "precision": frame["precision"],
        "schedule.warmup": warmup(frame),
    }
    settings = list(frame["settings"])
    more = {key for each in settings for key in each if _is_nuisance(key)}
    for key in sorted(more):
        values = [each.get(key) for each in settings]
        columns[key] = pd.Series(values, index=frame.index, dtype=object)
    return pd.DataFrame({key: values.map(written) for key, values in columns.items()})


def warmup(frame: pd.DataFrame) -> pd.Series:
    """The share of the steps that warms up, rounded to a thousandth; NaN if not on record."""
    steps = [each.get("schedule.warmup_steps", np.nan) for each in frame["settings"]]
    return frame["steps"].astype(float).rdiv(steps).round(3)


def _is_nuisance(key: str) -> bool:
    if key.startswith("model."):
        return True
    counted = ("training.steps", "training.batch_size", "training.evaluate_every")
    return key == "schedule.count_from" or (key.startswith("training.") and key not in counted)


def written(value: Any) -> str:
    """A setting as a spec has it.

    >>> written(0.1), written(float("inf")), written(True), written(None)
    ('0.1', 'none', 'True', 'not on record')
    """
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return NOT_ON_RECORD
    return number(value) if isinstance(value, float) else str(value)


def _groups(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Runs of one table with their contenders, before what all methods share splits it."""
    asked = frame["entries"].map(bool).astype(bool)
    for name in dict.fromkeys(each.experiment for own in frame["entries"] for each in own):
        yield name, _in_their_parts(frame[asked], name)
    rest = frame[~asked]
    released = rest["source"] == "secretsauce"
    others = rest[~released]
    known = others[["model", "dataset", "sequence_length", "batch_size"]].notna().any(axis=1)
    groups = [
        *_released(rest[released]),
        *_by(others[known], FIXED, lambda row: _fixed(row)),
        *_by(others[~known], ["source", "sweep"], lambda row: row["sweep"]),
    ]
    for name, runs in groups:
        yield name, runs.assign(contender=_methods(runs))


def _by(
    frame: pd.DataFrame, keys: list[str], name: Callable[[pd.Series], str]
) -> Iterator[tuple[str, pd.DataFrame]]:
    for _, runs in frame.groupby(keys, dropna=False, sort=False):
        yield name(runs.iloc[0]), runs


def _in_their_parts(frame: pd.DataFrame, experiment: str) -> pd.DataFrame:
    """The runs of an experiment, once for each method that it calls them."""
    parts = [
        list(dict.fromkeys(each.method for each in own if each.experiment == experiment))
        for own in frame["entries"]
    ]
    own = frame.assign(contender=pd.Series(parts, frame.index, dtype=object)).explode("contender")
    own = own[own["contender"].notna()].reset_index(drop=True)
    named = own["contender"] != ""
    return own.assign(contender=own["contender"].where(named, _methods(own)))


def _released(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    names = {sweep: conditions(f"{sweep}.pkl") for sweep in frame["sweep"].unique()}
    budgets = {sweep: known.billions for sweep, known in names.items() if known is not None}
    named, ran = frame["sweep"].map(budgets), frame["tokens"] // 10**9
    for _, runs in frame.groupby(FIXED, dropna=False, sort=False):
        for budget in dict.fromkeys(named[runs.index].dropna().astype(int)):
            members = (named[runs.index] == budget) | (ran[runs.index] == budget)
            yield f"{_fixed(runs.iloc[0])}, {budget}B tokens", runs[members]


def _fixed(row: pd.Series) -> str:
    """Model, text, length and batch, those that are known."""
    parts = [row["model"], row["dataset"]]
    parts += [
        f"{letter}{row[name]}"
        for letter, name in (("L", "sequence_length"), ("B", "batch_size"))
        if not pd.isna(row[name])
    ]
    return " ".join(str(part) for part in parts if not pd.isna(part))


def _split(name: str, runs: pd.DataFrame) -> list[Table]:
    """Split the runs of a table by what takes the same values, and several, for every method."""
    varied = nuisance(runs)
    by = [key for key in varied if _is_axis(varied[key], runs)]
    if not by:
        return [_table(name, runs)]
    tables = []
    for _, own in varied.groupby(by, sort=False):
        conditions = ", ".join(f"{key}={own[key].iloc[0]}" for key in by)
        tables.append(_table(f"{name}, {conditions}", runs.loc[own.index]))
    return tables


def _is_axis(values: pd.Series, runs: pd.DataFrame) -> bool:
    """Whether a setting takes the same values for every method, and each at most of its cells."""
    sets = {frozenset(own) for _, own in values.groupby(runs["contender"])}
    if len(sets) != 1 or len(next(iter(sets))) < 2:
        return False
    return values.name in TASKS or all(
        crossed(values[own.index], Search(str(method), "", own).coordinates)
        for method, own in runs.groupby("contender")
    )


def crossed(values: pd.Series, coordinates: pd.DataFrame) -> bool:
    """Whether the values of a setting share most of their cells, as those of an axis do."""
    points = list(coordinates.itertuples(index=False, name=None)) or [()] * len(values)
    sets = [set(own) for _, own in pd.Series(points, values.index).groupby(values)]
    common, union = set.intersection(*sets), set.union(*sets)
    return len(common) >= CROSSED * len(union)


def _table(name: str, runs: pd.DataFrame) -> Table:
    searches = []
    for method, of_method in runs.groupby("contender", sort=False):
        budgets = [own for _, own in of_method.groupby("tokens", dropna=False, sort=False)]
        for own in budgets:
            where = f"{name}, {billions(own['tokens'].iloc[0])}" if len(budgets) > 1 else name
            searches.append(Search(str(method), where, own))
    return Table(name, sorted(searches, key=_lowest_first))


def _lowest_first(search: Search) -> float:
    return math.inf if search.best is None else search.loss(search.best)


def _methods(runs: pd.DataFrame) -> pd.Series:
    """What to call the method of each run; several conventions of one are several methods."""
    names = runs["method"].astype(str)
    for column in OF_A_METHOD:
        values = runs[column].map(written)
        counts = values.groupby(names).transform("nunique")
        names = names.where(counts < 2, names + f" {column}=" + values)
    relative = pd.Series(
        [any(key.startswith("optimizer.relative.") for key in each) for each in runs["settings"]],
        index=runs.index,
    )
    return names.where(~relative, names + " per tensor")


def billions(tokens: float | None) -> str:
    """Write a number of tokens as people do.

    >>> billions(3_250_585_600), billions(327_680), billions(None)
    ('3.25B tokens', '327,680 tokens', 'unknown tokens')
    """
    if tokens is None or pd.isna(tokens):
        return "unknown tokens"
    return f"{tokens / 1e9:.2f}B tokens" if tokens >= 1e8 else f"{tokens:,.0f} tokens"


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "none"
