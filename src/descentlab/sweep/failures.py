"""Why a run's process ended without a result, and whether another try may end better.

What may pass is tried again: death by a signal or for want of memory, a run that hung, a
worker or node that was lost, a disk that refused. What would only repeat itself is not: settings,
data or damaged files that are wrong, and bugs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from descentlab.errors import StorageError
from descentlab.runs.folder import Status

LOST = 255
"""What multiprocessing says of a process whose end nobody saw."""
SHOWN = 3
"""Reasons that the end of a sweep names."""


class Failure(NamedTuple):
    """Why a try at a run failed."""

    reason: str
    passing: bool
    """Whether another try may end better."""


def on_record(status: Status) -> Failure:
    """What a failed attempt says of itself."""
    return Failure(status.reason or "for no reason that is on record", status.passing)


def by_exit_code(code: int) -> Failure:
    """What can be told of a process that left nothing on record.

    Args:
        code: its exit code; a signal that ended it is its negative, or what shells add 128 to.
    """
    if code == LOST:
        return Failure("its process was lost", passing=True)
    number = -code if code < 0 else code - 128
    if number > 0:
        memory = ", probably for want of memory" if number == 9 else ""
        return Failure(f"its process was ended by signal {number}{memory}", passing=True)
    if code == StorageError.exit_code:
        return Failure("the disk was full, read-only or denied, even for its record", passing=True)
    return Failure(f"its process ended with code {code} and no result", passing=False)


def summary(failures: Mapping[str, str], total: int) -> str:
    """Say how many runs failed and why, the most frequent reason first.

    Args:
        failures: reasons by run id.
        total: runs of the sweep.

    >>> print(summary({"a1": "hung", "b2": "out of memory", "c3": "hung"}, 9))
    3 of 9 runs failed: 2 (a1 is one) with: hung; 1 (b2) with: out of memory
    """
    first = {reason: run_id for run_id, reason in reversed(list(failures.items()))}
    parts = [
        f"{count} ({first[reason]}{' is one' if count > 1 else ''}) with: {reason}"
        for reason, count in Counter(failures.values()).most_common(SHOWN)
    ]
    more = len(first) - SHOWN
    parts += [f"{more} other reasons, which descent runs lists"] if more > 0 else []
    return f"{len(failures)} of {total} runs failed: {'; '.join(parts)}"
