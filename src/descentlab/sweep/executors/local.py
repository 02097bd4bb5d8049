"""A pool of processes on this machine, one per task, forked from a server.

The server imports the heavy modules once, so that a task starts in a hundredth of a
second. A task's process dies with the process that submitted it.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess

from descentlab.processes import leave_with_parent, signals_wait, usable_cores
from descentlab.sweep.executors.base import Executor, Job, Task
from descentlab.sweep.executors.inline import call


class LocalJob(Job):
    """A task in a process of its own."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    def exit_code(self) -> int | None:
        return self._process.exitcode

    def stop(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    @property
    def sentinel(self) -> int:
        return self._process.sentinel


class LocalExecutor(Executor):
    """Processes on this machine.

    Args:
        workers: how many at once; by default one per core that this process may use.
        preload: modules that every task needs, imported once.
    """

    def __init__(self, workers: int | None = None, *, preload: Sequence[str] = ()) -> None:
        self.capacity = workers or usable_cores()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._jobs: list[LocalJob] = []
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server imports for seconds
        forkserver.ensure_running()
        signal.signal(signal.SIGINT, previous)

    def submit(self, task: Task) -> Job:
        process = self._context.Process(target=_run, args=(task,), daemon=True)
        with signals_wait():
            process.start()
        job = LocalJob(process)
        self._jobs = [each for each in self._jobs if each.exit_code() is None]
        self._jobs.append(job)
        return job

    def wait(self, seconds: float) -> None:
        wait([job.sentinel for job in self._jobs if job.exit_code() is None], timeout=seconds)


def _run(task: Task) -> None:
    leave_with_parent()
    sys.exit(call(task))
