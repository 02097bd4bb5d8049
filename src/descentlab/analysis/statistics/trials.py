"""The runs of a table as trials of tuning: one loss for each setting, and the tuned optimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
ELSEWHERE = ("data.", "execution.")
"""Beginnings of settings that say where a run's text lay and what it was computed on."""


class Optimum(NamedTuple):
    """The best setting of a method."""

    losses: NDArray[np.float64]
    """Final losses ``[n]`` by seed, in nats."""
    seeds: tuple[int | None, ...]
    runs: tuple[str, ...]


def with_results(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that have a final loss, diverged ones among them, without second copies."""
    return frame[frame["loss"].notna() & frame["duplicate_of"].isna()]


def by_setting(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per setting with the mean loss over its seeds, infinite if one diverged.

    Columns ``loss`` and ``seeds``, the number of them; indexed by setting, best first.
    """
    found = frame["loss"].groupby(_settings(frame), sort=False)
    table = pd.DataFrame({"loss": found.mean(), "seeds": found.size()})
    return table.sort_values("loss", kind="stable")


def tuned_optimum(frame: pd.DataFrame) -> Optimum:
    """Return the setting with the lowest mean loss, of those that ran with the most seeds.

    A setting that ran again with fresh seeds did so because it had won; one lucky seed of another
    does not take that away. Its losses are then those of the fresh seeds, two or more that no other
    setting ran with: the seed that chose it was kind to it.

    Args:
        frame: runs of one method under one condition, all with results, one or more.
    """
    table = by_setting(frame)
    same = _settings(frame) == table.index[table["seeds"] == table["seeds"].max()][0]
    runs = frame[same].sort_values("seed")
    fresh = runs[~runs["seed"].isin(frame.loc[~same, "seed"])]
    runs = fresh if len(fresh) > 1 and fresh["seed"].notna().all() else runs
    seeds = tuple(None if pd.isna(each) else int(each) for each in runs["seed"])
    return Optimum(runs["loss"].to_numpy(np.float64), seeds, tuple(runs["run"]))


def _settings(frame: pd.DataFrame) -> pd.Series:
    """Number the settings of runs: all that is on record but the seed, the text and the machine."""
    columns = [frame[name].astype(object).where(frame[name].notna(), None) for name in SETTING]
    keys = list(zip(*columns, map(_recorded, frame["settings"]), strict=True))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return pd.Series([numbers[key] for key in keys], index=frame.index, dtype="int64")


def _recorded(settings: Mapping[str, object] | float | None) -> str:
    """Write settings down in one order; a table made by hand may have none."""
    if not isinstance(settings, Mapping):
        return ""
    kept = [each for each in settings.items() if not each[0].startswith(ELSEWHERE)]
    return str(sorted((name, str(value)) for name, value in kept if name != "seed"))


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
