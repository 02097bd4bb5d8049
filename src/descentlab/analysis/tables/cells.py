"""Runs with the same settings but for the seed are one cell; a sweep is a table of cells.

The seeds that most cells of a method ran with are those of tuning. A cell's perplexity is
its mean over them: infinite if one diverged, and none if one was not trained to its end. Other
seeds are fresh: they judge the winner, and no cell is chosen by them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from descentlab.analysis.statistics.trials import SETTING

UNKNOWN_SEED = -1
"""Stands for the seed of runs that have none on record."""
SHARING = ("adam", "rmsprop", "signum", "emasign", "signsgd")
"""Methods that are the same at some settings."""
APART = ("seed", "execution.", "data.", "probes.")
"""Settings that do not make a cell another."""
COLUMNS = (*SETTING, "steps", "tokens")
"""What a row about a cell tells of its settings."""


def under_each_name(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, and those that methods share once more under each other's name.

    With β = 0 Signum and EMA-of-sign are one run, and so are Adam and RMSprop where one β is 0;
    a store has it under the name of the method that was first asked for.

    Args:
        runs: as ``load`` gives them.
    """
    again = [
        (place, name)
        for place, (label, entries) in enumerate(zip(runs["method"], runs["entries"], strict=True))
        for name in dict.fromkeys(entry.method for entry in entries or ())
        if name in SHARING and name != label
    ]
    if not again:
        return runs
    places, names = zip(*again, strict=True)
    return pd.concat([runs, runs.iloc[list(places)].assign(method=names)], ignore_index=True)


def with_cells(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that say something about their cell, with columns ``cell`` and ``decay``.

    Done and interrupted runs are kept; of runs with the same cell and seed, the first. ``decay``
    is the β of methods with one average.

    Args:
        runs: as ``load`` gives them.
    """
    kept = runs[runs["state"].isin(["done", "interrupted"])]
    seeds = kept["seed"].fillna(UNKNOWN_SEED).astype(int)
    pairs = list(zip(kept["method"], kept["settings"], strict=True))
    frame = kept.assign(
        cell=[_cell(settings) for _, settings in pairs],
        method=[_method(label, settings) for label, settings in pairs],
        seed=seeds,
        decay=kept["beta1"].where(kept["method"].ne("rmsprop"), kept["beta2"]),
    )
    setting = ["method", "cell", "seed", "model", "dataset", "sequence_length", "batch_size"]
    return frame[~frame.duplicated([*setting, "steps"])]


def tuning_seeds(runs: pd.DataFrame) -> set[int]:
    """The seeds that the most cells of one method ran with."""
    counts = runs.groupby("seed")["cell"].nunique()
    return set(counts.index[counts == counts.max()])


def cells(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per method and cell, in the order in which they were first run.

    Args:
        runs: from ``with_cells``, of one experiment.

    Returns:
        ``method``, ``cell``, ``decay``, the settings in ``COLUMNS``, ``perplexity``, the number
        of runs on tuning seeds ``n``, and how many of these ``diverged`` or were ``stopped``
        before their end; ``run``, the first of them.
    """
    parts = [
        of_method[of_method["seed"].isin(tuning_seeds(of_method))]
        for _, of_method in runs.groupby("method", sort=False)
    ]
    tuned = pd.concat(parts) if parts else runs
    marked = tuned.assign(
        stopped=tuned["state"].eq("interrupted"), unknown=tuned["perplexity"].isna()
    )
    of_cell = marked.groupby(["method", "cell"], sort=False)
    settings = marked.drop_duplicates(["method", "cell"]).set_index(["method", "cell"])
    table = settings[["run", "decay", *COLUMNS]].assign(
        perplexity=of_cell["perplexity"].mean().mask(of_cell["unknown"].any()),
        n=of_cell.size(),
        diverged=of_cell["diverged"].sum(),
        stopped=of_cell["stopped"].sum(),
    )
    return table.reset_index()


def best(table: pd.DataFrame) -> pd.Series | None:
    """The cell with the lowest perplexity; of equals, the one with the lower settings.

    None if no cell has a perplexity; a diverged one only where all others have none.
    """
    finished = table[table["perplexity"].notna()]
    if not len(finished):
        return None
    order = ["perplexity", "lr", "beta1", "beta2"]
    return finished.sort_values(order, kind="stable").iloc[0]


def lowest(perplexities: pd.Series) -> float:
    """The lowest of those that there are; infinite if all diverged, nan if there are none."""
    there = perplexities.dropna()
    return float(there.min()) if len(there) else math.nan


def _cell(settings: Mapping[str, Any]) -> str:
    """All that makes a cell, in canonical order."""
    kept = [
        (name, str(value))
        for name, value in settings.items()
        if not any(name == each or name.startswith(each) for each in APART)
    ]
    return repr(sorted(kept))


def _method(label: str, settings: Mapping[str, Any]) -> str:
    """The label of what was run: clipping of coordinates may have been none.

    No coordinate of a gradient that was clipped by norm, nor of an average of such, exceeds
    the norm. Our own runs with and without are therefore the same, under either label.
    """
    without = settings.get("optimizer.coordinate_clip") == "none"
    return "sgd+Gclip" if label == "sgd+Cclip" and without else label
