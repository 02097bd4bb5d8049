"""A job of Slurm, or an element of an array, and the tasks that it works through."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from descentlab.errors import Preempted
from descentlab.sweep.executors.base import Job, Task
from descentlab.sweep.executors.handover import Handover, Wish
from descentlab.sweep.executors.slurm_queue import Listing, Queued, cancel


class SlurmJob(Job):
    """A task in a bundle; the executor says what became of it."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.bundle: Bundle | None = None
        self.key = ""
        self.code: int | None = None
        self.loss: str | None = None
        self.wish: Wish | None = None

    def exit_code(self) -> int | None:
        return self.code

    def lost(self) -> str | None:
        return self.loss

    def begun(self) -> bool:
        """Whether a process has taken it up."""
        return self.bundle is not None and self.bundle.handover.begun(self.key)

    def stop(self) -> None:
        if self.code is not None:
            return
        if self.bundle is None:  # not yet submitted
            self.code = Preempted.exit_code
        elif self.wish is None:
            self.bundle.handover.ask(self.key, "stop")
            self.wish = "stop"

    def kill(self) -> None:
        if self.code is not None:
            return
        if self.bundle is None:
            self.code = -signal.SIGKILL
            return
        self.bundle.handover.ask(self.key, "kill")
        self.wish = "kill"
        if all(job.wish == "kill" for job in self.bundle.open_jobs):
            self.bundle.cancel()


class Bundle:
    """A job of Slurm, or an element of an array: some tasks of ours.

    Args:
        handover: through which it gets them.
        submission: counts from 1 in the handover.
        index: in the submission's array.
        jobs: its tasks.
    """

    def __init__(
        self, handover: Handover, submission: int, index: int, jobs: Sequence[SlurmJob]
    ) -> None:
        self.handover = handover
        self.name = f"{submission}-{index}"
        self._submission = submission_name(handover, submission)
        self._index = index
        self.jobs = jobs
        self.job_id: str | None = None
        self.pending_cancelled = False
        self._gone_since: float | None = None
        for place, job in enumerate(jobs):
            job.bundle = self
            job.key = f"{self.name}.{place}"

    @classmethod
    def left(cls, handover: Handover, name: str) -> Bundle:
        """A bundle that another driver has submitted, as far as its files tell."""
        submission, _, index = name.partition("-")
        jobs = [SlurmJob(task) for task in handover.tasks(name)]
        bundle = cls(handover, int(submission), int(index), jobs)
        codes = handover.codes({job.key for job in jobs})
        for job in jobs:
            job.code = codes.get(job.key)
            job.wish = handover.asked(job.key)
        return bundle

    @property
    def open_jobs(self) -> list[SlurmJob]:
        return [job for job in self.jobs if job.code is None]

    def _queued(self, listed: Listing) -> Queued | None:
        """What a listing says of it, which also tells its id while it lives."""
        queued = listed.get((self._submission, self._index)) or listed.get((self._submission, None))
        if queued is not None and not queued.ended:
            self.job_id = queued.job_id
        return queued

    def never_begins(self, listed: Listing) -> bool:
        """Whether none of its tasks was taken up, and Slurm has no job for them any more."""
        queued = self._queued(listed)
        gone = queued is None or queued.ended
        return gone and not any(job.code is not None or job.begun() for job in self.jobs)

    def clear(self) -> None:
        """Delete its files; a job that starts after all finds nothing to do."""
        self.handover.clear(self.name, len(self.jobs))

    def cancel(self, *options: str) -> None:
        if self.job_id is not None:
            cancel(*options, self.job_id)

    def leave_the_queue(self) -> bool:
        """Cancel it, if it waits there and nothing of it is wanted; whether Slurm was told so."""
        wanted = any(job.wish is None for job in self.open_jobs)
        if self.pending_cancelled or wanted or self.job_id is None:
            return False
        self.pending_cancelled = True
        self.cancel("--state=PENDING")
        return True

    def believe(self, listed: Listing, now: float, patience: float) -> None:
        """Take it for lost if it has been gone for so many seconds without a word of its own."""
        queued = self._queued(listed)
        if queued is not None and not queued.ended:
            self._gone_since = None
            return
        if self._gone_since is None:
            self._gone_since = now
        waited = now - self._gone_since >= patience
        state = "is no longer there" if queued is None else f"ended as {queued.state}"
        for job in self.open_jobs:
            begun = job.begun()
            if job.wish == "kill" and queued is not None:
                job.code = -signal.SIGKILL
            elif job.wish == "stop" and not begun and queued is not None:
                job.code = Preempted.exit_code  # cancelled in the queue
            elif waited:
                which = f"Slurm's job {self.job_id or self._submission}"
                job.loss = f"{which} {state}" + ("" if begun else " before the run began")
                job.code = -signal.SIGKILL


def submission_name(handover: Handover, submission: int) -> str:
    """What Slurm calls a submission: the name of its array."""
    return f"{handover.folder.name}-{submission}"
