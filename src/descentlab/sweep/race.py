"""Races that are run: what schedulers ask becomes steps of runs, and their records the reports.

All that is known of a run is read from the store. So a race goes on where it was left, by
whoever left it, and runs that were trained before cost nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from descentlab.runs.checkpoints import saved
from descentlab.runs.folder import Attempt
from descentlab.runs.identity import Run
from descentlab.runs.races import Decision
from descentlab.runs.records import read_records
from descentlab.runs.store import Store
from descentlab.sweep.agenda import Agenda, Spent
from descentlab.sweep.race_notes import RaceNotes
from descentlab.sweep.racing.curve import Curve, curve_of
from descentlab.sweep.racing.scheduler import ROUNDING, Report


class Racers(Protocol):
    """A race whose cells are called by the ids of their runs."""

    @property
    def cells(self) -> Iterable[str]:
        """All that it may ask for."""
        ...

    def ask(self) -> Iterable[tuple[str, float]]:
        """What to train, and until which share of its budget."""
        ...

    def tell(self, key: str, report: Report) -> None:
        """Take in how a run stands."""
        ...


class Race(Agenda):
    """What races want of runs.

    Two may ask for the same run. Where one has stopped it and another brings it to its end,
    both have the result: the one that stopped it is told once no race asks for anything, so that
    no decision rests on which of them was faster.

    Args:
        racers: the races.
        runs: by id, all that may be asked for; they are looked up when they are.
        store: where they are registered and trained.
        notes: of the races' decisions, if they are to be kept.
    """

    def __init__(
        self,
        racers: Sequence[Racers],
        runs: Mapping[str, Run],
        store: Store,
        notes: RaceNotes | None = None,
    ) -> None:
        self._racers = racers
        self._runs = runs
        self._store = store
        self._notes = notes
        self._standings: dict[str, Report] = {}
        self._given_up: set[str] = set()

    def wanted(self) -> Mapping[str, int | None]:
        wanted = self._asked()
        if not wanted:
            self._share_results()
            if self._notes is not None:
                self._notes.take()
            wanted = self._asked()
        return wanted

    def _asked(self) -> dict[str, int | None]:
        """What is asked beyond what is known, first for the race that waits for least.

        A race decides when all that it asked for is there, and has most still to ask one after
        another if it asks for little at a time; others fill the time meanwhile.
        """
        while self._tell_what_is_known():
            if self._notes is not None:
                self._notes.take()
        asked = sorted((list(racers.ask()) for racers in self._racers), key=self._left)
        wanted: dict[str, int | None] = {}
        for run_id, until in itertools.chain(*asked):
            step = self._step(run_id, until)
            before = wanted.setdefault(run_id, step)
            if before is not None and (step is None or step > before):
                wanted[run_id] = step
        return wanted

    def ended(self, run_id: str) -> None:
        self._standings.pop(run_id, None)

    def failed(self, run_id: str) -> None:
        self._given_up.add(run_id)  # the race goes on without it, as if it had diverged
        self.ended(run_id)

    def spent(self) -> Spent:
        so_far = {run_id: self._standing(run_id).fraction for run_id in self._runs}
        asked = {
            run_id: 1.0 if step is None else step / self._steps(run_id)
            for run_id, step in self.wanted().items()
        }
        beyond = [max(0.0, until - so_far[run_id]) for run_id, until in asked.items()]
        return Spent(math.fsum(so_far.values()), math.fsum(beyond))

    def decided(self) -> Sequence[Decision]:
        return self._notes.made if self._notes is not None else ()

    def _tell_what_is_known(self) -> bool:
        told = False
        for racers in self._racers:
            for run_id, until in list(racers.ask()):
                report = self._standing(run_id)
                if _whole(report) or report.fraction >= self._share(run_id, until) - ROUNDING:
                    racers.tell(run_id, report._replace(fraction=max(report.fraction, until)))
                    told = True
        return told

    def _left(self, legs: Iterable[tuple[str, float]]) -> float:
        """What is left of some legs to train, in runs."""
        return math.fsum(until - self._standing(run_id).fraction for run_id, until in legs)

    def _share_results(self) -> None:
        """Tell every race of all its runs that have a result, whoever asked for it."""
        for racers in self._racers:
            for run_id in racers.cells:
                if not self._store.folder(run_id).done.exists():
                    continue
                if not _whole(self._standing(run_id)):
                    self.ended(run_id)  # another driver has finished it since
                racers.tell(run_id, self._standing(run_id))

    def _step(self, run_id: str, until: float) -> int | None:
        """The step that ends a leg; None for a run's end."""
        steps = self._steps(run_id)
        step = math.ceil(until * steps - ROUNDING)
        return step if step < steps else None

    def _share(self, run_id: str, until: float) -> float:
        step = self._step(run_id, until)
        return 1.0 if step is None else step / self._steps(run_id)

    def _steps(self, run_id: str) -> int:
        return int(self._runs[run_id].settings["training"]["steps"])

    def _standing(self, run_id: str) -> Report:
        if run_id not in self._standings:
            self._standings[run_id] = self._read(run_id)
        return self._standings[run_id]

    def _read(self, run_id: str) -> Report:
        """How a run stands by its records."""
        folder, steps = self._store.folder(run_id), self._steps(run_id)
        given_up = run_id in self._given_up
        if (result := folder.result()) is not None:
            curve = _curve(folder.attempt(result.generation), result.steps, steps)
            diverged = result.outcome == "diverged"
            return Report(1.0, curve, result.validation_loss, diverged=diverged)
        if (found := saved(folder)) is None:
            return Report(0.0, diverged=given_up)
        attempt, step = found
        return Report(step / steps, _curve(attempt, step, steps), diverged=given_up)


def _whole(report: Report) -> bool:
    return report.loss is not None or report.diverged


def _curve(attempt: Attempt, step: int, steps: int) -> Curve:
    records = read_records(attempt.metrics).records
    return curve_of([each for each in records if each["step"] <= step], steps)
