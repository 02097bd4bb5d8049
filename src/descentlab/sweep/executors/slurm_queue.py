"""What Slurm says of jobs: only a listing that is whole and well-formed is believed."""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

HEADER = "JOBID|NAME|STATE"
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT"),
}
"""All other states, those of later versions included, are taken for a job that lives."""
PREFIX = "descent-"
TIMEOUT = 60
"""Seconds that Slurm's commands may take."""


class Queued(NamedTuple):
    """A job, or an element of an array."""

    job_id: str
    state: str

    @property
    def ended(self) -> bool:
        return self.state in ENDED


Listing = dict[tuple[str, int | None], Queued]
"""By the name of a submission and the index in its array. None where there is no array, and for
the elements of one that are not named, since they were cancelled before they began."""


def listing() -> Listing | None:
    """This user's jobs whose names begin with ``PREFIX``, also those that ended minutes ago.

    None if Slurm gave no answer, or one that is not a listing from its header to its end.
    """
    command = ["squeue", f"--user={os.getuid()}", "--array", "--states=all"]
    try:
        answer = subprocess.run(
            [*command, "--format=%i|%j|%T"], capture_output=True, text=True, timeout=TIMEOUT
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return parse(answer.stdout) if answer.returncode == 0 else None


def parse(text: str) -> Listing | None:
    r"""Read a listing; None if it is not one.

    >>> parse("JOBID|NAME|STATE\n7_1|descent-a|RUNNING\n8|other|PENDING\n")
    {('descent-a', 1): Queued(job_id='7_1', state='RUNNING')}
    >>> parse("JOBID|NAME|STATE\n"), parse(""), parse("JOBID|NAME|STATE\n7|desc")
    ({}, None, None)
    >>> list(parse("JOBID|NAME|STATE\n7_0|descent-a|RUNNING\n7|descent-a|CANCELLED\n"))
    [('descent-a', 0), ('descent-a', None)]
    """
    header, *lines = text.split("\n")
    if header != HEADER or not lines or lines.pop():  # a whole text ends with the end of a line
        return None
    found: Listing = {}
    for line in lines:
        job_id, _, rest = line.partition("|")
        name, separator, state = rest.rpartition("|")  # other users of names may put a | into them
        main, _, index = job_id.partition("_")
        if not (separator and state.isupper() and main.isdecimal()):
            return None
        if not name.startswith(PREFIX):
            continue
        if index and not index.isdecimal():
            return None
        found[name, int(index) if index else None] = Queued(job_id, state)
    return found


def cancel(*arguments: str) -> None:
    """Run ``scancel``; a job that has ended, or a Slurm that is away, is no error."""
    try:
        subprocess.run(["scancel", *arguments], capture_output=True, timeout=TIMEOUT)
    except (OSError, subprocess.SubprocessError):
        return
