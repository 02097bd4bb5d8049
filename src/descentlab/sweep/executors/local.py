"""A pool of processes on this machine, forked from a server, that take one task after another.

The server imports the heavy modules once, so that a process starts in a hundredth of a second. A
process keeps what it has compiled and measured for the tasks to come, until one of them fails; it
ends with the process that started it. It keeps its GPUs, too, since CUDA reads but once which
it may see.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext

from descentlab.processes import leave_with_parent, signals_wait
from descentlab.sweep.executors.base import Executor, Job, Task
from descentlab.sweep.executors.inline import call
from descentlab.sweep.resources import VISIBLE, Gpus, Resources, room


class Worker:
    """A process that takes tasks; it says when one ended well, and ends with one that did not."""

    def __init__(self, context: ForkServerContext, gpus: Gpus) -> None:
        self.gpus = gpus
        self._connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, gpus), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe

    @property
    def signs(self) -> list[Connection | int]:
        """What to wait for: the end of a task, or that of the process."""
        return [self._connection, self.process.sentinel]

    def take(self, task: Task) -> bool:
        """Begin a task; False if the process has ended since its last one."""
        try:
            self._connection.send(task)
        except OSError:
            return False
        return True

    def code(self) -> int | None:
        """The exit code of the task that was taken; None while it runs."""
        try:
            if self._connection.poll():
                return self._connection.recv()
        except (EOFError, OSError):
            self.process.join()
        return self.process.exitcode


class LocalJob(Job):
    """A task in a worker."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._code: int | None = None

    def exit_code(self) -> int | None:
        if self._code is None:
            self._code = self.worker.code()
        return self._code

    def stop(self) -> None:
        if self.exit_code() is None:
            self.worker.process.terminate()

    def kill(self) -> None:
        if self.exit_code() is None:
            self.worker.process.kill()


class LocalExecutor(Executor):
    """Processes on this machine.

    Args:
        workers: how many at once; by default as many as there are cores for that this process
            may use. GPUs and memory may leave room for fewer.
        preload: modules that every task needs, imported once.
        resources: what each task is given.

    Raises:
        ConfigError: if there is no room for one.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        preload: Sequence[str] = (),
        resources: Resources = Resources(),  # noqa: B008 frozen
    ) -> None:
        self._free = room(resources, workers)
        self.capacity = len(self._free)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._jobs: list[LocalJob] = []
        self._idle: list[Worker] = []
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server imports for seconds
        forkserver.ensure_running()
        signal.signal(signal.SIGINT, previous)

    def submit(self, task: Task) -> Job:
        ended = [job for job in self._jobs if job.exit_code() is not None]
        self._jobs = [job for job in self._jobs if job not in ended]
        self._idle += [job.worker for job in ended if job.exit_code() == 0]
        self._free += [job.worker.gpus for job in ended if job.exit_code() != 0]
        with signals_wait():
            job = LocalJob(self._begin(task))
            self._jobs.append(job)
        return job

    def _begin(self, task: Task) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.take(task):
                return worker
            self._free.append(worker.gpus)
        worker = Worker(self._context, self._free[0])
        del self._free[0]
        worker.take(task)
        return worker

    def wait(self, seconds: float) -> None:
        running = [job.worker for job in self._jobs if job.exit_code() is None]
        wait([sign for worker in running for sign in worker.signs], timeout=seconds)


def _work(connection: Connection, gpus: Gpus) -> None:
    leave_with_parent()
    if gpus:
        os.environ[VISIBLE] = ",".join(gpus)
    while True:
        try:
            task = connection.recv()
        except EOFError:  # the executor is gone
            return
        if code := call(task):
            sys.exit(code)
        connection.send(code)
        gc.collect()  # while the next task is chosen
