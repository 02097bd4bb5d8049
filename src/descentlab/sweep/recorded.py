"""Sweeps whose runs are over: what a replay needs to know of them.

The runs of a store, and those that were imported from elsewhere, become the same plain
cells with arrays. Runs belong to one sweep if they differ in nothing but numbers of their
optimizer; those numbers that vary are its axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from descentlab.config import canonical_json
from descentlab.runs.identity import Run
from descentlab.runs.imported import load_imported
from descentlab.runs.records import read_records
from descentlab.runs.store import Store
from descentlab.sweep.racing.curve import Curve, curve_of
from descentlab.sweep.racing.grid import Cell, Kind, Value, no_drop_before

FEWEST = 4
"""Cells of a sweep; with fewer there is nothing to race."""


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """One run that is over, as its source tells it."""

    key: str
    group: str
    """Equal for runs that may belong to one sweep; people read it."""
    method: str
    settings: Mapping[str, Value]
    """Of the optimizer, without the method."""
    rest: str = ""
    """Whatever else must be equal within a sweep."""
    curve: Curve
    loss: float
    """Final held-out loss in nats; infinite if it diverged."""


@dataclass(frozen=True, kw_only=True)
class RecordedCell:
    """A cell of a sweep with its whole curve."""

    cell: Cell
    curve: Curve
    loss: float


@dataclass(frozen=True, kw_only=True)
class RecordedSweep:
    """Cells of one method that were all trained to their end, or until they diverged."""

    name: str
    axes: Mapping[str, Kind]
    cells: Sequence[RecordedCell]

    @property
    def best(self) -> float:
        """The lowest final loss in nats."""
        return min(each.loss for each in self.cells)


def sweeps_of(runs: Sequence[RecordedRun]) -> list[RecordedSweep]:
    """Put runs together into sweeps, ordered by name.

    Names among the settings (and "none" where others have a number) split sweeps. Of runs with
    equal settings the first counts. Sweeps of fewer than four cells are left out, and so are
    those of which no run came to a finite loss.
    """
    groups: dict[tuple[str, frozenset[str], str, str], list[RecordedRun]] = {}
    for run in runs:
        names = frozenset(f"{key}={value}" for key, value in run.settings.items() if _named(value))
        shape = ",".join(sorted(run.settings))
        groups.setdefault((run.group, names, shape, run.rest), []).append(run)
    sweeps = []
    for (group, names, *_), members in groups.items():
        shared = frozenset.intersection(*(each[1] for each in groups if each[0] == group))
        sweeps.append(_sweep(" ".join([group, *sorted(names - shared)]), members))
    found = [each for each in sweeps if len(each.cells) >= FEWEST and math.isfinite(each.best)]
    return sorted(found, key=lambda each: each.name)


def _named(value: Value) -> bool:
    return isinstance(value, str)


def _sweep(name: str, runs: Sequence[RecordedRun]) -> RecordedSweep:
    values: dict[str, set[Value]] = {}
    for run in runs:
        for key, value in run.settings.items():
            values.setdefault(key, set()).add(value)
    axes: dict[str, Kind] = {key: kind_of(key) for key, found in values.items() if len(found) > 1}
    cells: dict[tuple[Value, ...], RecordedCell] = {}
    for run in runs:
        point = {key: run.settings[key] for key in axes}
        cell = Cell(key=run.key, point=point, no_drop_before=no_drop_before(run.method))
        recorded = RecordedCell(cell=cell, curve=run.curve, loss=run.loss)
        cells.setdefault(tuple(point.values()), recorded)
    return RecordedSweep(name=name, axes=axes, cells=list(cells.values()))


def kind_of(setting: str) -> Kind:
    """What lies along the axis of a number of the optimizer.

    >>> kind_of("lr"), kind_of("beta2"), kind_of("weight_decay")
    ('rate', 'decay', 'ordered')
    """
    if setting == "lr":
        return "rate"
    return "decay" if setting.startswith("beta") else "ordered"


def recorded_runs(store: Store, warn: Callable[[str], None]) -> list[RecordedRun]:
    """The runs of a store that have their results; those of different seeds never mix.

    Methods and their settings are taken as they were asked for, so that RMSprop does not become
    a corner of Adam's grid. Damage to metrics is told, and what is before it is used.

    Raises:
        CorruptError: for a damaged spec or result.
    """
    found = []
    for run in store.runs():
        result = store.folder(run.run_id).result()
        attempt = store.latest_attempt(run.run_id)
        if result is None or attempt is None:
            continue
        records, damaged_at = read_records(attempt.metrics)
        if damaged_at is not None:
            warn(f"{attempt.metrics}: damaged from byte {damaged_at}; using what is before it")
        settings = {
            name: value if isinstance(value, (int, float)) else canonical_json(value).decode()
            for name, value in run.settings["optimizer"].items()
        }
        method = str(run.settings["optimizer"]["method"])
        settings.pop("method")
        seed = run.identity["seed"]
        loss = result.validation_loss
        found.append(
            RecordedRun(
                key=run.run_id,
                group=f"{method} seed={seed}" if seed else method,
                method=method,
                settings=settings,
                rest=_rest(run),
                curve=curve_of(records, int(run.identity["training"]["steps"])),
                loss=math.inf if loss is None else loss,
            )
        )
    return found


def imported_runs(store: Store) -> list[RecordedRun]:
    """The runs that were imported into a store, but for later rows with equal settings.

    Raises:
        CorruptError: if an imported file has changed since.
    """
    found = []
    for run in load_imported(store):
        known = run.final_perplexity
        if run.duplicate_of is not None or not (run.diverged or (known and known > 0)):
            continue
        rest = [run.batch_size, run.sequence_length, run.steps, run.dataset, run.model, run.seed]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            losses = np.log(run.curve)
        found.append(
            RecordedRun(
                key=f"{run.sweep} {run.row}",
                group=f"{run.sweep} {run.label}",
                method=run.label,
                settings=run.settings,
                rest=str(rest),
                curve=Curve(run.fractions, losses),
                loss=math.inf if run.diverged or known is None else math.log(known),
            )
        )
    return found


def _rest(run: Run) -> str:
    """All that decides a run but its optimizer.

    A floor that is a share of the learning rate varies with it, so it is taken as it was given.
    """
    rest = {**run.identity, "data": run.data_sha256, "floor": run.settings.get("schedule")}
    del rest["optimizer"]
    rest["schedule"] = {
        name: value for name, value in run.identity["schedule"].items() if name != "floor_lr"
    }
    return canonical_json(rest).decode()
