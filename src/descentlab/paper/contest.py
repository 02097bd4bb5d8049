"""Methods against one another: each tuned on its own grid, then run with fresh seeds.

Every method gets a grid of the same size over what it has to tune, on one seed. Where the
optimum lies on an edge, the grid is extended; afterwards every method gets as many trials
as the one that had most. The winner of each then runs with seeds that tuning never saw,
the same for all methods, so that being chosen does not flatter it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from descentlab.analysis.comparison import SYMBOLS, Contender
from descentlab.config import digest
from descentlab.errors import ConfigError
from descentlab.runs.identity import Run
from descentlab.runs.store import Result, Store
from descentlab.sweep.study import label, place
from descentlab.sweep.tuning import Axis, Point, Search, shortfalls
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


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Runs that can all be trained at once, with what people call each of them."""

    name: str
    runs: list[Run]
    labels: Mapping[str, str]


Execute = Callable[[Stage], Mapping[str, Result]]
"""Trains a stage's runs and returns their results by run id."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run of a contest, as the analysis needs it."""

    method: str
    point: Mapping[str, float]
    seed: int
    run_id: str
    loss: float
    """Final held-out loss in nats, infinite if the run diverged."""


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


class Contest:
    """Tunes the methods of a design and lets the winners meet."""

    def __init__(self, design: Design, laboratory: Laboratory) -> None:
        self._design = design
        self._laboratory = laboratory
        self._trials: list[Trial] = []
        self._searches = {
            name: Search(copy.deepcopy(entry.axes)) for name, entry in design.entries.items()
        }

    def run(self) -> Standing:
        """Tune, extend, even out, and run the winners with fresh seeds."""
        self.tune()
        asked = {
            name: [(search.best, seed) for seed in self._laboratory.seeds]
            for name, search in self._searches.items()
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
        self._trial("grid", {name: search.start() for name, search in self._searches.items()})
        while extensions := self._extensions():
            self._trial("extension", extensions)
        lacking = shortfalls(list(self._searches.values()))
        refinements = {
            name: search.refinement(count)
            for (name, search), count in zip(self._searches.items(), lacking, strict=True)
        }
        self._trial("refinement", refinements)
        return {
            name: self._settings(name, search.best, TUNING_SEED)
            for name, search in self._searches.items()
        }

    def _extensions(self) -> dict[str, list[Point]]:
        extensions = {}
        for name, search in self._searches.items():
            edges = ", ".join(search.edges())
            best = _shown(search.best_by_name)
            if points := search.extension():
                self._laboratory.warn(
                    f"{name}: its best setting ({best}) lies on an edge of its grid ({edges}); "
                    f"extending the grid there by {len(points)} trials"
                )
                extensions[name] = points
        return extensions

    def _trial(self, stage: str, points: Mapping[str, list[Point]]) -> None:
        """Train points on the tuning seed and let each search see its own scores."""
        asked = {
            name: [(point, TUNING_SEED) for point in chosen] for name, chosen in points.items()
        }
        trials = self._train(stage, asked)
        for name, search in self._searches.items():
            mine = [each for each in trials if each.method == name]
            search.observe({tuple(each.point.values()): each.loss for each in mine})

    def _train(self, stage: str, asked: Mapping[str, Sequence[tuple[Point, int]]]) -> list[Trial]:
        planned: list[tuple[str, dict[str, float], int, Run]] = []
        labels: dict[str, str] = {}
        for name, chosen in asked.items():
            for values, seed in chosen:
                point = self._named(name, values)
                where = f"{self._design.name}, {name}"
                run = self._laboratory.resolve(self._settings(name, values, seed), where)
                planned.append((name, point, seed, run))
                labels.setdefault(run.run_id, f"{name} {_shown({**point, 'seed': seed})}")
        if not planned:
            return []
        self._register(stage, planned)
        runs = list({run.run_id: run for *_, run in planned}.values())
        results = self._laboratory.execute(Stage(name=stage, runs=runs, labels=labels))
        trials = [
            Trial(
                method=name,
                point=point,
                seed=seed,
                run_id=run.run_id,
                loss=loss_of(results[run.run_id]),
            )
            for name, point, seed, run in planned
        ]
        self._trials += trials
        return trials

    def _named(self, name: str, point: Point) -> dict[str, float]:
        axes = self._design.entries[name].axes
        return {axis.name: value for axis, value in zip(axes, point, strict=True)}

    def _settings(self, name: str, point: Point, seed: int) -> dict[str, Any]:
        entry = self._design.entries[name]
        tuned = {f"optimizer.{key}": value for key, value in self._named(name, point).items()}
        return place(
            {**self._design.run, "optimizer": dict(entry.optimizer)}, {**tuned, "seed": seed}
        )

    def _register(
        self, stage: str, planned: Sequence[tuple[str, Mapping[str, float], int, Run]]
    ) -> None:
        content = {
            "experiment": self._design.name,
            "stage": stage,
            "runs": [
                {"method": name, **point, "seed": seed, "run_id": run.run_id}
                for name, point, seed, run in planned
            ],
        }
        self._laboratory.store.register_study(
            f"{self._design.name}-{stage}-{digest(content)[:8]}", content
        )

    def _contender(self, name: str, winners: Mapping[str, list[str]]) -> Contender:
        search = self._searches[name]
        mine = [trial for trial in self._trials if trial.method == name]
        if edges := search.edges():
            self._laboratory.warn(
                f"{name}: its best setting still lies on an edge ({', '.join(edges)})"
            )
        return Contender(
            name=name,
            best=search.best_by_name,
            losses=[trial.loss for trial in mine if trial.seed != TUNING_SEED],
            trials=len(search.scores),
            diverged=sum(math.isinf(trial.loss) for trial in mine),
            runs=len(mine),
            edges=edges,
            same_as=_twin(name, winners),
        )


def _shown(point: Mapping[str, float]) -> str:
    return label({SYMBOLS.get(name, name): value for name, value in point.items()})


def _twin(name: str, winners: Mapping[str, list[str]]) -> str | None:
    """The earlier method whose winning runs are the very same runs, if one's are."""
    first = next(other for other in winners if winners[other] == winners[name])
    return None if first == name else first


def loss_of(result: Result) -> float:
    """Final held-out loss, infinite for a diverged run, so that it ranks worst."""
    if result.outcome == "diverged" or result.validation_loss is None:
        return math.inf
    return result.validation_loss
