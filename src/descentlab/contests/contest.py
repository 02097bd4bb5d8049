"""Methods against one another: each tuned on its own grid, then run with fresh seeds.

Every method gets a grid of the same size over what it has to tune, on one seed. The grids are
raced, each by itself and all under the same rules, unless that is turned off. Where the
optimum lies on an edge, the grid is extended; afterwards every method gets as many trials
as the one that had most. The winner of each then runs with seeds that tuning never saw,
the same for all methods, so that being chosen does not flatter it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from descentlab.analysis.comparison import Contender, symbol
from descentlab.config import digest
from descentlab.errors import ConfigError
from descentlab.runs.identity import Run
from descentlab.runs.labels import method_label
from descentlab.runs.races import Decision
from descentlab.runs.store import Result, Store
from descentlab.sweep.agenda import Agenda
from descentlab.sweep.race import Race
from descentlab.sweep.race_notes import RaceNotes
from descentlab.sweep.racing.raced_search import RacedSearch
from descentlab.sweep.racing.racing import Rules
from descentlab.sweep.racing.scheduler import Report
from descentlab.sweep.study import label, place
from descentlab.sweep.tuning import Axis, Point, shortfalls
from descentlab.train.plan import Resolver

TUNING_SEED = 0
FIRST_JUDGING_SEED = 101
"""Far from the seeds that are tried by hand: the choice of the scale did not see them either."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A method of a contest, and what it has to tune."""

    optimizer: Mapping[str, Any]
    """Settings of the table ``optimizer``."""
    axes: Sequence[Axis]
    """Named for further settings of that table."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """Which methods meet, on what."""

    name: str
    run: Mapping[str, Any]
    """Settings that all runs share."""
    entries: Mapping[str, Entry]
    rules: Rules = field(default_factory=Rules)
    """By which every method is raced."""

    def settings(self, name: str, tuned: Mapping[str, float], seed: int) -> dict[str, Any]:
        """The settings of a run of a method, with values for what it has to tune."""
        run = {**self.run, "optimizer": dict(self.entries[name].optimizer)}
        return place(run, {**{f"optimizer.{key}": tuned[key] for key in tuned}, "seed": seed})


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Runs that can all be trained at once, with what people call each of them."""

    name: str
    runs: list[Run]
    labels: Mapping[str, str]
    agenda: Agenda | None = None
    """What of the runs to train; all of each, if there is none."""


Execute = Callable[[Stage], Mapping[str, Result]]
"""Trains a stage's runs and returns their results by run id."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run of a contest, as the analysis needs it."""

    method: str
    point: Mapping[str, float]
    seed: int
    run_id: str
    loss: float | None
    """Final held-out loss in nats, infinite if the run diverged; None if racing stopped it."""
    reached: float = 1.0
    """The share of its budget that it was trained for."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a contest ended: contenders in the order of their entries, and every trial."""

    contenders: list[Contender]
    trials: list[Trial]
    winners: Mapping[str, list[str]]
    """By method, the run ids of the best setting with each fresh seed."""

    def contender(self, name: str) -> Contender:
        return next(each for each in self.contenders if each.name == name)


def judging_seeds(count: int) -> list[int]:
    """The seeds that judge the winners.

    Raises:
        ConfigError: for a number below 1.
    """
    if count < 1:
        raise ConfigError(f"seeds: got {count}; at least 1 is needed, 3 give intervals")
    return list(range(FIRST_JUDGING_SEED, FIRST_JUDGING_SEED + count))


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """Where an experiment gets its runs from."""

    store: Store
    """Gets a study for every stage."""
    seeds: Sequence[int]
    """The fresh seeds that winners run with, from ``judging_seeds``."""
    resolve: Resolver
    """Turns settings into runs."""
    execute: Execute
    warn: Callable[[str], None]
    """Shows the user one line."""
    racing: bool = True
    """Whether tuning stops runs that cannot win."""


class _Planned(NamedTuple):
    """A run that is asked for, and what it is to its method."""

    method: str
    values: Point
    seed: int
    run: Run


