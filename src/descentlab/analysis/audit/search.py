"""One method's tuning under equal conditions: its cells, axes and best, and what lies beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from descentlab.config import set_path
from descentlab.runs.folder import PAUSED

Point = tuple[float, ...]
"""A value on each axis of a search."""

AXES = ("lr", "beta1", "beta2", "weight_decay", "clip_norm", "eps")
"""Columns that may vary in a tuning, and so be an axis of it."""
MORE_AXES = ("variance", "dampening")
"""Settings of optimizers that have no column."""
LOWER_BOUND, UPPER_BOUND = 0.0, math.inf
"""β, weight decay, ε and σ² end at 0, a clipping threshold at none: nothing lies beyond."""
_OWN = ("optimizer.arguments.", "optimizer.rest.")
_BETAS = ("beta1", "beta2")
BASES = {"sgd+Gclip": "sgd", "sgd+Cclip": "sgd"}
"""Methods by what they are called in tables, where a spec has another name."""


@dataclass(frozen=True)
class Trial:
    """One run of a cell."""

    run: str
    seed: int | None
    loss: float
    """Final, in nats: infinite after divergence, NaN without a result."""
    paused: bool
    """Whether racing, or its user, stopped it at a step: it was tried, and its end is not known."""


@dataclass(frozen=True)
class Cell:
    """One setting of a method, and its runs."""

    point: Point
    trials: tuple[Trial, ...]

    @property
    def runs(self) -> tuple[str, ...]:
        """The ids of its runs."""
        return tuple(trial.run for trial in self.trials)

    @property
    def finished(self) -> list[Trial]:
        """Those with a result; divergence is one."""
        return [trial for trial in self.trials if not math.isnan(trial.loss)]

    @property
    def seeds(self) -> list[int | None]:
        """Of the finished trials. Where none is on record, each different result is one."""
        results = {(trial.seed, None if trial.seed is not None else trial.loss): trial.seed
                   for trial in self.finished}  # fmt: skip
        return list(results.values())

    @property
    def diverged(self) -> bool:
        """Whether all that finished diverged."""
        return bool(self.finished) and all(math.isinf(trial.loss) for trial in self.finished)


@dataclass(frozen=True)
class Beside:
    """What lies next to a point along one axis, the other axes held."""

    axis: str
    up: bool
    cell: Cell | None
    """None if that line has no cell there, though the axis has values."""

    @property
    def place(self) -> str:
        """Where it lies, as in ``higher lr``."""
        return f"{'higher' if self.up else 'lower'} {self.axis}"


@dataclass(frozen=True, eq=False)
class Search:
    """The runs of one method that chose its setting, with equal tokens and conditions."""

    method: str
    """As tables name it, with what else tells it from others of its kind."""
    where: str
    """The conditions, for people."""
    frame: pd.DataFrame
    """Its rows of the table of runs."""

    @property
    def runs(self) -> tuple[str, ...]:
        return tuple(self.frame["run"])

    @property
    def kind(self) -> str:
        """The method as a spec names it."""
        label = str(self.frame["method"].mode()[0])  # Adam with β1=0 may stand for RMSprop
        return BASES.get(label, label)

    @property
    def steps(self) -> int | None:
        """Steps of each run; None if they are not on record."""
        value = self.frame["steps"].iloc[0]
        return None if pd.isna(value) else int(value)

    @property
    def tokens(self) -> int | None:
        """Tokens that each run was trained on; None if they are not on record."""
        value = self.frame["tokens"].iloc[0]
        return None if pd.isna(value) else int(value)

    @cached_property
    def coordinates(self) -> pd.DataFrame:
        """A column for each setting that varies; those that are always equal are one axis."""
        columns = {name: _setting(self.frame, name) for name in _own_axes(self.frame)}
        columns |= {name: self.frame[name] for name in AXES}
        columns |= {name: _setting(self.frame, name) for name in MORE_AXES}
        found: dict[str, pd.Series] = {}
        tied: set[str] = set()
        for name, values in columns.items():
            if values.isna().any() or values.nunique() < 2:
                continue
            same = [other for other, kept in found.items() if (kept == values).all()]
            tied.update(same)
            if not same:
                found[name] = values.astype(float)
        two = {"beta1", "beta2"} <= found.keys()
        names = {name: name if two else self._axis(name, tied) for name in found}
        return pd.DataFrame(found, index=self.frame.index).rename(columns=names)

    def _axis(self, name: str, tied: set[str]) -> str:
        """What a spec calls an axis: one decay is ``beta``, two are ``beta1`` and ``beta2``."""
        if name not in ("beta1", "beta2"):
            return name
        return "beta" if self.kind != "adam" or name in tied else name

    @cached_property
    def axes(self) -> dict[str, list[float]]:
        """By name, the values that were tried, in rising order."""
        return {str(name): sorted(own.unique()) for name, own in self.coordinates.items()}

    @cached_property
    def cells(self) -> dict[Point, Cell]:
        """Every setting that was tried, by its point."""
        points = list(self.coordinates.itertuples(index=False, name=None))
        seeds = [None if pd.isna(seed) else int(seed) for seed in self.frame["seed"]]
        columns = (self.frame["run"], seeds, self.frame["loss"], paused(self.frame))
        found: dict[Point, list[Trial]] = {}
        for point, trial in zip(points or [()] * len(seeds), map(Trial, *columns), strict=True):
            found.setdefault(point, []).append(trial)
        return {point: Cell(point, tuple(own)) for point, own in found.items()}

    def settings(self, cell: Cell) -> Mapping[str, Any]:
        """A cell's settings as a study's ``optimizer`` has them."""
        row = self.frame[self.frame["run"] == cell.runs[0]].iloc[0]
        return _spelled(self.kind, row)

    @property
    def seeds(self) -> set[int]:
        """Every seed that is on record."""
        return set(self.frame["seed"].dropna().astype(int))

    @cached_property
    def tuning_seeds(self) -> set[int]:
        """The seeds that more than half of the cells ran with; the others came to judge."""
        counted = Counter(
            seed for cell in self.cells.values()
            for seed in {trial.seed for trial in cell.trials} if seed is not None
        )  # fmt: skip
        return {seed for seed, count in counted.items() if 2 * count > len(self.cells)}

    def loss(self, cell: Cell) -> float:
        """Mean over the seeds that tuned; over all it has, if it ran with none of them."""
        tuned = [each.loss for each in cell.finished if each.seed in self.tuning_seeds]
        losses = tuned or [each.loss for each in cell.finished]
        return sum(losses) / len(losses) if losses else math.nan

    @cached_property
    def best(self) -> Cell | None:
        """The cell with the lowest loss; None if all diverged or none has a result."""
        finite = [cell for cell in self.cells.values() if math.isfinite(self.loss(cell))]
        return min(finite, key=lambda cell: (self.loss(cell), cell.point), default=None)

    def beside(self, cell: Cell) -> list[Beside]:
        """The next cell along each axis, both ways; nothing where the axis itself ends."""
        found = []
        for place, (name, values) in enumerate(self.axes.items()):
            here = cell.point[place]
            rest = _without(cell.point, place)
            line = [point for point in self.cells if _without(point, place) == rest]
            for up in (False, True):
                if not _beyond(values, here, up=up):
                    continue
                ahead = _beyond([point[place] for point in line], here, up=up)
                at = min(ahead, key=lambda value: abs(value - here), default=None)
                next_to = None if at is None else self.cells[_with(cell.point, place, at)]
                found.append(Beside(name, up, next_to))
        return found

    def shown(self, cell: Cell) -> str:
        """A cell's point as people write it."""
        names = self.axes or {}
        pairs = zip(names, cell.point, strict=True)
        return " ".join(f"{name}={number(value)}" for name, value in pairs) or "its only setting"


