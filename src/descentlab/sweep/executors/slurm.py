"""Runs as jobs of Slurm, submitted through submitit.

Tasks that are submitted between two waits become one array. Each element works through a bundle
of tasks, one after another, or as many at once as share its GPU. How a task ended stands in a file
that its job wrote (``handover``). Slurm is only asked whether a job that has written nothing is
still there, and is believed only when it says so twice, some time apart.

Slurm itself repeats nothing: jobs are submitted with ``--no-requeue``. One that is preempted, or
reaches its time limit, gets a signal beforehand, saves its runs and ends them with 75, and the
driver submits them again. Jobs outlive a driver that is killed; the next one takes them over.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from descentlab.errors import BusyError, ConfigError
from descentlab.processes import signals_wait
from descentlab.sweep.executors.base import Executor, Job, LeftJob, Task
from descentlab.sweep.executors.handover import Handover, work_through
from descentlab.sweep.executors.slurm_bundle import Bundle, SlurmJob, submission_name
from descentlab.sweep.executors.slurm_left import left_behind
from descentlab.sweep.executors.slurm_options import LARGEST_ARRAY, SlurmOptions, job_parameters
from descentlab.sweep.executors.slurm_queue import PREFIX, listing
from descentlab.sweep.resources import Resources

AT_ONCE = 256
"""Runs in the queue, unless told otherwise."""
PATIENCE = 10.0
"""Seconds that tasks wait for others to fill a bundle."""
LONGEST_WAIT = 300.0
"""Seconds between two tries to submit, while Slurm refuses."""


class SlurmExecutor(Executor):
    """Jobs of Slurm, whose runs' store is on a file system that its nodes share.

    Args:
        folder: of all such executors of a store, on that file system.
        options: how jobs are asked for.
        resources: what each task is given.
        workers: runs in the queue at once, waiting ones included.
        pace: seconds between two looks at the queue; a job that is not there, or has ended,
            without a word of its own is lost after two more.

    Raises:
        ConfigError: if there is no Slurm here, or it refuses the first jobs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        options: SlurmOptions = SlurmOptions(),  # noqa: B008 frozen
        resources: Resources = Resources(),  # noqa: B008 frozen
        workers: int | None = None,
        pace: float = 10.0,
    ) -> None:
        missing = [each for each in ("sbatch", "squeue", "srun") if shutil.which(each) is None]
        if missing:
            raise ConfigError(
                f"executor: there is no Slurm here, as {missing[0]} is not in the PATH; start this "
                "on a login node, or choose another of inline, local, ray"
            )
        self.capacity = workers or AT_ONCE
        self._folder = folder
        self._resources = resources
        self._bundle_size = max(options.runs_per_job, resources.runs_per_gpu)
        self._parameters = job_parameters(options, resources)
        self._pace = pace
        self._fresh: list[SlurmJob] = []
        self._fresh_since = 0.0
        self._own: Handover | None = None
        """For new jobs."""
        self._handovers: list[Handover] = []
        """Of all jobs, also those that were taken over."""
        self._bundles: list[Bundle] = []
        self._submissions = 0
        self._accepted = False
        self._refusals = 0
        self._submit_after = 0.0
        self._look_after = 0.0

    def take_over(self, ours: Callable[[Task], bool], tell: Callable[[str], None]) -> list[LeftJob]:
        found: list[LeftJob] = []
        for handover in left_behind(self._folder, ours, tell):
            self._handovers.append(handover)
            listed = listing()
            alike = handover.alike(self._parameters)
            for name in handover.bundles():
                bundle = Bundle.left(handover, name)
                if listed is not None and bundle.never_begins(listed):
                    bundle.clear()
                    continue
                self._bundles.append(bundle)
                found += [
                    LeftJob(job.task, job, job.begun(), alike and job.wish is None)
                    for job in bundle.open_jobs
                    if ours(job.task)
                ]
        return found

    def submit(self, task: Task) -> Job:
        job = SlurmJob(task)
        if not self._fresh:
            self._fresh_since = time.monotonic()
        self._fresh.append(job)
        return job

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._send()
        for bundle in self._bundles:
            if bundle.leave_the_queue():
                self._look_after = 0.0
        while not self._take_in() and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.25))

    def _send(self) -> None:
        """Submit what is there in full bundles, and the rest once it has waited for long enough."""
        self._fresh = [job for job in self._fresh if job.code is None]
        now = time.monotonic()
        count = len(self._fresh)
        if now - self._fresh_since < PATIENCE:
            count -= count % self._bundle_size
        if not count or now < self._submit_after:
            return
        count = min(count, LARGEST_ARRAY * self._bundle_size)
        jobs = self._fresh[:count]
        with signals_wait():
            size = self._bundle_size
            if self._submit_array([jobs[n : n + size] for n in range(0, count, size)]):
                del self._fresh[:count]
                self._fresh_since = now

    def _submit_array(self, groups: Sequence[Sequence[SlurmJob]]) -> bool:
        """Submit one element for each group of tasks; False if Slurm refused."""
        handover = self._own_handover()
        self._submissions += 1
        names = [f"{self._submissions}-{index}" for index in range(len(groups))]
        for name, group in zip(names, groups, strict=True):
            handover.give(name, [job.task for job in group])
        executor = submitit.SlurmExecutor(handover.logs)
        executor.update_parameters(
            job_name=submission_name(handover, self._submissions), **self._parameters
        )
        calls = [partial(_work, str(handover.folder), name) for name in names]
        try:
            with redirect_stderr(io.StringIO()):  # submitit prints there what it raises
                ids: list[str | None] = [job.job_id for job in executor.submit_array(calls)]
        except FailedSubmissionError:
            ids = [None] * len(groups)  # accepted, it seems; the listing will tell
        except FailedJobError as error:
            self._refused(str(error))
            for name, group in zip(names, groups, strict=True):
                handover.clear(name, len(group))
            return False
        self._accepted = True
        self._refusals = 0
        for index, group in enumerate(groups):
            bundle = Bundle(handover, self._submissions, index, group)
            bundle.job_id = ids[index]
            self._bundles.append(bundle)
        return True

    def _own_handover(self) -> Handover:
        """The one for new jobs; another if there is none yet, or it was taken over."""
        if self._own is None or not self._own.driver.held():
            self._own = Handover(self._folder / f"{PREFIX}{secrets.token_hex(4)}")
            self._own.begin_to_drive(self._parameters)
            self._handovers.append(self._own)
            self._submissions = 0
        return self._own

    def _refused(self, said: str) -> None:
        """Give up if Slurm never took anything; otherwise try again, more and more rarely."""
        if not self._accepted:
            reason = " ".join(said.split()).removeprefix("sbatch: error: ")
            gpus = self._resources.whole_gpus
            asked = f"; --gpus {self._resources.gpus:g} asks for {gpus} GPUs of a node"
            raise ConfigError(
                f"executor: Slurm refused the first jobs, saying: {reason}{asked if gpus else ''}"
            )
        self._refusals += 1
        self._submit_after = time.monotonic() + min(LONGEST_WAIT, 5.0 * 2**self._refusals)

    def _take_in(self) -> bool:
        """Note what has ended, and say whether anything has."""
        waiting = [job for bundle in self._bundles for job in bundle.open_jobs]
        for handover in self._handovers:
            handover.driver.beat()
            bundles = [bundle for bundle in self._bundles if bundle.handover is handover]
            theirs = {job.key: job for bundle in bundles for job in bundle.open_jobs}
            for key, code in handover.codes(theirs).items():
                theirs[key].code = code
        if waiting and time.monotonic() >= self._look_after:
            self._look_around()
        for bundle in self._bundles:
            if not bundle.open_jobs:
                bundle.clear()
        self._bundles = [bundle for bundle in self._bundles if bundle.open_jobs]
        return any(job.code is not None for job in waiting)

    def _look_around(self) -> None:
        """Ask Slurm for what is said of jobs, and the store whether they are still this one's."""
        now = time.monotonic()
        self._look_after = now + self._pace
        self._leave_what_was_taken_over()
        listed = listing()
        if listed is not None:
            for bundle in self._bundles:
                bundle.believe(listed, now, 2 * self._pace)

    def _leave_what_was_taken_over(self) -> None:
        """This process slept for so long that another driver has its jobs; leave them to it."""
        lost = [each for each in self._handovers if not each.driver.held()]
        for bundle in [each for each in self._bundles if each.handover in lost]:
            for job in bundle.open_jobs:
                job.code = BusyError.exit_code
            self._bundles.remove(bundle)  # its files are the other's now
        self._handovers = [each for each in self._handovers if each not in lost]


def _work(folder: str, bundle: str) -> None:
    """What a job runs."""
    process = int(os.environ.get("SLURM_PROCID", "0"))
    processes = int(os.environ.get("SLURM_NTASKS", "1"))
    work_through(Path(folder), bundle, process=process, processes=processes)
