"""One run of a store as the live view follows it."""

from __future__ import annotations

from collections.abc import Mapping

from descentlab.errors import DescentError
from descentlab.runs.folder import LOST
from descentlab.runs.store import Status, Store
from descentlab.web.live.curve import Part
from descentlab.web.live.folder_watch import FolderWatch
from descentlab.web.live.naming import others
from descentlab.web.live.row import Row, damaged_row, pending_row, row_at
from descentlab.web.live.training import Training


class KnownRun:
    """Where a run stands, read again where that may have changed.

    Args:
        store: that it is in.
        run_id: of a run with a spec, which may be damaged.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self.run_id = run_id
        self.row = damaged_row(run_id, "not read yet")
        self.others: Mapping[str, object] = {}
        """The settings that its label does not tell, by dotted key."""
        self.training: Training | None = None
        self._store = store
        self._watch = FolderWatch(store.folder(run_id).path)
        self._pending: Row | None = None

    def may_have_changed(self) -> bool:
        """Whether to look at it.

        What runs may end without a change to the run's folder, what was silent may go on, and
        what could not be read may have been a network's fault.
        """
        if self.row.state in ("done", "diverged"):
            return False  # once and for all
        silent = self.row.state == "interrupted" and self.row.reason.startswith(LOST)
        return self._watch.changed() or silent or self.row.state in ("running", "damaged")

    def look(self, most: int, now: float) -> Part | None:
        """Read where it stands, and return what is new of its curve while it is trained.

        Args:
            most: bytes of metrics to read.
            now: seconds since 1970.
        """
        try:
            if self._pending is None:
                run = self._store.folder(self.run_id).run()
                self._pending = pending_row(run)
                self.others = others(run)
            status = self._store.status(self.run_id)
            self.row = row_at(self._pending, status, self._store)
            return self._follow(status, most, now)
        except (DescentError, OSError) as error:
            self.row = damaged_row(self.run_id, error)
        except Exception as error:  # whatever a hand-made or half-deleted run may hold
            self.row = damaged_row(self.run_id, f"{type(error).__name__}: {error}")
        return None

    def _follow(self, status: Status, most: int, now: float) -> Part | None:
        running = status.state == "running"
        attempt = self._store.folder(self.run_id).attempt(status.generation)
        if running and (self.training is None or self.training.attempt != attempt):
            self.training = Training(self._store, attempt)
        if self.training is None:
            return None
        training = self.training
        found = training.look(self.row, most, now)
        if running:
            self.row = found
        else:
            self.training = None
        return training.new_part()
