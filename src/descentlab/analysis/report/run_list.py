"""Every run of a store in a form that a page can search: columns, and settings said once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from descentlab.analysis.report.comparisons import Comparison
from descentlab.analysis.report.document import Runs
from descentlab.analysis.report.environments import Environment
from descentlab.config import canonical_json

COLUMNS = (
    *("run", "method", "state", "reason", "perplexity", "loss", "lr", "beta1", "beta2"),
    *("weight_decay", "clip_norm", "coordinate_clip", "eps", "seed", "model", "dataset"),
    *("sequence_length", "batch_size", "steps", "tokens", "precision", "sweep", "studies"),
    *("diverged_at", "inexact_since", "train_perplexity", "reported", "duplicate_of", "notes"),
    "source",
)
"""Those of ``load``'s table that a page shows."""
DIVERGED = "diverged"
"""The state of a run that is done and diverged."""


def run_list(
    runs: pd.DataFrame,
    comparisons: Sequence[Comparison],
    environments: Sequence[Environment],
    places: Mapping[str, int],
) -> Runs:
    """Put every run into columns, the best first.

    Args:
        runs: as ``load`` gives them.
        comparisons: whose numbers the column ``comparisons`` has for each run.
        environments: distinct ones.
        places: by run, which of them it has.
    """
    ordered = runs.sort_values(["perplexity", "run"], kind="stable", na_position="last")
    names = list(ordered["run"])
    compared: dict[str, list[int]] = {}
    for number, each in enumerate(comparisons):
        for run in dict.fromkeys(each.frame["run"]):
            compared.setdefault(run, []).append(number)
    states = ordered["state"].where(~ordered["diverged"], DIVERGED)
    columns = {name: tuple(map(_plain, ordered[name])) for name in COLUMNS}
    columns["state"] = tuple(states)
    kept = {
        name: values
        for name, values in columns.items()
        if name in ("run", "method", "state") or any(each not in (None, {}, []) for each in values)
    }
    return Runs(
        columns={
            **kept,
            "comparisons": tuple(compared.get(run, []) for run in names),
            "environment": tuple(places.get(run, -1) for run in names),
        },
        settings=_settings(list(ordered["settings"])),
        environments=tuple(environments),
    )


def _settings(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By key, the values that there are and which of them each row has."""
    found: dict[str, tuple[list[Any], list[int]]] = {}
    known: dict[tuple[str, bytes], int] = {}
    for place, row in enumerate(rows):
        for key, value in row.items():
            values, at = found.setdefault(key, ([], [-1] * len(rows)))
            plain = _plain(value)
            token = key, canonical_json({"value": plain})
            if token not in known:
                known[token] = len(values)
                values.append(plain)
            at[place] = known[token]
    return {key: (tuple(values), tuple(at)) for key, (values, at) in sorted(found.items())}


def _plain(value: Any) -> Any:
    """A value as JSON has it; infinite is ``none`` as a limit, and nothing as a result."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or value is pd.NA:
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    number = float(value)
    if math.isnan(number):
        return None
    return number if math.isfinite(number) else "inf"
