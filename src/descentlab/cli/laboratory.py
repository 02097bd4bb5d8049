"""A laboratory for experiments that train here: what their commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from descentlab.cli.where import Where

if TYPE_CHECKING:
    from descentlab.cli.progress import Screen
    from descentlab.contests.contest import Laboratory, Stage
    from descentlab.runs.store import Result


def laboratory_at(
    title: str, *, store: Path, seeds: int, racing: bool, where: Where, screen: Screen
) -> Laboratory:
    """Open a store and make what trains into it.

    Args:
        title: to begin the display of each stage with.
        store: the folder of runs; made if it is not there.
        seeds: how many judge the winners.
        racing: whether tuning stops runs that cannot win.
        where: where runs are computed.
        screen: to show them on.

    Raises:
        ConfigError: for options that are not allowed.
        StorageError: if the store cannot be written.
    """
    from descentlab.cli.running import drive, executor_at
    from descentlab.contests.contest import Laboratory, judging_seeds
    from descentlab.runs.store import Store
    from descentlab.train.plan import resolver

    chosen = judging_seeds(seeds)
    executor = executor_at(where, store)
    opened = Store(store, create=True)

    def execute(stage: Stage) -> dict[str, Result]:
        return drive(
            f"{title} {stage.name}",
            stage.runs,
            stage.labels,
            store=opened,
            executor=executor,
            screen=screen,
            agenda=stage.agenda,
        )

    return Laboratory(
        store=opened,
        seeds=chosen,
        resolve=resolver(notice=screen.tell),
        execute=execute,
        warn=lambda line: screen.tell(f"warning: {line}"),
        racing=racing,
    )
