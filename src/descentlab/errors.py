"""What can go wrong by the user's or the machine's doing, each with its exit code.

Every message is one clear sentence: what was given and where, what is allowed, what to
do next. Anything else that is raised is a bug of ours.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class DescentError(Exception):
    """An error to show as one line, without a traceback."""

    exit_code: int


class ConfigError(DescentError, ValueError):
    """A setting, key, name or command-line argument that is not allowed."""

    exit_code = 2


class SettingError(ConfigError):
    """A setting that is not allowed.

    Args:
        where: the file or command that it came from.
        key: its dotted key; empty if it is their combination that is not allowed.
        problem: what was given and what is allowed.
    """

    def __init__(self, where: str, key: str, problem: str) -> None:
        super().__init__(": ".join(filter(None, (where, key, problem))))
        self.where = where
        self.key = key
        self.problem = problem

    def __reduce__(self) -> tuple[object, ...]:  # else a pickle has the message alone
        return type(self), (self.where, self.key, self.problem)


class DataError(DescentError):
    """Text or tokens that are missing, damaged, unfit or too few."""

    exit_code = 3


class StorageError(DescentError):
    """A disk that is full, read-only or denied."""

    exit_code = 4


class CorruptError(DescentError):
    """A file of a store that is damaged beyond what can be recovered."""

    exit_code = 5


class BusyError(DescentError):
    """A run, or a folder, that another living process is working on."""

    exit_code = 6


class FailedRuns(DescentError):
    """A sweep that came to its end with runs that failed."""

    exit_code = 7


class NonConforming(DescentError):
    """An optimizer, a resumption or a comparison that failed checks."""

    exit_code = 8


class Interrupted(DescentError):
    """Work that a signal stopped at a clean boundary.

    Args:
        message: what was stopped and how it goes on.
        signal_number: the signal; the exit code is 128 plus it, as shells count.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[object, ...]:  # else a pickle has the message alone
        return type(self), (str(self), self.signal_number)


class Preempted(Interrupted):
    """A run that a signal stopped after its state was saved: start it again and it goes on."""

    exit_code = 75

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message, signal_number)
        self.exit_code = Preempted.exit_code


class Paused(DescentError):
    """A run that reached the step up to which it was asked for, with its state saved."""

    exit_code = 0


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Say which of the ``allowed`` names was likely meant, and list them.

    >>> nearest("adm", ["adam", "sgd"])
    'did you mean adam? Allowed are adam, sgd'
    >>> nearest("E0", ["E10", "E2"])
    'did you mean E10? Allowed are E2, E10'
    """
    names = sorted(allowed, key=_numbered)
    listing = f"llowed are {', '.join(names)}" if names else "ll are refused here"
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    return f"did you mean {close[0]}? A{listing}" if close else f"a{listing}"


def _numbered(name: str) -> list[str | int]:
    """Its words and numbers by turns, to sort 2 before 10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
