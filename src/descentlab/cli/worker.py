"""``descent worker``: trains what is registered in a store, for any scheduler to start."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from descentlab.cli.where import Given
from descentlab.errors import ConfigError, Interrupted, Preempted

if TYPE_CHECKING:
    from descentlab.sweep.executors.base import Executor


def worker(
    store: Annotated[Path, tyro.conf.Positional],
    *,
    study: str | None = None,
    runs: int | None = None,
    wait: bool = False,
    workers: int | Literal["fit"] | None = None,
    retries: int = 2,
    given: Annotated[Given, tyro.conf.OmitArgPrefixes] = Given(),  # noqa: B008 frozen
) -> None:
    """Train registered runs of a store that have no result, one after another.

    Register them with descent sweep STUDY --store STORE --register-only, then start as many
    workers as you like, on any hosts that share the folder: from an HTCondor or PBS script, or
    by hand. Each run is trained by one of them, and one that dies leaves its run to the others.
    After TERM, USR1 or USR2 the state is saved and the exit code is 75: start it again.

    Args:
        store: the folder of runs.
        study: take only runs of this study.
        runs: take so many runs at most.
        wait: when no run is left to take, stay and look for new ones.
        workers: runs at once, one if left out; fit: as many as there is room for; 0 trains in
            this process.
        retries: how often a run is tried again that was killed, hung, or out of memory or disk.
        given: what each run is given.
    """
    from descentlab.cli.progress import Screen, SweepDisplay
    from descentlab.cli.running import TARGET, refuse_negative, steps_of
    from descentlab.cli.runs import describe, outcome
    from descentlab.runs.store import Store
    from descentlab.sweep.worker import Worker

    refuse_negative("retries", retries, "0 tries each run once")
    if runs is not None and runs < 1:
        raise ConfigError(f"runs: got {runs}; take 1 or more, or leave it out to take all")
    Store(store)  # refuses what is none
    opened = Store(store, create=True)  # refuses what cannot be written
    screen = Screen()
    with SweepDisplay(f"worker on {store}", screen) as display:
        this = Worker(
            store=opened,
            executor=_executor(workers, given),
            target=TARGET,
            observe=display.show,
            steps_of=steps_of,
            label_of=describe,
            study=study,
            limit=runs,
            wait=wait,
            retries=retries,
        )
        if (threads := this.most_threads()) > given.cores:
            screen.tell(
                f"runs were registered with {threads} threads, and are given {given.cores} of "
                f"this machine's cores; --cores {threads} makes room for them"
            )
        try:
            this.work()
        except Interrupted as stopped:
            raise _for_schedulers(stopped) from None
    for run_id in sorted(this.results):
        run = opened.folder(run_id).run()
        print(f"{run_id}  {describe(run)}  {outcome(opened.status(run_id))}")


def _for_schedulers(stopped: Interrupted) -> Interrupted:
    """A wish to be started again, unless a person pressed Ctrl-C."""
    if stopped.signal_number == signal.SIGINT:
        return stopped
    said = "stopped, with the state of what was in training saved; start it again"
    return Preempted(said, stopped.signal_number)


def _executor(workers: int | Literal["fit"] | None, given: Given) -> Executor:
    from descentlab.cli.running import executor_here, resources_of
    from descentlab.sweep.resources import room

    resources = resources_of(given)
    if workers is None:
        room(resources)  # refuses what does not fit
        return executor_here(1, resources)
    return executor_here(None if workers == "fit" else workers, resources)
