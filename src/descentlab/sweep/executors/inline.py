"""Tasks run here and now, one after another, in the caller's process."""

from __future__ import annotations

import importlib
import os
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from descentlab.errors import DescentError, Interrupted, Preempted
from descentlab.sweep.executors.base import Executor, Job, Task
from descentlab.sweep.resources import VISIBLE, Gpus, Resources, room


class FinishedJob(Job):
    """A task that had ended before anyone could ask."""

    def __init__(self, code: int) -> None:
        self._code = code

    def exit_code(self) -> int:
        return self._code

    def stop(self) -> None:
        pass

    def kill(self) -> None:
        pass


class InlineExecutor(Executor):
    """For debugging and tests: a breakpoint in the task works, and a signal stops all.

    Args:
        resources: what each task is given.

    Raises:
        ConfigError: if there is no room for one.
    """

    capacity = 1

    def __init__(self, resources: Resources = Resources()) -> None:  # noqa: B008 frozen
        self._gpus = room(resources)[0]

    def submit(self, task: Task) -> Job:
        with seeing_only(self._gpus):
            code = call(task)
        if code in (128 + signal.SIGINT, Preempted.exit_code):
            number = signal.SIGINT if code == 128 + signal.SIGINT else signal.SIGTERM
            raise Interrupted("stopped; the same command goes on from here", number)
        return FinishedJob(code)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


@contextmanager
def seeing_only(gpus: Gpus) -> Iterator[None]:
    """Show this process no other GPUs until the end of the block; none are hidden by ``()``.

    CUDA looks but once, when it is first used.
    """
    before = os.environ.get(VISIBLE)
    if gpus:
        os.environ[VISIBLE] = ",".join(gpus)
    try:
        yield
    finally:
        if gpus:
            del os.environ[VISIBLE]
            os.environ |= {} if before is None else {VISIBLE: before}


def call(task: Task) -> int:
    """Call a task's function and return its exit code; a traceback goes to stderr."""
    module, _, function = task.target.partition(":")
    try:
        getattr(importlib.import_module(module), function)(*task.arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except DescentError as error:
        return error.exit_code
    except Exception:
        traceback.print_exc()
        return 1
    return 0
