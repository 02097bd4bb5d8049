"""Notes of races that are run: every decision on record as it is made, for whoever watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from descentlab.runs.races import Decision, RaceRecord
from descentlab.runs.store import Store


class Decides(Protocol):
    """A race whose decisions call cells by the ids of their runs."""

    @property
    def decisions(self) -> Sequence[Decision]:
        """All so far, in order."""
        ...


class RaceNotes:
    """Keeps the record of some races in step with them.

    A race that goes on decides again what it had decided before: the times of these stay as
    they are on record. Drivers of the same race write the same.

    Args:
        store: that has the record.
        name: of the study or experiment.
        scheduler: its name.
        races: by what people call them.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        scheduler: str,
        races: Mapping[str, Decides],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._name, self._scheduler = store, name, scheduler
        self._races, self._clock = races, clock
        self._times: dict[tuple[str, Decision], float] = {}
        self.made: list[Decision] = []
        """Every decision so far, the newest last."""
        if (before := store.races.noted(name)) is not None:
            for race, decisions in before.decisions.items():
                for decision, at in zip(decisions, before.times.get(race, []), strict=False):
                    self._times[race, decision] = at

    def take(self) -> None:
        """Put on record what was decided since the last call.

        Raises:
            StorageError: if the disk refuses.
        """
        decisions = {race: list(each.decisions) for race, each in self._races.items()}
        if sum(map(len, decisions.values())) == len(self.made):
            return
        now = self._clock()
        times = {
            race: [self._times.setdefault((race, each), now) for each in made]
            for race, made in decisions.items()
        }
        all_made = [
            (at, each)
            for race, made in decisions.items()
            for at, each in zip(times[race], made, strict=True)
        ]
        self.made = [each for _, each in sorted(all_made, key=lambda each: each[0])]
        record = RaceRecord(scheduler=self._scheduler, decisions=decisions, times=times)
        self._store.races.note(self._name, record)
