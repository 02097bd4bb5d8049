"""``descent train``: one run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from descentlab.cli.progress import Screen
    from descentlab.runs.identity import Run
    from descentlab.runs.store import Store
    from descentlab.train.world import World


def train(
    spec: Annotated[Path, tyro.conf.Positional],
    assignments: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[KEY=VALUE ...]")
    ] = (),
    *,
    store: Path = Path("store"),
    resume: bool = False,
) -> None:
    """Train one run into a store.

    A run that has its result already is not trained again, however it was written. One that
    was interrupted goes on from its newest checkpoint, to the same bits; the setting
    execution.resume says what to do where that cannot be.

    Several processes train one run together if torchrun starts them, as in
    torchrun --nproc-per-node 8 -m descentlab train SPEC; execution.parallelism says how.

    Args:
        spec: a TOML file with the tables model, data, optimizer, schedule, training and
            execution; see examples/.
        assignments: settings that replace those of the file, as in optimizer.lr=1e-3.
        store: the folder of runs.
        resume: refuse to begin at the first step: the run must have a checkpoint to go on from.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":  # torchrun started this process with others
        from descentlab.train.world import world

        with world() as here:
            _train(spec, assignments, store, resume, here)
    else:
        _train(spec, assignments, store, resume, None)


def _train(
    spec: Path, assignments: tuple[str, ...], store: Path, resume: bool, here: World | None
) -> None:
    from descentlab.cli.progress import RunDisplay, Screen
    from descentlab.cli.runs import notices, outcome, speed
    from descentlab.runs.records import last_record
    from descentlab.runs.store import Store

    first = here is None or here.first
    screen = Screen(quiet=not first)

    def registered() -> Run:
        return _registered(spec, assignments, Store(store, create=True), resume, screen)

    run = registered() if here is None else here.by_first(registered)
    opened = Store(store)
    if first and opened.folder(run.run_id).result() is not None:
        screen.tell(f"run {run.run_id} has its result already")
    if here is not None or opened.folder(run.run_id).result() is None:
        from descentlab.train.work import train_in_store
        from descentlab.train.world import ALONE

        def warn(line: str) -> None:
            screen.tell(f"warning: {line}")

        if here is None:
            opened.watch(run.run_id, screen.tell)
        else:
            here.by_first(lambda: opened.watch(run.run_id, screen.tell))

        with RunDisplay(f"run {run.run_id}", screen) as display:
            train_in_store(opened, run, display.show, warn, here or ALONE)
        attempt = opened.latest_attempt(run.run_id)
        assert attempt is not None
        for line in [*notices(attempt), speed(last_record(attempt.timing))]:
            if line is not None:
                screen.tell(line)
    if first:
        print(f"{run.run_id}  {outcome(opened.status(run.run_id))}")


def _registered(
    spec: Path, assignments: tuple[str, ...], store: Store, resume: bool, screen: Screen
) -> Run:
    from descentlab.config import override, read_toml
    from descentlab.runs.resumable import require_checkpoint
    from descentlab.train.plan import resolver

    where = " with ".join(filter(None, [str(spec), " ".join(assignments)]))
    run = resolver(notice=screen.tell)(override(read_toml(spec), assignments), where)
    if resume:
        require_checkpoint(store, run)
    store.register(run)
    return run
