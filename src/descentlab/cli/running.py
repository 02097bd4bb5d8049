"""Drives runs on this machine's cores with a display: what every command that trains does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from descentlab.cli.progress import Screen, SweepDisplay
from descentlab.errors import ConfigError
from descentlab.runs.identity import Run
from descentlab.runs.store import Result, Store
from descentlab.sweep.driver import RETRIES, Sweep
from descentlab.sweep.executors.base import Executor
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.executors.local import LocalExecutor

TARGET = "descentlab.train.work:work"
PRELOAD = ("descentlab.train.work", "torch._dynamo")
"""Imported once for all runs; torch imports the second, for 2 s, with the first optimizer."""


def executor_for(workers: int | None) -> Executor:
    """A pool of so many processes; 0 trains in this process, for debugging.

    None means one process per usable core.

    Raises:
        ConfigError: for a negative number.
    """
    refuse_negative("workers", workers or 0, "0 trains in this process, else 1 or more")
    if workers == 0:
        return InlineExecutor()
    return LocalExecutor(workers, preload=PRELOAD)


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
        ).drive()


def steps_of(run: Run) -> int:
    """A run's number of steps."""
    return int(run.settings["training"]["steps"])
