"""Drives runs with a display: what every command that trains does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from descentlab.cli.progress import Screen, SweepDisplay
from descentlab.cli.where import Given, Where
from descentlab.config import build, override
from descentlab.errors import ConfigError
from descentlab.runs.identity import Run
from descentlab.runs.store import Result, Store
from descentlab.sweep.agenda import Agenda
from descentlab.sweep.driver import RETRIES, Sweep
from descentlab.sweep.executors.base import Executor
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.executors.local import LocalExecutor
from descentlab.sweep.resources import Resources

TARGET = "descentlab.train.work:work"
PRELOAD = ("descentlab.train.work", "torch._dynamo")
"""Imported once for all runs; torch imports the second, for 2 s, with the first optimizer."""


def resources_of(given: Given) -> Resources:
    """What a command's options give to each run.

    Raises:
        ConfigError: for options that are not allowed.
    """
    asked = {"cores": given.cores, "gpus": given.gpus, "memory": given.memory}
    return build(Resources, asked, where="--cores, --gpus, --memory")


def executor_here(workers: int | None, resources: Resources) -> Executor:
    """A pool of so many processes on this machine; 0 trains in this process, for debugging.

    None means as many as there is room for.

    Raises:
        ConfigError: for a negative number, or where there is no room.
    """
    refuse_negative("workers", workers or 0, "0 trains in this process, else 1 or more")
    if workers == 0:
        return InlineExecutor(resources)
    return LocalExecutor(workers, preload=PRELOAD, resources=resources)


def executor_at(where: Where, store: Path) -> Executor:
    """The executor that a command's options ask for.

    Raises:
        ConfigError: for options that are not allowed, or do not belong to it, or where what it
            needs is missing.
    """
    resources = resources_of(where)
    for name, belongs in (("slurm", "slurm"), ("sbatch", "slurm"), ("ray_address", "ray")):
        if getattr(where, name) and where.executor != belongs:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option}: belongs to --executor {belongs}, not {where.executor}")
    if where.executor == "inline" or where.workers == 0:
        return _inline(where, resources)
    if where.executor == "local":
        return executor_here(where.workers, resources)
    if where.workers is not None and where.workers < 1:
        raise ConfigError(f"workers: got {where.workers}; {where.executor} needs 1 or more")
    if where.executor == "ray":
        return _ray(where, resources)
    return _slurm(where, resources, store)


def _inline(where: Where, resources: Resources) -> Executor:
    if where.executor in ("slurm", "ray"):
        raise ConfigError(
            f"workers: got 0, which trains in this process; {where.executor} does not"
        )
    if where.executor == "inline" and where.workers not in (None, 0, 1):
        raise ConfigError(f"workers: got {where.workers}; inline trains one run at a time")
    return InlineExecutor(resources)


def _slurm(where: Where, resources: Resources, store: Path) -> Executor:
    try:
        from descentlab.sweep.executors.slurm import SlurmExecutor, SlurmOptions
    except ModuleNotFoundError as error:
        raise _not_installed("slurm", error) from None
    settings = override({}, where.slurm)
    if where.sbatch:
        settings["sbatch"] = override({}, where.sbatch)
    options = build(SlurmOptions, settings, where="--slurm")
    return SlurmExecutor(
        store / "jobs", options=options, resources=resources, workers=where.workers
    )


def _ray(where: Where, resources: Resources) -> Executor:
    try:
        from descentlab.sweep.executors.ray import RayExecutor
    except ModuleNotFoundError as error:
        raise _not_installed("ray", error) from None
    return RayExecutor(resources=resources, address=where.ray_address, workers=where.workers)


def _not_installed(extra: str, error: ModuleNotFoundError) -> ConfigError:
    return ConfigError(
        f"executor: {extra} needs the package {error.name}; pip install 'descentlab[{extra}]'"
    )


def refuse_negative(option: str, value: int, allowed: str) -> None:
    """Refuse a number below 0.

    Raises:
        ConfigError: saying what is allowed.
    """
    if value < 0:
        raise ConfigError(f"{option}: got {value}; {allowed}")


def drive(
    title: str,
    runs: Sequence[Run],
    labels: Mapping[str, str],
    *,
    store: Store,
    executor: Executor,
    screen: Screen,
    retries: int = RETRIES,
    agenda: Agenda | None = None,
) -> dict[str, Result]:
    """Train what has no result yet, showing progress, and return all results by run id.

    Args:
        title: of the display.
        runs: to train.
        labels: by run id, what people call them.
        store: where they lie.
        executor: where they are computed.
        screen: to show them on.
        retries: how often a run is tried again after what may pass.
        agenda: what of the runs to train; all of each, if left out.

    Raises:
        FailedRuns: if some failed.
    """
    with SweepDisplay(title, screen) as display:
        return Sweep(
            runs=runs,
            labels=labels,
            store=store,
            executor=executor,
            target=TARGET,
            observe=display.show,
            steps_of=steps_of,
            retries=retries,
            agenda=agenda,
            tell=screen.tell,
        ).drive()


def steps_of(run: Run) -> int:
    """A run's number of steps."""
    return int(run.settings["training"]["steps"])
