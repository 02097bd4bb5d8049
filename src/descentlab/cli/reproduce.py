"""``descent reproduce``: an experiment of the paper, from its runs to its table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from descentlab.cli.where import Where

if TYPE_CHECKING:
    from descentlab.runs.store import Result


def reproduce(
    experiment: Annotated[Literal["table1", "constant-variance"], tyro.conf.Positional],
    *,
    scale: Literal["tiny", "laptop"] = "laptop",
    seeds: int = 3,
    store: Path = Path("store"),
    out: Path | None = None,
    racing: bool = True,
    where: Annotated[Where, tyro.conf.OmitArgPrefixes] = Where(),  # noqa: B008 frozen
) -> None:
    """Reproduce an experiment of the paper with models trained here.

    Every method is tuned on its own grid with the same number of trials, the winners run
    with fresh seeds, and the table is written with its figures and verdicts. Finished
    runs are kept: stop it at any time, and the same command goes on.

    Args:
        experiment: table1 compares the paper's seven methods; constant-variance replaces
            the variance that Adam estimates by the best constant.
        scale: laptop takes minutes on two cores; tiny takes less than one and proves only
            that everything works.
        seeds: fresh seeds per winner, on top of the one used for tuning.
        store: the folder of runs.
        out: the folder for table and figures; results/<experiment>-<scale> by default.
        racing: stop runs in tuning that cannot win, by rules that are the same for all methods;
            --no-racing trains every one to its end.
        where: where runs are computed.
    """
    import time

    from descentlab.cli.progress import Screen, duration
    from descentlab.cli.running import drive, executor_at
    from descentlab.paper import constant_variance, table1
    from descentlab.paper.contest import Laboratory, Stage, judging_seeds
    from descentlab.paper.report import write
    from descentlab.runs.store import Store
    from descentlab.train.plan import resolver

    screen = Screen()
    began = time.monotonic()
    chosen = judging_seeds(seeds)
    executor = executor_at(where, store)
    opened = Store(store, create=True)

    def warn(line: str) -> None:
        screen.tell(f"warning: {line}")

    def execute(stage: Stage) -> dict[str, Result]:
        title = f"{experiment} {stage.name}"
        return drive(
            title,
            stage.runs,
            stage.labels,
            store=opened,
            executor=executor,
            screen=screen,
            agenda=stage.agenda,
        )

    hold = {"table1": table1.run, "constant-variance": constant_variance.run}[experiment]
    laboratory = Laboratory(
        store=opened,
        seeds=chosen,
        resolve=resolver(notice=screen.tell),
        execute=execute,
        warn=warn,
        racing=racing,
    )
    report = hold(scale, laboratory)
    folder = out or Path("results") / f"{experiment}-{scale}"
    print(write(report, opened, folder, warn))
    screen.tell(f"written to {folder}; took {duration(time.monotonic() - began)}")
