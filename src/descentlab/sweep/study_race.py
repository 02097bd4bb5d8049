"""The races of a study: one for each method, and for each value of what is not tuned.

Numbers of the optimizer are tuned: runs that differ in nothing else meet. Runs that differ in
their method, a name, batch size, or anything outside the table ``optimizer`` are in races of
their own, since their losses are not alike. A setting races with its first seed; the best run
with the others, too (``replicates``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from descentlab.config import canonical_json
from descentlab.errors import ConfigError
from descentlab.runs.identity import Run
from descentlab.runs.store import Store
from descentlab.sweep.race import Race
from descentlab.sweep.race_notes import RaceNotes
from descentlab.sweep.racing.choice import scheduler_named
from descentlab.sweep.racing.grid import Cell, Kind, Value, no_drop_before
from descentlab.sweep.racing.races import races
from descentlab.sweep.racing.replicates import Replicated, Replicates
from descentlab.sweep.racing.scheduler import SEED_SD
from descentlab.sweep.recorded import kind_of
from descentlab.sweep.study import SEED, Point

TUNED = "optimizer."
"""What settings begin with along which runs are compared."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a race found."""

    race: str
    """Its method, and what else is the same in all its runs."""
    winner: str | None
    """The id of its run with the seed of the race; None if no setting came to its end with a
    finite loss."""
    loss: float | None
    """The winner's, in nats: the mean over its seeds."""
    within_noise: list[str]
    """Settings that differ from the winner by noise alone, it first; ids as above."""
    settings: list[Replicated]
    """All that came to their end with every seed, the best first."""
    cost: float
    """Share of the price of the race's whole grid, all seeds of it."""


class StudyRace:
    """A study's races under one scheduler.

    Args:
        points: of the study.
        runs: of each point, in the same order.
        scheduler: its name.

    Raises:
        ConfigError: for a name that no scheduler has, or runs that begin anew wherever they paused.
    """

    def __init__(self, points: Sequence[Point], runs: Sequence[Run], scheduler: str) -> None:
        make = scheduler_named(scheduler)
        if any(run.settings.get("execution", {}).get("resume") == "restart" for run in runs):
            raise ConfigError(
                'execution.resume: is "restart", so a run that a race paused would begin anew at '
                'each rung; with racing it has to be "exact" or "inexact"'
            )
        self.name = scheduler
        self.runs = {run.run_id: run for run in runs}
        self.labels: dict[str, dict[str, str]] = {}
        """By race and the id of a run that races, its setting as a person would write it."""
        self.races: dict[str, Replicates] = {}
        for method, own in _by_method(points, runs).items():
            found = races(self._cells(own.raced), _kinds(own.raced), make)
            for race, one in found.items():
                name = " ".join(filter(None, [method, race]))
                self.races[name] = Replicates(one, own.replicates(one.cells))
                self.labels[name] = {key: _setting(method, own.raced[key]) for key in one.cells}

    def agenda(self, store: Store, name: str) -> Race:
        """What a driver is to do about the races in a store, noted there under a study's name."""
        notes = RaceNotes(store, name, self.name, self.races)
        return Race(list(self.races.values()), self.runs, store, notes)

    def _cells(self, own: Mapping[str, Mapping[str, Any]]) -> list[Cell]:
        kinds = _kinds(own)
        return [
            Cell(
                key=run_id,
                point={name: _value(values[name], kind) for name, kind in kinds.items()},
                budget=self.runs[run_id].tokens,
                no_drop_before=no_drop_before(self.runs[run_id].settings["optimizer"]["method"]),
            )
            for run_id, values in own.items()
        ]

    def found(self, *, seed_sd: float = SEED_SD) -> list[Found]:
        """What each race found so far."""
        found = []
        for race, replicates in self.races.items():
            outcome = replicates.result(seed_sd=seed_sd)
            found.append(
                Found(
                    race=race,
                    winner=outcome.winner,
                    loss=outcome.loss,
                    within_noise=outcome.within_noise,
                    settings=replicates.replicated(),
                    cost=outcome.cost,
                )
            )
        return found

    def record(self) -> bytes:
        """Every decision with the numbers that it rested on, as JSON."""
        decisions = {race: replicates.decisions for race, replicates in self.races.items()}
        return canonical_json(
            msgspec.to_builtins(
                {"scheduler": self.name, "decisions": decisions, "found": self.found()}
            )
        )


@dataclass(frozen=True)
class _Method:
    """The runs of one method."""

    raced: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of each setting the one with its first seed, with what varies."""
    others: dict[str, dict[object, str]] = field(default_factory=dict)
    """By the id of that, by seed, the ids of the others."""

    def replicates(self, cells: Iterable[str]) -> dict[str, list[str]]:
        """The other runs of each cell of a race, with the seeds that all of them have."""
        chosen = {key: self.others.get(key, {}) for key in cells}
        seeds = [
            seed
            for seed in next(iter(chosen.values()))
            if all(seed in each for each in chosen.values())
        ]
        return {key: [each[seed] for seed in seeds] for key, each in chosen.items()}


def _by_method(points: Sequence[Point], runs: Sequence[Run]) -> dict[str | None, _Method]:
    methods: dict[str | None, _Method] = {}
    first: dict[tuple[str | None, bytes], str] = {}
    for point, run in zip(points, runs, strict=True):
        method = methods.setdefault(point.method, _Method())
        rest = {key: value for key, value in point.values.items() if key != SEED}
        racing = first.setdefault((point.method, canonical_json(rest)), run.run_id)
        if racing == run.run_id:
            method.raced.setdefault(run.run_id, point.values)
        else:
            method.others.setdefault(racing, {}).setdefault(point.values[SEED], run.run_id)
    return methods


def _setting(method: str | None, values: Mapping[str, Any]) -> str:
    """As a person would write it, whatever the seed."""
    return Point(method, {key: each for key, each in values.items() if key != SEED}).label


def _kinds(own: Mapping[str, Mapping[str, Any]]) -> dict[str, Kind]:
    """The kind of each setting that varies among runs."""
    keys = dict.fromkeys(key for values in own.values() for key in values)
    kinds: dict[str, Kind] = {}
    for key in keys:
        found = [values[key] for values in own.values()]
        if all(each == found[0] for each in found):
            continue
        numbers = all(isinstance(each, (int, float)) for each in found)
        tuned = key.startswith(TUNED) and numbers
        kinds[key] = kind_of(key.removeprefix(TUNED)) if tuned else "category"
    return kinds


def _value(value: object, kind: Kind) -> Value:
    if kind == "category" or not isinstance(value, (int, float)):
        return str(value)
    return value
