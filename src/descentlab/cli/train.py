"""``descent train``: one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


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

    Args:
        spec: a TOML file with the tables model, data, optimizer, schedule, training and
            execution; see examples/.
        assignments: settings that replace those of the file, as in optimizer.lr=1e-3.
        store: the folder of runs.
        resume: refuse to begin at the first step: the run must have a checkpoint to go on from.
    """
    from descentlab.cli.progress import RunDisplay, Screen
    from descentlab.cli.runs import notices, outcome, speed
    from descentlab.config import override, read_toml
    from descentlab.runs.records import last_record
    from descentlab.runs.resumable import require_checkpoint
    from descentlab.runs.store import Store
    from descentlab.train.plan import resolver

    screen = Screen()
    where = " with ".join(filter(None, [str(spec), " ".join(assignments)]))
    run = resolver(notice=screen.tell)(override(read_toml(spec), assignments), where)
    opened = Store(store, create=True)
    if resume:
        require_checkpoint(opened, run)
    folder = opened.register(run)
    if folder.result() is not None:
        screen.tell(f"run {run.run_id} has its result already")
    else:
        from descentlab.train.work import train_in_store

        with RunDisplay(f"run {run.run_id}", screen) as display:
            train_in_store(opened, run, display.show, lambda line: screen.tell(f"warning: {line}"))
        attempt = opened.latest_attempt(run.run_id)
        assert attempt is not None
        for line in [*notices(attempt), speed(last_record(attempt.timing))]:
            if line is not None:
                screen.tell(line)
    print(f"{run.run_id}  {outcome(opened.status(run.run_id))}")
