"""Runs as jobs of Slurm, submitted through submitit.

Tasks that are submitted between two waits become one array. Each element works through a bundle
of tasks, one after another, or as many at once as share its GPU. How a task ended stands in a file
that its job wrote (``handover``). Slurm is only asked whether a job that has written nothing is
still there, and is believed only when it says so twice, some time apart.

Slurm itself repeats nothing: jobs are submitted with ``--no-requeue``. One that is preempted, or
reaches its time limit, gets a signal beforehand, saves its runs and ends them with 75, and the
driver submits them again.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from descentlab.config import PositiveInt
from descentlab.errors import ConfigError, Preempted, nearest
from descentlab.processes import signals_wait
from descentlab.sweep.executors.base import Executor, Job, Task
from descentlab.sweep.executors.handover import Handover, Wish, work_through
from descentlab.sweep.executors.slurm_queue import PREFIX, Listing, cancel, listing
from descentlab.sweep.resources import Resources

AT_ONCE = 256
"""Runs in the queue, unless told otherwise."""
LARGEST_ARRAY = 1000
"""Slurm's own default allows indices below 1001."""
PATIENCE = 10.0
"""Seconds that tasks wait for others to fill a bundle."""
LONGEST_WAIT = 300.0
"""Seconds between two tries to submit, while Slurm refuses."""
OURS = {
    *("account", "array", "constraint", "cpus-per-task", "error", "exclude", "gpus-per-node"),
    *("job-name", "mem", "no-requeue", "nodelist", "nodes", "ntasks-per-node", "open-mode"),
    *("output", "partition", "qos", "requeue", "signal", "time"),
}
"""Options of sbatch that are settings here, or that exactly-once rests on."""


class SlurmOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How jobs are asked for."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    """Features that nodes must have."""
    nodelist: str | None = None
    exclude: str | None = None
    time: PositiveInt = 240
    """Minutes that a job may take; a run that takes longer goes on in the next job."""
    save_seconds: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 120
    """How long before the limit the signal comes that lets runs save."""
    runs_per_job: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    """Runs that a job works through; more than one saves time in the queue where runs are short."""
    sbatch: dict[str, str | int | float | bool] = {}
    """Any other long option of sbatch, without its dashes; true for one without a value."""

    def __post_init__(self) -> None:
        for name in self.sbatch:
            if name.replace("_", "-") in OURS:
                raise ConfigError(
                    f"sbatch: {name} cannot be set so; {nearest(name, self.__struct_fields__)} by "
                    "--slurm name=value, and cores, GPUs and memory by options of their own"
                )


class SlurmJob(Job):
    """A task in a bundle; the executor says what became of it."""

    def __init__(self, task: Task, handover: Handover) -> None:
        self.task = task
        self.bundle: Bundle | None = None
        self.key = ""
        self.code: int | None = None
        self.loss: str | None = None
        self.wish: Wish | None = None
        self._handover = handover

    def exit_code(self) -> int | None:
        return self.code

    def lost(self) -> str | None:
        return self.loss

    def stop(self) -> None:
        self._end(Preempted.exit_code)
        if self.code is None and self.wish is None:
            self._handover.ask(self.key, "stop")
            self.wish = "stop"

    def kill(self) -> None:
        self._end(-signal.SIGKILL)
        if self.code is None and self.bundle is not None:
            self._handover.ask(self.key, "kill")
            self.wish = "kill"
            if all(job.wish == "kill" for job in self.bundle.open_jobs):
                self.bundle.cancel()

    def _end(self, code: int) -> None:
        """End a task that is not yet submitted."""
        if self.bundle is None and self.code is None:
            self.code = code


class Bundle:
    """A job of Slurm, or an element of an array: some tasks of ours.

    Args:
        number: in the handover.
        name: of the submission.
        index: in its array.
        jobs: its tasks.
    """

    def __init__(self, number: int, name: str, index: int, jobs: Sequence[SlurmJob]) -> None:
        self.number = number
        self.name = name
        self.index = index
        self.jobs = jobs
        self.job_id: str | None = None
        self.pending_cancelled = False
        self.gone_since: float | None = None
        for place, job in enumerate(jobs):
            job.bundle = self
            job.key = f"{number}.{place}"

    @property
    def open_jobs(self) -> list[SlurmJob]:
        return [job for job in self.jobs if job.code is None]

    def cancel(self, *options: str) -> None:
        if self.job_id is not None:
            cancel(*options, self.job_id)


class SlurmExecutor(Executor):
    """Jobs of Slurm, whose runs' store is on a file system that its nodes share.

    Args:
        folder: of this executor's own, on that file system.
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
        self._name = f"{PREFIX}{secrets.token_hex(4)}"
        self._handover = Handover(folder / self._name)
        self._processes = resources.runs_per_gpu
        self._bundle_size = max(options.runs_per_job, self._processes)
        self._parameters = _parameters(options, resources)
        self._pace = pace
        self._fresh: list[SlurmJob] = []
        self._fresh_since = 0.0
        self._bundles: list[Bundle] = []
        self._numbers = 0
        self._submissions = 0
        self._accepted = False
        self._refusals = 0
        self._submit_after = 0.0
        self._look_after = 0.0

    def submit(self, task: Task) -> Job:
        job = SlurmJob(task, self._handover)
        if not self._fresh:
            self._fresh_since = time.monotonic()
        self._fresh.append(job)
        return job

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._send()
        self._leave_the_queue()
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
        self._handover.create()
        numbers = range(self._numbers, self._numbers + len(groups))
        for number, group in zip(numbers, groups, strict=True):
            self._handover.give(number, [job.task for job in group])
        self._numbers += len(groups)
        self._submissions += 1
        name = f"{self._name}-{self._submissions}"
        executor = submitit.SlurmExecutor(self._handover.logs)
        executor.update_parameters(job_name=name, **self._parameters)
        calls = [partial(_work, str(self._handover.folder), number) for number in numbers]
        try:
            with redirect_stderr(io.StringIO()):  # submitit prints there what it raises
                ids: list[str | None] = [job.job_id for job in executor.submit_array(calls)]
        except FailedSubmissionError:
            ids = [None] * len(groups)  # accepted, it seems; the listing will tell
        except FailedJobError as error:
            self._refused(str(error))
            for number, group in zip(numbers, groups, strict=True):
                self._handover.clear(number, len(group))
            return False
        self._accepted = True
        self._refusals = 0
        for index, (number, group) in enumerate(zip(numbers, groups, strict=True)):
            bundle = Bundle(number, name, index, group)
            bundle.job_id = ids[index]
            self._bundles.append(bundle)
        return True

    def _refused(self, said: str) -> None:
        """Give up if Slurm never took anything; otherwise try again, more and more rarely."""
        if not self._accepted:
            reason = " ".join(said.split()).removeprefix("sbatch: error: ")
            raise ConfigError(f"executor: Slurm refused the first jobs, saying: {reason}")
        self._refusals += 1
        self._submit_after = time.monotonic() + min(LONGEST_WAIT, 5.0 * 2**self._refusals)

    def _leave_the_queue(self) -> None:
        """Cancel jobs that wait in the queue and of which nothing is wanted any more."""
        for bundle in self._bundles:
            if bundle.pending_cancelled or not all(job.wish for job in bundle.open_jobs):
                continue
            bundle.pending_cancelled = True
            bundle.cancel("--state=PENDING")
            self._look_after = 0.0

    def _take_in(self) -> bool:
        """Note what has ended, and say whether anything has."""
        waiting = {job.key: job for bundle in self._bundles for job in bundle.open_jobs}
        for key, code in self._handover.codes(waiting).items():
            waiting[key].code = code
        now = time.monotonic()
        if waiting and now >= self._look_after:
            self._look_after = now + self._pace
            listed = listing()
            if listed is not None:
                for bundle in self._bundles:
                    self._believe(bundle, listed, now)
        for bundle in self._bundles:
            if not bundle.open_jobs:
                self._handover.clear(bundle.number, len(bundle.jobs))
        self._bundles = [bundle for bundle in self._bundles if bundle.open_jobs]
        return any(job.code is not None for job in waiting.values())

    def _believe(self, bundle: Bundle, listed: Listing, now: float) -> None:
        """Take a job for lost that has been gone for long enough without a word of its own."""
        queued = listed.get((bundle.name, bundle.index))
        if queued is not None:
            bundle.job_id = queued.job_id
            if not queued.ended:
                bundle.gone_since = None
                return
        if bundle.gone_since is None:
            bundle.gone_since = now
        waited = now - bundle.gone_since >= 2 * self._pace
        state = "is no longer there" if queued is None else f"ended as {queued.state}"
        for job in bundle.open_jobs:
            begun = self._handover.begun(job.key)
            if job.wish == "kill" and queued is not None:
                job.code = -signal.SIGKILL
            elif job.wish == "stop" and not begun and queued is not None:
                job.code = Preempted.exit_code  # cancelled in the queue
            elif waited:
                which = f"Slurm's job {bundle.job_id or bundle.name}"
                job.loss = f"{which} {state}" + ("" if begun else " before the run began")
                job.code = -signal.SIGKILL


def _parameters(options: SlurmOptions, resources: Resources) -> dict[str, Any]:
    """What submitit is asked for."""
    together = resources.runs_per_gpu
    asked: dict[str, Any] = {
        each: getattr(options, each)
        for each in ("partition", "account", "qos", "constraint", "nodelist", "exclude")
        if getattr(options, each) is not None
    }
    if resources.gpus:
        asked["gpus_per_node"] = resources.whole_gpus
    if resources.memory is not None:
        asked["mem"] = f"{int(resources.memory * together * 1e9 / 2**20)}M"
    return asked | {
        "time": options.time,
        "nodes": 1,
        "ntasks_per_node": together,
        "cpus_per_task": resources.cores,
        "signal_delay_s": options.save_seconds,
        "array_parallelism": LARGEST_ARRAY,
        "wckey": None,
        "additional_parameters": {"no-requeue": True, **options.sbatch},
        # srun does not take the cores over from sbatch, and may end all runs with the first.
        "srun_args": [f"--cpus-per-task={resources.cores}", "--kill-on-bad-exit=0"],
    }


def _work(folder: str, bundle: int) -> None:
    """What a job runs."""
    process = int(os.environ.get("SLURM_PROCID", "0"))
    processes = int(os.environ.get("SLURM_NTASKS", "1"))
    work_through(Path(folder), bundle, process=process, processes=processes)
