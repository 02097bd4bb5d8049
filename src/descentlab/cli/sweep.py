"""``descent sweep``: all runs of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from descentlab.cli.where import Where
from descentlab.sweep.racing.names import Name

if TYPE_CHECKING:
    from descentlab.cli.progress import Screen
    from descentlab.cli.study_runs import StudyRuns
    from descentlab.runs.store import Store
    from descentlab.sweep.executors.base import Executor
    from descentlab.sweep.study_race import Found

Racing = Literal["study", Name]


def sweep(
    study: Annotated[Path, tyro.conf.Positional],
    *,
    store: Path = Path("store"),
    retries: int = 2,
    register_only: bool = False,
    racing: Racing = "study",
    where: Annotated[Where, tyro.conf.OmitArgPrefixes] = Where(),  # noqa: B008 frozen
) -> None:
    """Train every run of a study into a store.

    A study is a TOML file with a name, a table [run] as for descent train, and a table
    [axes] of the settings that vary, as in "optimizer.lr" = [1e-3, 2e-3]; docs/studies.md has
    all that it can say. Stop it at any time: finished runs are kept and the same command goes
    on. A study that has gained points or seeds trains only what is new. Any number of sweeps
    and of descent worker may work on one store at once, from any hosts that share its folder.

    Args:
        study: a TOML file, or a Python file that names a Study; see examples/.
        store: the folder of runs.
        retries: how often a run is tried again that was killed, hung, or out of memory or disk.
        register_only: put the runs into the store and end; descent worker STORE trains them.
        racing: stop runs that cannot win, by racing's rules or a peer's, or as the study says:
            numbers of the optimizer are raced, for each method and anything else by itself, on the
            first seed; the best run with the other seeds, too. The decisions are put into the
            store's folder races.
        where: where runs are computed.
    """
    from descentlab.cli.progress import Screen
    from descentlab.cli.running import executor_at, refuse_negative
    from descentlab.cli.study_runs import study_runs
    from descentlab.runs.store import Store
    from descentlab.sweep.executors.inline import InlineExecutor
    from descentlab.sweep.study_file import read_study
    from descentlab.train.plan import resolver

    screen = Screen()
    refuse_negative("retries", retries, "0 tries each run once")
    executor = InlineExecutor() if register_only else executor_at(where, store)
    read = read_study(study)  # whole, and only here: the file may change from now on
    asked = study_runs(read, resolver(notice=screen.tell), where=str(study), threads=where.cores)
    for remark in asked.remarks():
        screen.tell(remark)
    chosen = asked.study.racing if racing == "study" else racing
    opened = Store(store, create=True)
    opened.register_study(asked.study.name, asked.record)
    if register_only:
        if chosen != "none":
            screen.tell("descent worker trains every run to its end; descent sweep races them")
        for run in asked.runs.values():
            opened.register(run)
        print(f"{len(asked.runs)} runs of study {asked.study.name} are registered in {store}")
        return
    _train(asked, chosen, store=opened, executor=executor, screen=screen, retries=retries)


def _train(
    asked: StudyRuns,
    racing: Name,
    *,
    store: Store,
    executor: Executor,
    screen: Screen,
    retries: int,
) -> None:
    from descentlab.cli.running import drive
    from descentlab.cli.runs import listing
    from descentlab.sweep.study_race import StudyRace

    races = None if racing == "none" else StudyRace(asked.points, asked.of_points, racing)
    name, runs = asked.study.name, list(asked.runs.values())
    drive(
        name,
        runs,
        asked.labels,
        store=store,
        executor=executor,
        screen=screen,
        retries=retries,
        agenda=races and races.agenda(store, name),
    )
    print(listing(store, runs, asked.labels))
    if races is not None:
        print("", *(_line(each, races.labels[each.race]) for each in races.found()), sep="\n")
        print(f"decisions: {store.races.record(name, races.record())}")


def _line(found: Found, labels: Mapping[str, str]) -> str:
    """What a race found, in one line."""
    race = f"{found.race}: " if found.race else ""
    if found.winner is None or found.loss is None:
        return f"{race}no setting came to its end with a finite loss"
    seeds = len(found.settings[0].keys)
    over = f" over {seeds} seeds" if seeds > 1 else ""
    others = [labels[each] for each in found.within_noise if each != found.winner]
    near = f"; within noise of it: {', '.join(others)}" if others else ""
    return (
        f"{race}best is {labels[found.winner]}, perplexity {math.exp(found.loss):.2f}{over}, for "
        f"{found.cost:.0%} of the grid's price{near}"
    )
