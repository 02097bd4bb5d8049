"""Signs of life: a counter that the process at work on a run moves, and that others watch.

    heartbeats/<run_id>.<generation>    how often it has beaten, at which step it is, its TTL

The counter is rewritten by rename, so that a reader sees an old one or a new one. Whoever
watches it asks only whether it moves, on a monotonic clock of its own: no time of another
machine, of a file or of a calendar has a say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from descentlab.errors import DescentError, StorageError
from descentlab.storage import make_folder, storage_errors, unfinished_name

TTL = 120.0
"""Seconds for which a counter may stand still before others may take the run over."""
BEATS = 12.0
"""Beats per TTL; some may be lost to a busy machine or a slow file system."""
LOOKS = 4
"""An observer must have looked so often before it says that a counter stands still."""
SLOW = 10
"""How many times longer a first step or an evaluation may take than any other step."""


class Beat(msgspec.Struct, frozen=True):
    """What a heartbeat tells."""

    count: int
    step: int
    """Updates made."""
    ttl: float = TTL
    """Seconds; the holder beats ``BEATS`` times in each."""


class Heartbeats:
    """The heartbeats of one store, and for how long this process has seen each stand still.

    Args:
        folder: ``heartbeats/`` of the store.
        aside: a folder on the same file system for unfinished files.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self, folder: Path, aside: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._aside, self._clock = folder, aside, clock
        self._seen: dict[str, tuple[Beat | None, float, float]] = {}

    def _path(self, run_id: str, generation: int) -> Path:
        return self._folder / f"{run_id}.{generation}"

    def write(self, run_id: str, generation: int, beat: Beat) -> None:
        """Replace a heartbeat; it need not survive the loss of power, which ends its process.

        Raises:
            StorageError: if the disk refuses.
        """
        path = self._path(run_id, generation)
        unfinished = unfinished_name(path.name, aside=self._aside)
        with storage_errors(path):
            try:
                unfinished.write_bytes(msgspec.json.encode(beat))
                try:
                    unfinished.rename(path)
                except FileNotFoundError:  # a store from before there were heartbeats
                    make_folder(self._folder)
                    unfinished.rename(path)
            finally:
                unfinished.unlink(missing_ok=True)

    def latest(self, run_id: str, generation: int) -> Beat | None:
        """The last beat; None if there is none, or none that can be read."""
        try:
            return msgspec.json.decode(self._path(run_id, generation).read_bytes(), type=Beat)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def remove(self, run_id: str, generation: int) -> None:
        """Drop a heartbeat whose process has ended in order."""
        with suppress(OSError):
            self._path(run_id, generation).unlink(missing_ok=True)

    def still(self, run_id: str, generation: int) -> float | None:
        """Seconds for which this process has seen a counter stand still, if they reach its TTL.

        Of the time between two looks, at most a part of the TTL counts: an observer that was
        itself asleep has not seen anything, and after its machine wakes up the holder gets time
        to beat before it is taken for dead.
        """
        key, now = f"{run_id}.{generation}", self._clock()
        beat = self.latest(run_id, generation)
        ttl = TTL if beat is None else beat.ttl
        before, last, stood = self._seen.get(key, (None, now, 0.0))
        moved = key not in self._seen or beat != before
        stood = 0.0 if moved else stood + min(now - last, ttl / LOOKS)
        self._seen[key] = beat, now, stood
        return stood if stood >= ttl else None


class Heart:
    """Beats in a thread of its own while its block lasts, and looks after the main thread.

    Whether the attempt is still this process's it asks with every beat, and a main thread that
    makes no step for too long it reports. Without being entered it does nothing.

    Args:
        heartbeats: of the store.
        run_id: the run.
        generation: of this process.
        owned: whether no other process may work on the run.
        ttl: seconds after which others may take the run over.
        hang_after: seconds that a step may take; 0 waits for ever.
        hung: called in the thread with the last step and the seconds since then.
    """

    def __init__(
        self,
        heartbeats: Heartbeats,
        run_id: str,
        generation: int,
        owned: Callable[[], bool],
        *,
        ttl: float = TTL,
        hang_after: float = 0.0,
        hung: Callable[[int, float], None] = lambda step, seconds: None,
    ) -> None:
        self._heartbeats, self._run_id, self._generation = heartbeats, run_id, generation
        self._owned, self._ttl, self._hang_after, self._hung = owned, ttl, hang_after, hung
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
        self._count = 0
        self._at = (0, True)  # replaced as a whole, so that the thread sees either
        self._looked = time.monotonic()
        self._lost = False

    def __enter__(self) -> Self:
        """Beat for the first time.

        Raises:
            StorageError: if the disk refuses.
        """
        self._beat()
        self._looked = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._heartbeats.remove(self._run_id, self._generation)

    @property
    def lost(self) -> bool:
        """Whether another process may work on the run, as far as was seen by now.

        A process that slept sees it before it goes on: it asks anew once beats are missing.
        """
        if self._thread.is_alive() and time.monotonic() - self._looked > self._ttl / LOOKS:
            self._look()
        return self._lost

    def at(self, step: int, *, slow: bool) -> None:
        """Say that the main thread has made a step.

        Args:
            step: updates made.
            slow: whether what comes next may take ``SLOW`` times longer.
        """
        self._at = (step, slow)

    def _beat_on(self) -> None:
        every = self._ttl / BEATS
        last, seen, since = time.monotonic(), self._at, 0.0
        while not self._stop.wait(every):
            with suppress(StorageError):  # others will see the counter stand still
                self._beat()
            self._look()
            now, at = time.monotonic(), self._at
            # Time asleep is nobody's fault.
            since = since + min(now - last, 2 * every) if at is seen else 0.0
            last, seen = now, at
            step, slow = at
            limit = self._hang_after * (SLOW if slow else 1)
            if 0 < limit < since and not self._lost:
                self._hung(step, since)
                since = 0.0

    def _beat(self) -> None:
        self._count += 1
        beat = Beat(count=self._count, step=self._at[0], ttl=self._ttl)
        self._heartbeats.write(self._run_id, self._generation, beat)

    def _look(self) -> None:
        asked = time.monotonic()  # it may fall asleep with the answer in hand
        # What cannot be read now is asked again with the next beat, and with the next save.
        with suppress(OSError, DescentError):
            self._lost = not self._owned() or self._lost
        self._looked = asked
