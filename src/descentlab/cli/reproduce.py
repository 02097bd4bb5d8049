"""``descent reproduce``: experiments of the paper, trained here or drawn from stored runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from descentlab.cli.where import Where
from descentlab.errors import ConfigError

if TYPE_CHECKING:
    from descentlab.runs.store import Result

TRAINED = ("table1", "constant-variance")
"""What can be trained here."""


def reproduce(
    experiment: Annotated[str, tyro.conf.Positional],
    *,
    from_released: Path | None = None,
    from_store: Path | None = None,
    study: str | None = None,
    scale: Literal["tiny", "laptop"] = "laptop",
    seeds: int = 3,
    store: Path | None = None,
    out: Path | None = None,
    racing: bool = True,
    where: Annotated[Where, tyro.conf.OmitArgPrefixes] = Where(),  # noqa: B008 frozen
) -> None:
    """Reproduce a table or figure of the paper, from runs trained here or runs that are there.

    table1 and constant-variance are trained: every method is tuned on its own grid with the
    same number of trials, the winners run with fresh seeds, and the table is written with its
    figures and verdicts. Finished runs are kept: stop it at any time, and the same command
    goes on.

    With --from-released or --from-store nothing is trained: table1 to table3, fig1 to fig5, fig8 to
    fig17, or all of them, are drawn from the paper's released runs, or from a store's.

    Args:
        experiment: table1 compares the paper's seven methods; constant-variance replaces
            the variance that Adam estimates by the best constant; fig2 and the like, and all,
            are drawn.
        from_released: draw from the released files in this folder, a clone of
            github.com/aorvieto/SecretSauce; they are imported through a gate that executes nothing.
        from_store: draw from the runs of this store.
        study: draw from the runs of this study of the store alone.
        scale: laptop takes minutes on two cores; tiny takes less than one and proves only
            that everything works.
        seeds: fresh seeds per winner, on top of the one used for tuning.
        store: the folder of runs to train into, or to import into; store by default, and a
            temporary one for the released files.
        out: the folder for tables and figures; results/<experiment>-<scale>, or
            results/<experiment>-released or -stored, by default.
        racing: stop runs in tuning that cannot win, by rules that are the same for all methods;
            --no-racing trains every one to its end.
        where: where runs are computed.
    """
    from descentlab.cli.drawing import draw, draw_released

    if from_released is not None and from_store is not None:
        raise ConfigError("--from-released and --from-store: give one of them")
    if study is not None and from_store is None:
        raise ConfigError("--study: belongs to --from-store, which says whose study it is")
    if from_released is not None:
        folder = out or Path("results") / f"{experiment}-released"
        draw_released(experiment, from_released, store, folder)
    elif from_store is not None:
        draw(experiment, from_store, study, out or Path("results") / f"{experiment}-stored")
    else:
        _refuse_what_is_not_trained(experiment)
        _train(experiment, scale, seeds, store or Path("store"), out, racing, where)


def _refuse_what_is_not_trained(experiment: str) -> None:
    """Say which experiments can be trained.

    Raises:
        ConfigError: for all others.
    """
    if experiment in TRAINED:
        return
    from descentlab.paper.exhibits import chosen

    chosen(experiment)  # a misspelt name is told as such
    raise ConfigError(
        f"{experiment}: only {' and '.join(TRAINED)} can be trained here; add --from-store STORE "
        "or --from-released DIR to draw it from runs that are there"
    )


def _train(
    experiment: str,
    scale: str,
    seeds: int,
    store: Path,
    out: Path | None,
    racing: bool,
    where: Where,
) -> None:
    import time

    from descentlab.cli.progress import Screen, duration
    from descentlab.cli.running import drive, executor_at
    from descentlab.contests.contest import Laboratory, Stage, judging_seeds
    from descentlab.contests.report import write
    from descentlab.paper import constant_variance, table1
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
