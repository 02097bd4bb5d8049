"""Who works on a run: claims with generations, made by hard link.

The file ``claims/<run_id>.<generation>`` names a process. The highest generation owns
the run. A new generation may be made when there is none, or when the owner has died, has
given up, or has been silent for too long (``heartbeats``); since a link can be made only once, two
claimants never both succeed, and a run that an old owner still writes to is fenced off, because
each generation writes to its own folder.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import msgspec

from descentlab.errors import BusyError
from descentlab.storage import publish


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A process, named so that a later process with its number is not taken for it."""

    host: str
    boot: str
    pid: int
    started: str
    namespace: str = ""
    """In which process numbers count: that of a container, or of the whole machine."""
    job: str = ""
    """What a driver calls the job that this process was started for."""

    def visible(self) -> bool:
        """Whether this process can see that one: on this host, and not in another container."""
        return self.host == platform.node() and self.namespace in ("", _namespace())

    def alive(self) -> bool:
        """Whether the process lives; one that cannot be seen from here is taken to live."""
        if self.host == platform.node() and self.boot != _boot():
            return False
        return not self.visible() or self.started == _started(self.pid)


def this_process(job: str = "") -> Holder:
    """Name the calling process."""
    return Holder(
        host=platform.node(),
        boot=_boot(),
        pid=os.getpid(),
        started=_started(os.getpid()),
        namespace=_namespace(),
        job=job,
    )


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _boot() -> str:
    """Identifies the time since the machine was started, where the system tells it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process was started, in the system's own terms; empty if there is none."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return ""
        state, *rest = stat.rpartition(")")[2].split()
        return "" if state in "ZX" else rest[18]
    listing = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listing.stdout.strip()


class Claims:
    """The claims of one store.

    Args:
        folder: ``claims/`` of the store.
        aside: a folder on the same file system for unfinished files.
    """

    def __init__(self, folder: Path, aside: Path) -> None:
        self._folder = folder
        self._aside = aside

    def generation(self, run_id: str, *, tried: int = 0) -> int:
        """The highest generation that was claimed, at least ``tried``, 0 if none was."""
        generation = tried
        while (self._folder / f"{run_id}.{generation + 1}").exists():
            generation += 1
        return generation

    def holder(self, run_id: str, generation: int) -> Holder | None:
        """The process that a generation names, dead or alive; None if that cannot be read.

        Claims are whole from the moment that they appear, so one that cannot be read was
        damaged or deleted; a later generation may take over, since it writes elsewhere.
        """
        try:
            raw = (self._folder / f"{run_id}.{generation}").read_bytes()
            return msgspec.json.decode(raw, type=Holder)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def claim(self, run_id: str, *, released: int = 0, tried: int = 0, job: str = "") -> int:
        """Make this process the owner and return its generation.

        Args:
            run_id: the run.
            released: the generation whose owner, though it may live, has ended its attempt, or
                counts as dead.
            tried: the highest generation known from elsewhere.
            job: see ``Holder``.

        Raises:
            BusyError: if a living process owns the run, or another was quicker.
            StorageError: if the claim cannot be written.
        """
        generation = self.generation(run_id, tried=tried)
        holder = self.holder(run_id, generation)
        if holder is not None and released != generation and holder.alive():
            raise BusyError(_busy(run_id, holder))
        path = self._folder / f"{run_id}.{generation + 1}"
        content = msgspec.json.encode(this_process(job))
        # Where the power goes, so does the holder; the attempt's folder keeps its generation.
        if not publish(path, content, aside=self._aside, durable=False):
            raise BusyError(_busy(run_id, self.holder(run_id, generation + 1) or this_process()))
        return generation + 1


def _busy(run_id: str, holder: Holder) -> str:
    return (
        f"run {run_id}: process {holder.pid} on {holder.host} is working on it; wait for it to "
        "end or stop it; if it is gone, its heartbeat stands still and the run is free in minutes"
    )
