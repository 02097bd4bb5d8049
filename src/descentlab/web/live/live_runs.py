"""The runs of a store as the live view follows them; reads only what may have changed.

A look at runs that have not changed costs one ``stat`` for each that has no result.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import NamedTuple

import msgspec

from descentlab.runs.following import MOST_BYTES
from descentlab.runs.store import Store
from descentlab.web.live.curve import Part
from descentlab.web.live.folder_watch import FolderWatch
from descentlab.web.live.known_run import KnownRun
from descentlab.web.live.naming import short
from descentlab.web.live.row import Row

FEWEST_BYTES = 2**16
"""Of each run's metrics in one look, however many run."""
SHARED_BYTES = 8 * MOST_BYTES
MOST_VARIED = 3
"""Settings that are added to a label."""


class RunNews(NamedTuple):
    """What a look at the runs brought."""

    rows: dict[str, Row]
    """Those that have changed."""
    gone: list[str]
    curves: dict[str, Part]
    """What is new of the curves of running runs."""


class LiveRuns:
    """All runs that were registered in a store.

    Args:
        store: that they are in.
    """

    def __init__(self, store: Store) -> None:
        self.known: dict[str, KnownRun] = {}
        self._store = store
        self._rows: dict[str, Row] = {}
        self._groups: Mapping[str, tuple[str, ...]] = {}
        self._stopped: Set[str] = frozenset()
        self._labels: dict[str, str] = {}
        self._runs = FolderWatch(store.root / "runs")
        self._unspecified = False

    def look(self, groups: Mapping[str, tuple[str, ...]], stopped: Set[str], now: float) -> RunNews:
        """Read what may have changed, and return what has.

        Args:
            groups: by run id, the experiments that asked for it.
            stopped: the runs that races decided not to train on.
            now: seconds since 1970.

        Raises:
            OSError: if the store cannot be listed.
        """
        came, gone = self._list_runs()
        training = sum(known.training is not None for known in self.known.values())
        most = max(FEWEST_BYTES, min(MOST_BYTES, SHARED_BYTES // max(1, training)))
        curves: dict[str, Part] = {}
        looked_at: set[str] = set()
        for run_id, known in self.known.items():
            if known.may_have_changed():
                looked_at.add(run_id)
                part = known.look(most, now)
                if part is not None:
                    curves[run_id] = part
        if came or gone or groups is not self._groups:
            self._groups = groups
            self._labels = dict(_what_varies(self.known.values(), groups))
            looked_at.update(self.known)
        looked_at |= (stopped ^ self._stopped) & self.known.keys()
        self._stopped = stopped
        rows = {run_id: self._dressed(self.known[run_id], groups) for run_id in looked_at}
        changed = {run_id: row for run_id, row in rows.items() if self._rows.get(run_id) != row}
        self._rows |= changed
        for run_id in gone:
            self._rows.pop(run_id, None)
        return RunNews(changed, gone, curves)

    def _dressed(self, known: KnownRun, groups: Mapping[str, tuple[str, ...]]) -> Row:
        """A run's row with what other runs have to say about it."""
        asked, more = groups.get(known.run_id, ()), self._labels.get(known.run_id, "")
        state = known.row.state
        if state == "paused" and known.run_id in self._stopped:
            state = "stopped"
        label = known.row.label + more
        return msgspec.structs.replace(known.row, groups=asked, label=label, state=state)

    def _list_runs(self) -> tuple[bool, list[str]]:
        """Take in runs that are new, and say whether there are any and which are gone."""
        if not self._runs.changed() and not self._unspecified:
            return False, []
        found = set(self._store.run_ids())
        self._unspecified = len(found) < len(os.listdir(self._store.root / "runs"))
        came, gone = sorted(found - self.known.keys()), sorted(self.known.keys() - found)
        for run_id in came:
            self.known[run_id] = KnownRun(self._store, run_id)
        for run_id in gone:
            del self.known[run_id]
        return bool(came), gone


def _what_varies(
    runs: Iterable[KnownRun], groups: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    """By run id, what its label lacks to tell it from those of its method and group."""
    parts: dict[tuple[str, str], list[KnownRun]] = {}
    for known in runs:
        asked = groups.get(known.run_id) or ("",)
        parts.setdefault((asked[0], known.row.method), []).append(known)
    for members in parts.values():
        keys = dict.fromkeys(key for known in members for key in known.others)
        varied = [
            key for key in keys if len({repr(known.others.get(key)) for known in members}) > 1
        ]
        for known in members if varied else ():
            told = [(key.rpartition(".")[2], known.others.get(key)) for key in varied[:MOST_VARIED]]
            named = [f" {name}={short(value)}" for name, value in told if value is not None]
            yield known.run_id, "".join(named)