def paused(frame: pd.DataFrame) -> pd.Series:
    """Which runs of a table were stopped at a step, as racing stops what cannot win."""
    return frame["reason"].fillna("").str.startswith(PAUSED)


def number(value: float) -> str:
    """A setting as a spec has it.

    >>> number(0.008), number(float("inf")), number(0.99375)
    ('0.008', 'none', '0.99375')
    """
    return "none" if math.isinf(value) else f"{value:.12g}"


def _spelled(kind: str, row: pd.Series) -> dict[str, Any]:
    """The settings of a run as a study's ``optimizer`` has them, those that are on record."""
    if "optimizer.class" in row["settings"]:
        return _class_spelled(row["settings"])
    beta1, beta2 = row["beta1"], row["beta2"]
    found: dict[str, Any] = {"method": kind, "lr": row["lr"]}
    if kind == "adam":
        found |= {"beta": beta1} if beta1 == beta2 else {"beta1": beta1, "beta2": beta2}
    elif kind != "signsgd":
        found["beta"] = beta2 if kind == "rmsprop" else beta1
    for name in ("weight_decay", "clip_norm", "coordinate_clip", "eps", "init", "bias_correction"):
        value = row[name]
        found[name] = "none" if isinstance(value, float) and math.isinf(value) else value
    found |= {name: row["settings"].get(f"optimizer.{name}") for name in MORE_AXES}
    known = {name: value for name, value in found.items() if not pd.isna(value)}
    prefix = "optimizer.relative."
    relative = {
        key.removeprefix(prefix): value
        for key, value in row["settings"].items()
        if key.startswith(prefix)
    }
    return {**known, "relative": relative} if relative else known


def _class_spelled(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same for somebody's class: what its ``optimizer`` said, β once if it is one."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        table, _, name = key.partition(".")
        if table == "optimizer" and value is not None and name not in ("code", "folder"):
            set_path(found, name, value)
    betas = found.get("arguments", {}).get("betas", ())
    if len(betas) == 2:
        del found["arguments"]["betas"]
        found |= (
            {"beta": betas[0]} if betas[0] == betas[1] else dict(zip(_BETAS, betas, strict=True))
        )
    return found


def _own_axes(frame: pd.DataFrame) -> list[str]:
    """Numbers that somebody's class got by names of its own."""
    keys = {
        key.removeprefix("optimizer.")
        for each in frame["settings"]
        for key, value in each.items()
        if key.startswith(_OWN) and isinstance(value, int | float)
    }
    return sorted(keys)


def _setting(frame: pd.DataFrame, name: str) -> pd.Series:
    """A setting of the optimizer that has no column."""
    values = [each.get(f"optimizer.{name}") for each in frame["settings"]]
    return pd.to_numeric(pd.Series(values, index=frame.index, dtype=object), errors="coerce")


def _beyond(values: list[float], here: float, *, up: bool) -> list[float]:
    return [value for value in values if (value > here if up else value < here)]


def _without(point: Point, place: int) -> Point:
    return point[:place] + point[place + 1 :]


def _with(point: Point, place: int, value: float) -> Point:
    return (*point[:place], value, *point[place + 1 :])
