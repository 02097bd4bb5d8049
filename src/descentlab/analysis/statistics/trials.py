"""The runs of a table as trials of tuning: one loss for each setting, and the tuned optimum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from descentlab.errors import ConfigError, nearest

SETTING = (
    "lr",
    "beta1",
    "beta2",
    "weight_decay",
    "clip_norm",
    "coordinate_clip",
    "eps",
    "init",
    "bias_correction",
    "batch_size",
)
"""Columns of ``load``'s table that tell one trial of a method from another."""


class Optimum(NamedTuple):
    """The best setting of a method."""

    setting: dict[str, object]
    losses: NDArray[np.float64]
    """Final losses ``[n]`` by seed, in nats."""
    seeds: tuple[int | None, ...]
    runs: tuple[str, ...]


def with_results(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that have a final loss, diverged ones among them, without second copies."""
    return frame[frame["loss"].notna() & frame["duplicate_of"].isna()]


def by_setting(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per setting with the mean loss over its seeds, infinite if one diverged.

    Columns ``loss``, ``seeds`` and the ones of ``SETTING``; best first.
    """
    groups = frame.assign(**{name: _plain(frame[name]) for name in SETTING})
    found = groups.groupby(list(SETTING), dropna=False, sort=False)["loss"]
    table = found.agg(loss="mean", seeds="size").reset_index()
    return table.sort_values("loss", kind="stable", ignore_index=True)


def tuned_optimum(frame: pd.DataFrame) -> Optimum:
    """Return the setting with the lowest mean loss, of those that ran with the most seeds.

    A setting that ran again with fresh seeds did so because it had won; one lucky seed of another
    does not take that away. Its losses are then those of the fresh seeds, two or more that no other
    setting ran with: the seed that chose it was kind to it.

    Args:
        frame: runs of one method under one condition, all with results, one or more.
    """
    table = by_setting(frame)
    best = table[table["seeds"] == table["seeds"].max()].iloc[0]
    same = pd.Series(True, index=frame.index)
    for name in SETTING:
        column = _plain(frame[name])
        same &= column.isna() if pd.isna(best[name]) else column == best[name]
    runs = frame[same].sort_values("seed")
    fresh = runs[~runs["seed"].isin(frame.loc[~same, "seed"])]
    runs = fresh if len(fresh) > 1 and fresh["seed"].notna().all() else runs
    seeds = tuple(None if pd.isna(each) else int(each) for each in runs["seed"])
    setting = {name: best[name] for name in SETTING if not pd.isna(best[name])}
    return Optimum(setting, runs["loss"].to_numpy(np.float64), seeds, tuple(runs["run"]))


def known_column(frame: pd.DataFrame, names: str | Sequence[str]) -> list[str]:
    """Return column names of a table.

    Raises:
        ConfigError: for one that it lacks.
    """
    asked = [names] if isinstance(names, str) else list(names)
    for name in asked:
        if name not in frame.columns:
            raise ConfigError(f"column: got {name!r}; {nearest(name, map(str, frame.columns))}")
    return asked


def _plain(column: pd.Series) -> pd.Series:
    """A column whose missing values are all alike, so that they compare."""
    return column.astype(object).where(column.notna(), None)
