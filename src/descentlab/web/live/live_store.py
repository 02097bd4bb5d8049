"""Looks at a store again and again, and tells what has changed.

Nothing is written, locked or claimed, and whatever cannot be read is shown as such.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager

import msgspec

from descentlab.errors import DescentError
from descentlab.runs.imported import ImportedRun, imports, read_runs
from descentlab.runs.races import RaceRecord, read_race
from descentlab.runs.store import Store
from descentlab.runs.studies import Studies
from descentlab.web.live.curve import Part
from descentlab.web.live.folder_watch import FolderWatch
from descentlab.web.live.group import Group, groups_of
from descentlab.web.live.live_runs import LiveRuns
from descentlab.web.live.row import Row, imported_row
from descentlab.web.live.timeline import Entry, stopped_runs, timeline


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a page is told: a whole view, or what of it has changed."""

    rows: list[Row] = []
    gone: list[str] = []
    groups: list[Group] | None = None
    """All of them; None if none has changed."""
    curves: dict[str, Part] = {}
    """By run id, what is new of the curves of running runs."""
    races: dict[str, list[Entry]] = {}
    """By group, the whole timeline of each race that has changed."""
    problems: list[str] | None = None
    """What else cannot be read; None if that has not changed."""

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return self != NOTHING


NOTHING = Told()


class LiveStore:
    """What is known of a store by now. Used by one thread at a time.

    Args:
        store: never written to.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.rows: dict[str, Row] = {}
        self.imported: dict[str, ImportedRun] = {}
        """By the id that their rows have."""
        self._clock = clock
        self._runs = LiveRuns(store)
        self._groups: Mapping[str, tuple[str, ...]] = {}
        self._races: dict[str, list[Entry]] = {}
        self._records: dict[str, RaceRecord] = {}
        self._stopped: Set[str] = frozenset()
        self._told: list[Group] = []
        self._problems: dict[str, str] = {}
        self._watches = {
            name: FolderWatch(store.root / name) for name in ("studies", "races", "imported")
        }

    def whole(self) -> Told:
        """Everything that is known."""
        return Told(
            rows=list(self.rows.values()),
            groups=self._told,
            curves={
                run_id: known.training.curve.since()
                for run_id, known in self._runs.known.items()
                if known.training is not None
            },
            races=self._races,
            problems=list(self._problems.values()),
        )

    def look(self) -> Told:
        """Read what may have changed, and return what has."""
        before = dict(self._problems)
        rows: dict[str, Row] = {}
        gone: list[str] = []
        curves: dict[str, Part] = {}
        if self._watches["studies"].changed():
            self._read_studies()
        races = self._read_races()
        with self._problem("runs"):
            rows, gone, curves = self._runs.look(self._groups, self._stopped, self._clock())
        if self._watches["imported"].changed():
            rows |= self._read_imports()
        self.rows |= rows
        for run_id in gone:
            self.rows.pop(run_id, None)
        groups = groups_of(self.rows.values(), self._races) if rows or gone or races else self._told
        same, self._told = groups == self._told, groups
        return Told(
            rows=list(rows.values()),
            gone=gone,
            groups=None if same else groups,
            curves=curves,
            races=races,
            problems=None if before == self._problems else list(self._problems.values()),
        )

    def _read_studies(self) -> None:
        """Read which experiments asked for which runs."""
        asked: dict[str, dict[str, None]] = {}
        studies = Studies(self.store.studies, self.store.aside)
        for name in studies.names():
            with self._problem(f"study {name}"):
                for run_id, entry in studies.entries(name):
                    asked.setdefault(run_id, {})[entry.experiment] = None
        self._groups = {run_id: tuple(names) for run_id, names in asked.items()}

    def _read_races(self) -> dict[str, list[Entry]]:
        """Read the records of races that have changed."""
        if not self._watches["races"].changed():
            return {}
        changed = {}
        with self._problem("races"):
            for name, path in self.store.races.paths().items():
                with self._problem(f"race {name}"):
                    record = read_race(path)
                    if record != self._records.get(name):
                        self._records[name] = record
                        changed[name] = timeline(record)
        if changed:
            self._races |= changed
            self._stopped = stopped_runs(self._records.values())
        return changed

    def _read_imports(self) -> dict[str, Row]:
        """Read runs that were trained elsewhere; what was imported never changes."""
        rows = {}
        with self._problem("imported"):
            for found in imports(self.store):
                import_id = found.source.import_id
                with self._problem(f"import {import_id}"):
                    for run in read_runs(self.store, found):
                        name = f"{import_id}.{run.row}"
                        self.imported[name] = run
                        rows[name] = imported_row(name, run)
        return {name: row for name, row in rows.items() if self.rows.get(name) != row}

    @contextmanager
    def _problem(self, where: str) -> Iterator[None]:
        """Keep what is wrong with a part of the store, and go on without that part."""
        self._problems.pop(where, None)
        try:
            yield
        except (DescentError, OSError) as error:
            self._problems[where] = str(error)
        except Exception as error:  # whatever a hand-made file may hold
            self._problems[where] = f"{where}: {type(error).__name__}: {error}"
