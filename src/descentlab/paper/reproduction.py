"""Trains experiments of the paper and says what came of each.

All studies that are asked for are trained together: equal runs once, runs that are there not
again. The best settings of an experiment that is judged then run with fresh seeds. What fails is
told, and stops nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from descentlab.analysis.claims.finding import Finding
from descentlab.config import digest
from descentlab.contests.contest import Laboratory, Stage, loss_of
from descentlab.errors import CorruptError, DescentError, FailedRuns, Interrupted
from descentlab.paper.experiments.experiment import Experiment
from descentlab.paper.scales import Scale
from descentlab.runs.identity import Run
from descentlab.runs.records import last_record
from descentlab.runs.store import Store
from descentlab.sweep.study import Point, Study
from descentlab.train.plan import Resolver


@dataclass(frozen=True, kw_only=True)
class Part:
    """An experiment, or those of its studies that are wanted, at one scale."""

    experiment: Experiment
    studies: Sequence[Study]
    judged: bool = False
    """Whether its best settings run with fresh seeds as well."""

    def points(self) -> Iterable[tuple[Study, Point]]:
        return ((study, point) for study in self.studies for point in study.points())


@dataclass(frozen=True, kw_only=True)
class PlannedPart:
    """A part with the run of each of its points; several points may be one run."""

    part: Part
    points: Sequence[tuple[Study, Point, Run]]

    @cached_property
    def runs(self) -> dict[str, Run]:
        """The distinct runs by id."""
        return {run.run_id: run for _, _, run in self.points}

    @cached_property
    def labels(self) -> dict[str, str]:
        """By run id, what people call it."""
        key = self.part.experiment.key
        return {run.run_id: f"{key} {point.label}" for _, point, run in reversed(self.points)}


@dataclass(kw_only=True)
class Outcome:
    """What became of an experiment."""

    experiment: Experiment
    runs: list[str] = field(default_factory=list)
    """The ids of its runs, whether they have a result or not."""
    points: int = 0
    diverged: int = 0
    seconds: float = 0.0
    """How long its runs trained, one after the other, those that others share included."""
    failure: str = ""
    """Why it is not whole; empty if it is."""
    findings: Sequence[Finding] = ()
    """What a contest says itself."""
    text: str = ""
    """How a contest ended, as Markdown."""

    def count(self, store: Store) -> None:
        """Count what diverged and how long it all trained."""
        for run_id in self.runs:
            result = store.folder(run_id).result()
            self.diverged += result is not None and result.outcome == "diverged"
            self.seconds += trained_seconds(store, run_id)


def parts(wanted: Mapping[Experiment, Sequence[str] | None], scale: Scale) -> list[Part]:
    """The studies of experiments at a scale.

    Args:
        wanted: experiments, with the names of the methods that are needed; None for all.
        scale: how large.
    """
    found = []
    for experiment, methods in wanted.items():
        studies = [
            study
            for study in experiment.studies(scale)
            if methods is None or set(study.methods) & set(methods)
        ]
        judged = scale.name in experiment.judged
        found.append(Part(experiment=experiment, studies=studies, judged=judged))
    return found


def planned(part: Part, resolve: Resolver) -> PlannedPart:
    """Resolve every point of a part.

    Raises:
        ConfigError: for settings that are not allowed.
        DataError: if tokens are missing or do not suit a run.
    """
    points = [
        (study, point, resolve(study.settings_of(point), study.name))
        for study, point in part.points()
    ]
    return PlannedPart(part=part, points=points)


class Reproduction:
    """Some experiments at one scale.

    Args:
        wanted: the parts to train.
        laboratory: where runs come from.
    """

    def __init__(self, wanted: Sequence[Part], laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self.outcomes = {
            part.experiment.key: Outcome(experiment=part.experiment) for part in wanted
        }
        self._parts = wanted

    def train(self) -> list[Outcome]:
        """Train everything, the winners last, and return what became of each experiment."""
        plans = []
        for part in self._parts:
            outcome = self.outcomes[part.experiment.key]
            with told_in(outcome):
                plan = planned(part, self._laboratory.resolve)
                self._enter(plan)
                plans.append(plan)
        self._train("grids", plans)
        judged = [each for each in plans if each.part.judged]
        self._train("winners", [won for each in judged if (won := self._winners(each)).points])
        for outcome in self.outcomes.values():
            self._take_stock(outcome)
        return list(self.outcomes.values())

    def _enter(self, plan: PlannedPart) -> None:
        """Put a part on record as studies of the store."""
        outcome = self.outcomes[plan.part.experiment.key]
        outcome.points += len(plan.points)
        outcome.runs = list(dict.fromkeys([*outcome.runs, *plan.runs]))
        by_study: dict[str, list[dict[str, Any]]] = {}
        for study, point, run in plan.points:
            entry = {"method": point.method, **point.values, "run_id": run.run_id}
            by_study.setdefault(study.name, []).append(entry)
        for name, listed in by_study.items():
            content = {"experiment": name, "runs": listed}
            self._laboratory.store.register_study(f"{name}-{digest(content)[:8]}", content)

    def _train(self, stage: str, plans: Sequence[PlannedPart]) -> None:
        runs: dict[str, Run] = {}
        labels: dict[str, str] = {}
        for plan in plans:
            runs = {**plan.runs, **runs}
            labels = {**plan.labels, **labels}
        if not runs:
            return
        with suppress(FailedRuns):  # each experiment counts its own
            self._laboratory.execute(Stage(name=stage, runs=list(runs.values()), labels=labels))

    def _winners(self, plan: PlannedPart) -> PlannedPart:
        """The best setting of each method in each study, with fresh seeds."""
        store = self._laboratory.store
        best: dict[tuple[str, str | None], tuple[float, Study, Point]] = {}
        for study, point, run in plan.points:
            result = store.folder(run.run_id).result()
            loss = math.inf if result is None else loss_of(result)
            key = study.name, point.method
            if loss < best.get(key, (math.inf,))[0]:
                best[key] = (loss, study, point)
        points = []
        for _, study, point in best.values():
            for seed in self._laboratory.seeds:
                fresh = Point(point.method, {**point.values, "seed": seed})
                run = self._laboratory.resolve(study.settings_of(fresh), study.name)
                points.append((study, fresh, run))
        found = PlannedPart(part=plan.part, points=points)
        self._enter(found)
        return found

    def _take_stock(self, outcome: Outcome) -> None:
        store = self._laboratory.store
        lacking: Counter[str] = Counter()
        for run_id in outcome.runs:
            status = store.status(run_id)
            if status.result is None:
                lacking[status.reason or f"left {status.state}"] += 1
        outcome.count(store)
        if lacking:
            reason, _ = lacking.most_common(1)[0]
            number = sum(lacking.values())
            outcome.failure = f"{number} of {len(outcome.runs)} runs have no result: {reason}"


@contextmanager
def told_in(outcome: Outcome) -> Iterator[None]:
    """Tell in an experiment's outcome what makes it fail, and go on.

    Raises:
        Interrupted: if it was stopped.
    """
    try:
        yield
    except Interrupted:
        raise
    except DescentError as error:
        outcome.failure = str(error)


def trained_seconds(store: Store, run_id: str) -> float:
    """How long a run trained, over all attempts that say so."""
    folder = store.folder(run_id)
    spent = 0.0
    for generation in range(1, folder.generations() + 1):
        with suppress(CorruptError):
            record = last_record(folder.attempt(generation).timing)
            if record is not None and "summary" in record:
                spent += float(record["seconds"])
    return spent
