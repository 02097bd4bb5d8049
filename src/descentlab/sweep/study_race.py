"""The races of a study: one for each method, and for each value of what is not tuned.

Numbers of the optimizer are tuned: runs that differ in nothing else meet. Runs that differ in
their method, a name, their seed, batch size, or anything outside the table ``optimizer`` are in
races of their own, since their losses are not alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from descentlab.config import canonical_json
from descentlab.runs.identity import Run
from descentlab.runs.store import Store
from descentlab.sweep.race import Race
from descentlab.sweep.racing.choice import scheduler_named
from descentlab.sweep.racing.grid import Cell, Kind, Value, no_drop_before
from descentlab.sweep.racing.races import Races
from descentlab.sweep.racing.scheduler import SEED_SD
from descentlab.sweep.recorded import kind_of
from descentlab.sweep.study import Point

TUNED = "optimizer."
"""What settings begin with along which runs are compared."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a race found."""

    race: str
    """Its method, and what else is the same in all its runs."""
    winner: str | None
    """A run's id; None if none came to its end with a finite loss."""
    within_noise: list[str]
    cost: float
    """Share of the price of the race's whole grid."""


class StudyRace:
    """A study's races under one scheduler.

    Args:
        points: of the study.
        runs: of each point, in the same order.
        name: of the scheduler.

    Raises:
        ConfigError: for a name that no scheduler has.
    """

    def __init__(self, points: Sequence[Point], runs: Sequence[Run], name: str) -> None:
        make = scheduler_named(name)
        self.name = name
        self.runs = {run.run_id: run for run in runs}
        members: dict[str | None, dict[str, Mapping[str, Any]]] = {}
        for point, run in zip(points, runs, strict=True):
            members.setdefault(point.method, {}).setdefault(run.run_id, point.values)
        self._races = {
            method: Races(self._cells(own), _kinds(own), make) for method, own in members.items()
        }

    def agenda(self, store: Store) -> Race:
        """What a driver is to do about the races in a store."""
        return Race(list(self._races.values()), self.runs, store)

    def _cells(self, own: Mapping[str, Mapping[str, Any]]) -> list[Cell]:
        kinds = _kinds(own)
        return [
            Cell(
                key=run_id,
                point={name: _value(values[name], kind) for name, kind in kinds.items()},
                budget=_tokens(self.runs[run_id]),
                no_drop_before=no_drop_before(self.runs[run_id].settings["optimizer"]["method"]),
            )
            for run_id, values in own.items()
        ]

    def found(self, *, seed_sd: float = SEED_SD) -> list[Found]:
        """What each race found so far."""
        return [
            Found(
                race=" ".join(filter(None, [method, race])),
                winner=outcome.winner,
                within_noise=outcome.within_noise,
                cost=outcome.cost,
            )
            for method, races in self._races.items()
            for race, outcome in races.results(seed_sd=seed_sd).items()
        ]

    def record(self) -> bytes:
        """Every decision with the numbers that it rested on, as JSON."""
        decisions = {
            " ".join(filter(None, [method, race])): made
            for method, races in self._races.items()
            for race, made in races.decisions.items()
        }
        return canonical_json(
            msgspec.to_builtins(
                {"scheduler": self.name, "decisions": decisions, "found": self.found()}
            )
        )


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


def _tokens(run: Run) -> float:
    training = run.settings["training"]
    return training["steps"] * training["batch_size"] * run.settings["data"]["sequence_length"]
