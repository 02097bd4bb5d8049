"""``descent sweep``: all runs of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro

from descentlab.cli.where import Where


def sweep(
    study: Annotated[Path, tyro.conf.Positional],
    *,
    store: Path = Path("store"),
    where: Annotated[Where, tyro.conf.OmitArgPrefixes] = Where(),  # noqa: B008 frozen
) -> None:
    """Train every run of a study into a store.

    A study is a TOML file with a name, a table [run] as for descent train, and a table
    [axes] of the settings that vary, as in "optimizer.lr" = [1e-3, 2e-3]. Stop it at any
    time: finished runs are kept and the same command goes on.

    Args:
        study: the TOML file; see examples/.
        store: the folder of runs.
        where: where runs are computed.
    """
    from descentlab.cli.progress import Screen
    from descentlab.cli.running import drive, executor_at
    from descentlab.cli.runs import listing
    from descentlab.config import read_toml
    from descentlab.runs.store import Store
    from descentlab.sweep.study import label, study_from
    from descentlab.train.plan import resolver

    screen = Screen()
    executor = executor_at(where, store)
    plan = study_from(read_toml(study), where=str(study))
    resolve = resolver(notice=screen.tell)
    labels: dict[str, str] = {}
    runs = {}
    for point, settings in zip(plan.points(), plan.settings(), strict=True):
        place = f"{study}, [run] with {label(point)}" if point else f"{study}, [run]"
        run = resolve(_threads(settings, where.cores), place)
        runs[run.run_id] = run
        labels.setdefault(run.run_id, label(point) or plan.name)
    opened = Store(store, create=True)
    base = {name: table for name, table in plan.run.items() if name != "execution"}
    opened.register_study(plan.name, {"axes": plan.axes, "run": base, "runs": list(runs)})
    if len(runs) < len(plan.points()):
        screen.tell(f"{len(plan.points())} points are {len(runs)} distinct runs")
    drive(plan.name, list(runs.values()), labels, store=opened, executor=executor, screen=screen)
    print(listing(opened, list(runs.values()), labels))


def _threads(settings: dict[str, Any], cores: int) -> dict[str, Any]:
    """Give each run as many threads as cores unless the study says otherwise."""
    execution = settings.get("execution", {})
    if not isinstance(execution, dict):
        return settings
    return {**settings, "execution": {"threads": cores, **execution}}
