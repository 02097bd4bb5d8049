"""``descent sweep``: all runs of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro


def sweep(
    study: Annotated[Path, tyro.conf.Positional],
    *,
    store: Path = Path("store"),
    workers: int | None = None,
    retries: int = 2,
    register_only: bool = False,
) -> None:
    """Train every run of a study into a store.

    A study is a TOML file with a name, a table [run] as for descent train, and a table
    [axes] of the settings that vary, as in "optimizer.lr" = [1e-3, 2e-3]. Stop it at any
    time: finished runs are kept and the same command goes on. Any number of sweeps and of
    descent worker may work on one store at once, from any hosts that share its folder.

    Args:
        study: the TOML file; see examples/.
        store: the folder of runs.
        workers: runs at once, by default one per core; 0 trains in this process.
        retries: how often a run is tried again that was killed, hung, or out of memory or disk.
        register_only: put the runs into the store and end; descent worker STORE trains them.
    """
    from descentlab.cli.progress import Screen
    from descentlab.cli.running import drive, executor_for, refuse_negative
    from descentlab.cli.runs import listing
    from descentlab.config import read_toml
    from descentlab.runs.store import Store
    from descentlab.sweep.study import label, study_from
    from descentlab.train.plan import resolver

    screen = Screen()
    refuse_negative("retries", retries, "0 tries each run once")
    executor = executor_for(0 if register_only else workers)
    plan = study_from(read_toml(study), where=str(study))
    resolve = resolver(notice=screen.tell)
    labels: dict[str, str] = {}
    runs = {}
    for point, settings in zip(plan.points(), plan.settings(), strict=True):
        place = f"{study}, [run] with {label(point)}" if point else f"{study}, [run]"
        run = resolve(_one_thread(settings), place)
        runs[run.run_id] = run
        labels.setdefault(run.run_id, label(point) or plan.name)
    opened = Store(store, create=True)
    base = {name: table for name, table in plan.run.items() if name != "execution"}
    opened.register_study(plan.name, {"axes": plan.axes, "run": base, "runs": list(runs)})
    if len(runs) < len(plan.points()):
        screen.tell(f"{len(plan.points())} points are {len(runs)} distinct runs")
    if register_only:
        for run in runs.values():
            opened.register(run)
        print(f"{len(runs)} runs of study {plan.name} are registered in {store}")
        return
    drive(
        plan.name,
        list(runs.values()),
        labels,
        store=opened,
        executor=executor,
        screen=screen,
        retries=retries,
    )
    print(listing(opened, list(runs.values()), labels))


def _one_thread(settings: dict[str, Any]) -> dict[str, Any]:
    """Give each run one thread unless the study says otherwise: the cores go to other runs."""
    execution = settings.get("execution", {})
    if not isinstance(execution, dict):
        return settings
    return {**settings, "execution": {"threads": 1, **execution}}
