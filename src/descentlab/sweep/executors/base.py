"""The contract of executors.

An executor is used by one thread. A task it has accepted runs at most once; whether a
run is repeated is the driver's decision alone. All tasks of an executor get the same
``Resources``, which it was made with.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Task:
    """A function to call in a process that may be elsewhere.

    ``target`` is ``package.module:function``; it ends normally, or raises ``SystemExit``
    with one of the program's exit codes.
    """

    target: str
    arguments: tuple[str, ...]


class Job(ABC):
    """A task that was submitted. It may wait in a scheduler's queue for hours before it begins."""

    @abstractmethod
    def exit_code(self) -> int | None:
        """None while it waits or runs; then 0, an exit code, or minus the signal that ended it."""

    @abstractmethod
    def stop(self) -> None:
        """Ask it to save and end at its next safe point; no effect once it has ended.

        A run that has saved ends with 75, as does a task that had not begun.
        """

    @abstractmethod
    def kill(self) -> None:
        """End it now."""

    def lost(self) -> str | None:
        """Why it ended without a word of its own, as far as the scheduler knows.

        None unless its node or its allocation was taken away, in which case the exit code is
        minus SIGKILL. Its process is gone then, so that its claim may be taken over at once.
        """
        return None


class LeftJob(NamedTuple):
    """A job that an executor in another process has submitted; that process is gone."""

    task: Task
    job: Job
    begun: bool
    """Whether the task was taken up; if not, to stop it costs no more than its place in line."""
    alike: bool
    """Whether it was submitted with the resources and options that new ones are."""


class Executor(ABC):
    """Runs up to ``capacity`` tasks at once."""

    capacity: int

    @abstractmethod
    def submit(self, task: Task) -> Job:
        """Start a task, or have it started during the next ``wait``.

        The caller has fewer than ``capacity`` unfinished jobs.
        """

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Return when a running job has ended, or after so many seconds."""

    def take_over(self, ours: Callable[[Task], bool], tell: Callable[[str], None]) -> list[LeftJob]:
        """Make jobs that a killed process has left with the scheduler this executor's own.

        None where jobs end with the process that submitted them.

        Args:
            ours: whether a task is one that the caller wants done.
            tell: told in one line what is waited for, if anything is.
        """
        return []
