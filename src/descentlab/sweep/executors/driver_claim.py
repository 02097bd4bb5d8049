"""Which driver a folder of jobs belongs to, and whether that one still lives.

    drivers/driver.<generation>     the process; made by hard link, the highest generation owns it
    drivers/beat.<generation>       its heartbeat

It is told as for runs (``runs.claims``, ``runs.heartbeats``): a process of this host lives or
does not, and one of another host counts as gone once its heartbeat has stood still for its TTL.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from descentlab.errors import BusyError, StorageError
from descentlab.runs.claims import Claims, Holder
from descentlab.runs.heartbeats import BEATS, TTL, Beat, Heartbeats

DRIVER, BEAT = "driver", "beat"


class DriverClaim:
    """The claim of a driver to a folder of jobs.

    Args:
        folder: for the claim's files.
        aside: a folder on the same file system for unfinished files.
    """

    def __init__(self, folder: Path, aside: Path) -> None:
        self._claims = Claims(folder, aside)
        self._heartbeats = Heartbeats(folder, aside)
        self._generation = 0
        self._count = 0
        self._beat_after = 0.0

    def holder(self) -> Holder | None:
        """The process that has it, dead or alive; None if none ever had."""
        return self._claims.holder(DRIVER, self._claims.generation(DRIVER))

    def free(self) -> bool:
        """Whether its holder has died, or has been silent for its TTL at looks of this object."""
        generation = self._claims.generation(DRIVER)
        holder = self._claims.holder(DRIVER, generation)
        if holder is None or not holder.alive():
            return True
        return self._heartbeats.still(BEAT, generation) is not None

    def beats(self) -> Beat | None:
        """The last sign of life of its holder."""
        return self._heartbeats.latest(BEAT, self._claims.generation(DRIVER))

    def take(self) -> bool:
        """Make it this process's if it is free; False if another was quicker.

        Raises:
            StorageError: if the disk refuses.
        """
        released = self._claims.generation(DRIVER) if self.free() else 0
        try:
            self._generation = self._claims.claim(DRIVER, released=released)
        except BusyError:
            return False
        self.beat()
        return True

    def held(self) -> bool:
        """Whether it is this process's, and none has taken it over since."""
        return 0 < self._generation == self._claims.generation(DRIVER)

    def beat(self) -> None:
        """Give a sign of life if one is due."""
        now = time.monotonic()
        if now < self._beat_after:
            return
        self._beat_after = now + TTL / BEATS
        self._count += 1
        with suppress(StorageError):  # others will see the counter stand still
            self._heartbeats.write(BEAT, self._generation, Beat(count=self._count, step=0))
