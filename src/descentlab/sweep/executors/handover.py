"""Tasks handed to a scheduler's jobs, and exit codes handed back, as files that all hosts share.

    asked.json                     what the scheduler was asked for, for each job
    drivers/                       whose they are (``driver_claim``)
    tasks/<bundle>.json            what a job has to call
    begun/<bundle>.<place>         made as a task begins, so that none begins twice
    asked/<bundle>.<place>.<wish>  the driver's wish: stop or kill
    codes/<bundle>.<place>         the exit code
    logs/                          what the scheduler writes

A scheduler may lie, be silent, or start a job twice; what stands in these files is so.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import msgspec

from descentlab.config import canonical_json
from descentlab.errors import CorruptError, Preempted
from descentlab.storage import make_folder, publish, storage_errors
from descentlab.sweep.executors.base import Task
from descentlab.sweep.executors.driver_claim import DriverClaim
from descentlab.sweep.executors.inline import call

Wish = Literal["stop", "kill"]
LOOK_SECONDS = 1.0
"""Between two looks of a task for the driver's wishes."""
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""What schedulers send before they take a machine away."""


class Handover:
    """The files of one driver and its jobs.

    Args:
        folder: where they lie, on a file system that all hosts share.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self._aside = self.folder / "unfinished"
        self.driver = DriverClaim(self.folder / "drivers", self._aside)

    def create(self) -> None:
        """Make the folders that are not there.

        Raises:
            StorageError: if the disk refuses.
        """
        with storage_errors(self.folder):
            for name in ("tasks", "begun", "asked", "codes", "logs", "unfinished", "drivers"):
                make_folder(self.folder / name)

    def begin_to_drive(self, asked: Mapping[str, Any]) -> None:
        """Make the folders, as this process's, and note what the scheduler is asked for."""
        self.create()
        self.driver.take()
        publish(self._asked, canonical_json(asked), aside=self._aside)

    def alike(self, asked: Mapping[str, Any]) -> bool:
        """Whether the scheduler was asked for the same."""
        return self._asked.exists() and self._asked.read_bytes() == canonical_json(asked)

    def bundles(self) -> list[str]:
        """The names of the jobs that are not cleared away."""
        return sorted(path.stem for path in (self.folder / "tasks").glob("*.json"))

    def give(self, bundle: str, tasks: Sequence[Task]) -> None:
        """Put tasks down for a job; its places count from 0."""
        publish(self._tasks(bundle), msgspec.json.encode(tasks), aside=self._aside)

    def tasks(self, bundle: str) -> list[Task]:
        """What a job has to do; nothing if all of it was done and cleared away.

        Raises:
            CorruptError: if the file is damaged.
        """
        path = self._tasks(bundle)
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[Task])
        except FileNotFoundError:
            return []
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CorruptError(
                f"{path}: damaged ({error}); delete it, and what it asked for is submitted again"
            ) from None

    def begin(self, key: str) -> bool:
        """Note that a task, named ``<bundle>.<place>``, begins; False if it has begun before."""
        return publish(self.folder / "begun" / key, b"", aside=self._aside)

    def begun(self, key: str) -> bool:
        return (self.folder / "begun" / key).exists()

    def ask(self, key: str, wish: Wish) -> None:
        """Tell a task to stop or die; one that has not begun yet then never does."""
        publish(self.folder / "asked" / f"{key}.{wish}", b"", aside=self._aside)

    def asked(self, key: str) -> Wish | None:
        """The strongest wish so far."""
        for wish in ("kill", "stop"):
            if (self.folder / "asked" / f"{key}.{wish}").exists():
                return wish
        return None

    def end(self, key: str, code: int) -> None:
        """Hand back an exit code; the first one stands."""
        publish(self.folder / "codes" / key, str(code).encode(), aside=self._aside)

    def codes(self, keys: Collection[str]) -> dict[str, int]:
        """The exit codes of these tasks that have come back."""
        if not keys:  # nor has anything been given, perhaps
            return {}
        folder = self.folder / "codes"
        there = [name for name in os.listdir(folder) if name in keys]
        return {name: int((folder / name).read_text()) for name in there}

    def clear(self, bundle: str, places: int) -> None:
        """Forget a job that has ended: what it had to do first, so that it cannot begin again."""
        self._tasks(bundle).unlink(missing_ok=True)
        for place in range(places):
            for name in ("asked/{}.stop", "asked/{}.kill", "begun/{}", "codes/{}"):
                (self.folder / name.format(f"{bundle}.{place}")).unlink(missing_ok=True)

    @property
    def _asked(self) -> Path:
        return self.folder / "asked.json"

    def _tasks(self, bundle: str) -> Path:
        return self.folder / "tasks" / f"{bundle}.json"


def work_through(folder: Path, bundle: str, *, process: int = 0, processes: int = 1) -> None:
    """Call a bundle's tasks one after another, in a job and in its main thread.

    Args:
        folder: of the handover.
        bundle: the job's name there.
        process: which of the job's processes this is; each takes every so-manieth task.
        processes: how many there are.
    """
    handover = Handover(folder)
    with _Signals() as signals:
        for place, task in enumerate(handover.tasks(bundle)):
            key = f"{bundle}.{place}"
            if place % processes != process or not handover.begin(key):
                continue
            wish = handover.asked(key)
            if wish is not None or signals.received:
                handover.end(key, -signal.SIGKILL if wish == "kill" else Preempted.exit_code)
                continue
            with _Wishes(handover, key) as wishes:
                code = signals.call(task)
            if code == Preempted.exit_code and handover.asked(key) == "kill":
                code = -signal.SIGKILL  # by the scheduler, which warns before it kills
            handover.end(key, code)
            if code == Preempted.exit_code and not wishes.passed_on:
                signals.received = True  # by the task, which had handlers of its own


class _Signals:
    """Ends a task as preempted at a signal, until it has handlers of its own."""

    def __init__(self) -> None:
        self.received = False
        self._calling = False

    def __enter__(self) -> _Signals:
        self._handlers = [signal.signal(number, self._receive) for number in STOPPING]
        return self

    def __exit__(self, *ending: object) -> None:
        for number, handler in zip(STOPPING, self._handlers, strict=True):
            signal.signal(number, handler)

    def call(self, task: Task) -> int:
        """Call a task and return its exit code."""
        try:
            try:
                self._calling = True
                return call(task)
            finally:
                self._calling = False
        except Preempted as stopped:  # before or after the task's own lines
            return stopped.exit_code

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._calling:
            self._calling = False
            raise Preempted("stopped before its first step", number)
        self.received = True


class _Wishes:
    """Passes the driver's wishes on to the task that this process works on."""

    def __init__(self, handover: Handover, key: str) -> None:
        self._handover = handover
        self._key = key
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.passed_on = False

    def __enter__(self) -> _Wishes:
        self._thread.start()
        return self

    def __exit__(self, *ending: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            wish = self._handover.asked(self._key)
            if wish == "kill":
                self._handover.end(self._key, -signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            elif wish == "stop" and not self.passed_on:
                self.passed_on = True
                os.kill(os.getpid(), signal.SIGUSR1)
