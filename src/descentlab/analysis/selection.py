"""Which runs a table or a figure takes: relations to one setting of reference.

The paper's experiments differ from its main one in one respect each: another batch size,
shorter sequences, another text. So do other people's. A selection therefore says how its
runs relate to a setting of reference, and finds its runs in any store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from descentlab.analysis.amounts import amount
from descentlab.analysis.frame import CONDITIONS

Relation = Literal["same", "other", "larger", "smaller", "any"]
"""How a column of a run relates to that of the reference."""

Budget = Literal["same", "nearest", "larger", "shared", "any"]
"""Which budgets to take: that of the reference; for each method the nearest one that it has
runs at; the smallest above that of the reference; the one that most batch sizes have runs at; or
all of them."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What runs have in common that are compared; None where it is not on record."""

    model: str | None
    dataset: str | None
    sequence_length: int | None
    batch_size: int | None
    tokens: int | None
    data: str | None = None
    """Hash of the tokens."""
    precision: str | None = None

    def __str__(self) -> str:
        parts = [self.model, self.dataset]
        if self.sequence_length is not None:
            parts.append(f"sequences of {self.sequence_length}")
        if self.batch_size is not None:
            parts.append(f"batches of {self.batch_size}")
        if self.tokens is not None:
            parts.append(f"{amount(self.tokens)} tokens")
        return ", ".join(part for part in parts if part is not None)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which runs to take, as relations to a reference.

    Where a relation leaves several settings, the one with the most runs is taken; ``any``
    takes them all.
    """

    methods: tuple[str, ...] = ()
    """As tables name them; all if empty."""
    model: Literal["same", "other"] = "same"
    dataset: Literal["same", "other"] = "same"
    sequence_length: Relation = "same"
    batch_size: Relation = "same"
    tokens: Budget = "same"


def reference(runs: pd.DataFrame, prefer: Setting | None = None) -> Setting | None:
    """The setting that a store's runs are compared with.

    Args:
        runs: as ``load`` gives them.
        prefer: taken if the store has runs of its model, dataset, lengths and budget.

    Returns:
        ``prefer``, or the setting with the most methods, and of equals the most runs; at the
        budget with the most methods, and of equals the largest. None without runs.
    """
    if prefer is not None and len(runs[_agree(runs, prefer, ("tokens",))]):
        return prefer
    if not len(runs):
        return None
    groups = runs.groupby(list(CONDITIONS), dropna=False, sort=True)
    best = max(groups, key=lambda group: (group[1]["method"].nunique(), len(group[1])))[1]
    methods = best.groupby("tokens", dropna=False)["method"].nunique()
    tokens = max(methods.index, key=lambda each: (methods[each], -1 if pd.isna(each) else each))
    return _setting(best.iloc[0], tokens)


def select(runs: pd.DataFrame, selection: Selection, to: Setting) -> pd.DataFrame:
    """The runs that a selection takes, in the order of the frame.

    Args:
        runs: as ``load`` gives them.
        selection: what to take.
        to: the reference.
    """
    kept = runs[runs["method"].isin(selection.methods)] if selection.methods else runs
    same_text = selection.dataset == "same"
    columns: dict[str, Relation] = {
        "model": selection.model,
        "dataset": selection.dataset,
        "data": "same" if same_text else "any",
        "precision": "same" if selection.model == "same" else "any",
        "sequence_length": selection.sequence_length,
        "batch_size": selection.batch_size,
    }
    for name, relation in columns.items():
        kept = kept[_related(kept[name], relation, getattr(to, name))]
    open_ended = [
        name for name in CONDITIONS if columns[name] != "same" and not _all_of(name, selection)
    ]
    if open_ended and len(kept):
        groups = kept.groupby(open_ended, dropna=False, sort=True)
        largest = max(groups, key=lambda group: len(group[1]))[1]
        kept = kept.loc[largest.index]
    return _at_budget(kept, selection.tokens, to.tokens)


def _all_of(name: str, selection: Selection) -> bool:
    return getattr(selection, name, None) == "any"


def _related(column: pd.Series, relation: Relation, value: Any) -> pd.Series:
    if relation == "any":
        return pd.Series(True, index=column.index)
    if relation in ("same", "other"):
        same = column.isna() if value is None else column.eq(value).fillna(False).astype(bool)
        return same if relation == "same" else ~same
    if value is None:
        return pd.Series(False, index=column.index)
    beyond = column.gt(value) if relation == "larger" else column.lt(value)
    return beyond.fillna(False).astype(bool)


def _at_budget(runs: pd.DataFrame, budget: Budget, tokens: int | None) -> pd.DataFrame:
    if budget == "any" or not len(runs):
        return runs
    if budget == "same":
        return runs[_related(runs["tokens"], "same", tokens)]
    if budget == "larger":
        above = runs[_related(runs["tokens"], "larger", tokens)]
        return above[above["tokens"].eq(above["tokens"].min())]
    if budget == "shared":
        sizes = runs.groupby("tokens")["batch_size"].nunique()
        counts = runs["tokens"].value_counts()
        best = max(sizes.index, key=lambda each: (sizes[each], counts[each]), default=None)
        return runs[_related(runs["tokens"], "same", best)]
    kept = []
    for _, group in runs.groupby("method", sort=False):
        there = group["tokens"].dropna().unique()
        near = min(there, key=lambda each: (abs(each - (tokens or each)), -each), default=None)
        kept.append(group[_related(group["tokens"], "same", near)])
    return pd.concat(kept).sort_index()


def _agree(runs: pd.DataFrame, setting: Setting, also: tuple[str, ...] = ()) -> pd.Series:
    agree = pd.Series(True, index=runs.index)
    for name in (*CONDITIONS, *also):
        agree &= _related(runs[name], "same", getattr(setting, name))
    return agree


def _setting(run: pd.Series, tokens: Any) -> Setting:
    values = {name: None if pd.isna(run[name]) else run[name] for name in CONDITIONS}
    whole = {name: values[name] for name in ("sequence_length", "batch_size")}
    values |= {name: None if value is None else int(value) for name, value in whole.items()}
    return Setting(**values, tokens=None if pd.isna(tokens) else int(tokens))
