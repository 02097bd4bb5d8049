"""Runs as tasks of Ray: a cluster that is there, or one that is started here.

A task is stopped by Ray's ``cancel``, which is an interrupt in the process that runs it. Ray
itself repeats nothing (``max_retries=0``).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from pathlib import Path

import ray
from ray import exceptions

from descentlab.errors import ConfigError, Preempted
from descentlab.sweep.executors.base import Executor, Job, Task
from descentlab.sweep.executors.inline import call
from descentlab.sweep.resources import Resources

LOOK_SECONDS = 5.0
"""Between two looks at how large the cluster is."""
KNOCK_SECONDS = 10.0


class RayJob(Job):
    """A task in some process of the cluster."""

    def __init__(self, reference: ray.ObjectRef) -> None:
        self.reference = reference
        self._code: int | None = None
        self._killed = False
        self._loss: str | None = None

    def exit_code(self) -> int | None:
        if self._code is None and ray.wait([self.reference], timeout=0)[0]:
            self._code = self._outcome()
        return self._code

    def lost(self) -> str | None:
        return self._loss

    def stop(self) -> None:
        if self.exit_code() is None:
            ray.cancel(self.reference, recursive=False)

    def kill(self) -> None:
        if self.exit_code() is None:
            self._killed = True
            ray.cancel(self.reference, force=True, recursive=False)

    def _outcome(self) -> int:
        try:
            return ray.get(self.reference)
        except exceptions.TaskCancelledError:
            return -signal.SIGKILL if self._killed else Preempted.exit_code
        except (exceptions.NodeDiedError, exceptions.LocalRayletDiedError) as error:
            self._loss = f"the node of Ray that it ran on was lost ({_first_sentence(error)})"
        except exceptions.RayError:  # its process died, for want of memory perhaps
            pass
        return -signal.SIGKILL


class RayExecutor(Executor):
    """Tasks on a cluster of Ray, whose nodes share the store's file system.

    Args:
        resources: what each task is given.
        address: of a cluster; by default that of RAY_ADDRESS, or else one is started here.
        workers: tasks submitted at once; by default as many as the cluster has room for, which
            is looked up now and then.

    Raises:
        ConfigError: if there is no cluster at the address, or it has no room for one task.
    """

    def __init__(
        self,
        *,
        resources: Resources = Resources(),  # noqa: B008 frozen
        address: str | None = None,
        workers: int | None = None,
    ) -> None:
        _connect(address)
        self._resources = resources
        self._workers = workers
        self._jobs: list[RayJob] = []
        self._look_after = 0.0
        self._function = ray.remote(_run).options(
            num_cpus=resources.cores,
            num_gpus=resources.gpus,
            memory=None if resources.memory is None else int(resources.memory * 1e9),
            max_retries=0,
            scheduling_strategy="SPREAD",
        )
        if workers is None and not _room(resources):
            raise ConfigError(
                f"executor: the Ray cluster has room for no run with {_asked(resources)}, having "
                f"{_had()}; ask for less, or give --workers if the cluster will grow"
            )
        self.capacity = 1
        self._look()

    def submit(self, task: Task) -> Job:
        job = RayJob(self._function.remote(task, os.getcwd()))
        self._jobs.append(job)
        return job

    def wait(self, seconds: float) -> None:
        self._look()
        self._jobs = [job for job in self._jobs if job.exit_code() is None]
        if self._jobs:
            ray.wait([job.reference for job in self._jobs], timeout=seconds)
        else:
            time.sleep(seconds)

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._look_after:
            self._look_after = now + LOOK_SECONDS
            self.capacity = self._workers or max(1, _room(self._resources))


def _connect(address: str | None) -> None:
    """Join a cluster, or start one."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Tasks that ask for no GPU see what their node sees, as they do without Ray.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if ray.is_initialized():
        return
    where = address or os.environ.get("RAY_ADDRESS")
    try:
        if where and where != "auto":
            _knock(where)  # Ray itself would try for minutes
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"executor: no Ray cluster answers at {where or 'this machine'} "
            f"({_first_sentence(error)}); start one with ray start --head, and give its address "
            "as --ray-address host:port"
        ) from None


def _knock(address: str) -> None:
    """See whether anything listens there.

    Raises:
        OSError: if nothing does.
        ValueError: if it is no address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        raise ValueError("an address is host:port")
    socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()


def _run(task: Task, folder: str) -> int:
    """Call a task in the driver's folder, if this node has it, and return its exit code."""
    if Path(folder).is_dir():
        os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = call(task)
    except KeyboardInterrupt:
        return Preempted.exit_code
    # Nobody presses Ctrl-C here: the interrupt is the driver's wish that the task save and end.
    return Preempted.exit_code if code == 128 + signal.SIGINT else code


def _room(resources: Resources) -> int:
    """How many tasks the cluster can take at once."""
    there = ray.cluster_resources()
    counts = [there.get("CPU", 0.0) / resources.cores]
    if resources.gpus:
        counts.append(there.get("GPU", 0.0) / resources.gpus)
    if resources.memory is not None:
        counts.append(there.get("memory", 0.0) / (resources.memory * 1e9))
    return int(min(counts) + 1e-9)


def _asked(resources: Resources) -> str:
    memory = "" if resources.memory is None else f" and {resources.memory:g} GB"
    return f"{resources.cores} cores, {resources.gpus:g} GPUs{memory}"


def _had() -> str:
    there = ray.cluster_resources()
    memory = there.get("memory", 0.0) / 1e9
    return f"{there.get('CPU', 0):g}, {there.get('GPU', 0):g} and {memory:.1f} GB in all"


def _first_sentence(error: Exception) -> str:
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return line.partition(". ")[0].rstrip(".")