class _Racers:
    """One method's race, its points called by the ids of their runs.

    Args:
        raced: the race.
        points: by run id.
    """

    def __init__(self, raced: RacedSearch, points: Mapping[str, Point]) -> None:
        self._raced = raced
        self._points = points
        self._run_ids = {point: run_id for run_id, point in points.items()}

    @property
    def cells(self) -> Iterable[str]:
        return self._points

    def ask(self) -> list[tuple[str, float]]:
        return [(self._run_ids[point], until) for point, until in self._raced.ask()]

    def tell(self, key: str, report: Report) -> None:
        self._raced.tell(self._points[key], report)

    @property
    def decisions(self) -> list[Decision]:
        """Those of the race, its points called by the ids of their runs."""
        return [
            msgspec.structs.replace(
                each,
                cell=self._called(each.cell),
                against=each.against and self._called(each.against),
            )
            for each in self._raced.race.decisions
        ]

    def _called(self, cell: str) -> str:
        return self._run_ids[self._raced.point(cell)]


class Contest:
    """Tunes the methods of a design and lets the winners meet."""

    def __init__(self, design: Design, laboratory: Laboratory) -> None:
        self._design = design
        self._laboratory = laboratory
        self._trials: list[Trial] = []
        self._searches = {
            name: RacedSearch(
                copy.deepcopy(entry.axes),
                method=method_label(str(entry.optimizer["method"]), entry.optimizer),
                rules=design.rules if laboratory.racing else None,
            )
            for name, entry in design.entries.items()
        }
        self._runs: dict[str, Run] = {}
        self._labels: dict[str, str] = {}
        self._points: dict[str, dict[str, Point]] = {name: {} for name in design.entries}
        """By method and run id, what was tried in tuning."""

    def run(self) -> Standing:
        """Tune, extend, even out, and run the winners with fresh seeds."""
        self.tune()
        asked = {
            name: [(raced.search.best, seed) for seed in self._laboratory.seeds]
            for name, raced in self._searches.items()
        }
        trials = self._train("seeds", asked)
        winners = {
            name: [trial.run_id for trial in trials if trial.method == name]
            for name in self._searches
        }
        return Standing(
            contenders=[self._contender(name, winners) for name in self._searches],
            trials=self._trials,
            winners=winners,
        )

    def tune(self) -> dict[str, dict[str, Any]]:
        """Return the settings of each method's best run on the tuning seed."""
        self._race("grid", {name: raced.search.start() for name, raced in self._searches.items()})
        while extensions := self._extensions():
            self._race("extension", extensions)
        lacking = shortfalls([raced.search for raced in self._searches.values()])
        refinements = {
            name: raced.refinement(count)
            for (name, raced), count in zip(self._searches.items(), lacking, strict=True)
        }
        self._race("refinement", refinements)
        self._trials += [trial for name in self._searches for trial in self._tried(name)]
        return {
            name: self._settings(name, raced.search.best, TUNING_SEED)
            for name, raced in self._searches.items()
        }

    def _extensions(self) -> dict[str, list[Point]]:
        extensions = {}
        for name, raced in self._searches.items():
            edges = ", ".join(raced.search.edges())
            best = _shown(raced.search.best_by_name)
            if points := raced.extension():
                self._laboratory.warn(
                    f"{name}: its best setting ({best}) lies on an edge of its grid ({edges}); "
                    f"extending the grid there by {len(points)} trials"
                )
                extensions[name] = points
        return extensions

    def _race(self, stage: str, points: Mapping[str, list[Point]]) -> None:
        """Let points into each method's race on the tuning seed, and bring it to its end."""
        asked = {
            name: [(point, TUNING_SEED) for point in chosen] for name, chosen in points.items()
        }
        planned = self._plan(stage, asked)
        for each in planned:
            self._points[each.method][each.run.run_id] = each.values
        if not planned:
            return
        racers = {
            name: _Racers(raced, self._points[name]) for name, raced in self._searches.items()
        }
        store = self._laboratory.store
        scheduler = "racing" if self._laboratory.racing else "none"
        notes = RaceNotes(store, self._design.name, scheduler, racers)
        self._laboratory.execute(
            Stage(
                name=stage,
                runs=list(self._runs.values()),
                labels=self._labels,
                agenda=Race(list(racers.values()), self._runs, store, notes),
            )
        )

    def _tried(self, name: str) -> list[Trial]:
        """Every trial of a method's tuning, in the order in which they entered."""
        raced = self._searches[name]
        return [
            Trial(
                method=name,
                point=self._named(name, point),
                seed=TUNING_SEED,
                run_id=run_id,
                loss=raced.search.scores.get(point),
                reached=raced.reached(point),
            )
            for run_id, point in self._points[name].items()
        ]

    def _plan(self, stage: str, asked: Mapping[str, Sequence[tuple[Point, int]]]) -> list[_Planned]:
        """Turn what is asked into runs, and put them on record as a study."""
        planned = []
        for name, chosen in asked.items():
            for values, seed in chosen:
                where = f"{self._design.name}, {name}"
                run = self._laboratory.resolve(self._settings(name, values, seed), where)
                planned.append(_Planned(name, values, seed, run))
                self._runs.setdefault(run.run_id, run)
                shown = _shown({**self._named(name, values), "seed": seed})
                self._labels.setdefault(run.run_id, f"{name} {shown}")
        if planned:
            self._register(stage, planned)
        return planned

    def _train(self, stage: str, asked: Mapping[str, Sequence[tuple[Point, int]]]) -> list[Trial]:
        """Train runs to their ends."""
        planned = self._plan(stage, asked)
        runs = list({each.run.run_id: each.run for each in planned}.values())
        results = self._laboratory.execute(Stage(name=stage, runs=runs, labels=self._labels))
        trials = [
            Trial(
                method=each.method,
                point=self._named(each.method, each.values),
                seed=each.seed,
                run_id=each.run.run_id,
                loss=loss_of(results[each.run.run_id]),
            )
            for each in planned
        ]
        self._trials += trials
        return trials

    def _named(self, name: str, point: Point) -> dict[str, float]:
        axes = self._design.entries[name].axes
        return {axis.name: value for axis, value in zip(axes, point, strict=True)}

    def _settings(self, name: str, point: Point, seed: int) -> dict[str, Any]:
        return self._design.settings(name, self._named(name, point), seed)

    def _register(self, stage: str, planned: Sequence[_Planned]) -> None:
        content = {
            "experiment": self._design.name,
            "stage": stage,
            "runs": [
                {
                    "method": each.method,
                    **self._named(each.method, each.values),
                    "seed": each.seed,
                    "run_id": each.run.run_id,
                }
                for each in planned
            ],
        }
        self._laboratory.store.register_study(
            f"{self._design.name}-{stage}-{digest(content)[:8]}", content
        )

    def _contender(self, name: str, winners: Mapping[str, list[str]]) -> Contender:
        search = self._searches[name].search
        mine = [trial for trial in self._trials if trial.method == name]
        if edges := search.edges():
            self._laboratory.warn(
                f"{name}: its best setting still lies on an edge ({', '.join(edges)})"
            )
        return Contender(
            name=name,
            best=search.best_by_name,
            losses=[
                trial.loss for trial in mine if trial.seed != TUNING_SEED and trial.loss is not None
            ],
            trials=len(search.trials),
            diverged=sum(trial.loss == math.inf for trial in mine),
            runs=len(mine),
            edges=edges,
            same_as=_twin(name, winners),
        )


def _shown(point: Mapping[str, float]) -> str:
    return label({symbol(name): value for name, value in point.items()})


def _twin(name: str, winners: Mapping[str, list[str]]) -> str | None:
    """The earlier method whose winning runs are the very same runs, if one's are."""
    first = next(other for other in winners if winners[other] == winners[name])
    return None if first == name else first


def loss_of(result: Result) -> float:
    """Final held-out loss, infinite for a diverged run, so that it ranks worst."""
    if result.outcome == "diverged" or result.validation_loss is None:
        return math.inf
    return result.validation_loss
