"""Tasks run here and now, one after another, in the caller's process."""

from __future__ import annotations

import importlib
import signal
import time
import traceback

from descentlab.errors import DescentError, Interrupted, Preempted
from descentlab.sweep.executors.base import Executor, Job, Task


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
    """For debugging and tests: a breakpoint in the task works, and a signal stops all."""

    capacity = 1

    def submit(self, task: Task) -> Job:
        code = call(task)
        if code in (128 + signal.SIGINT, Preempted.exit_code):
            number = signal.SIGINT if code == 128 + signal.SIGINT else signal.SIGTERM
            raise Interrupted("stopped; the same command goes on from here", number)
        return FinishedJob(code)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


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
