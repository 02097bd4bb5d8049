"""``descent reproduce``: experiments of the paper, trained here or drawn from stored runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from descentlab.cli.where import Where
from descentlab.errors import ConfigError

Scale = Literal["tiny", "laptop", "workstation", "paper"]


def reproduce(
    experiment: Annotated[str, tyro.conf.Positional],
    *,
    from_released: Path | None = None,
    from_store: Path | None = None,
    study: str | None = None,
    scale: Scale = "laptop",
    seeds: int = 3,
    store: Path | None = None,
    out: Path | None = None,
    racing: bool = True,
    where: Annotated[Where, tyro.conf.OmitArgPrefixes] = Where(),  # noqa: B008 frozen
) -> None:
    """Reproduce a table or figure of the paper, an experiment, or all.

    The runs that it needs are trained, all at once, and then it is drawn of these runs, with
    verdicts on the claims that they bear on. Finished runs are kept, equal ones trained once: stop
    it at any time, and the same command goes on. descent plan says before what it takes.

    Names are table1 to table3, fig1 to fig21, constant-variance, longer, the experiments E1 to E10,
    and all. table1 and constant-variance are contests: every method is tuned on its own grid with
    the same number of trials, and the winners run with fresh seeds; at --scale paper, table1 is the
    paper's own grids. Figures 6, 7 and from 18 on need no runs.

    With --from-released or --from-store nothing is trained: the tables and figures are drawn from
    the paper's released runs, or from a store's.

    Args:
        experiment: table1 compares the paper's seven methods, fig2 shows Adam's betas, E6 is the
            batch sizes, and so on; docs/experiments.md lists them.
        from_released: draw from the released files in this folder, a clone of
            github.com/aorvieto/SecretSauce; they are imported through a gate that executes nothing.
        from_store: draw from the runs of this store.
        study: draw from the runs of this study of the store alone.
        scale: laptop takes minutes on two cores; tiny seconds, and proves only that everything
            works; workstation hours on a GPU; paper has the paper's settings.
        seeds: fresh seeds per winner, on top of the one used for tuning.
        store: the folder of runs to train into, or to import into; store by default, and a
            temporary one for the released files.
        out: the folder for tables and figures; results/<experiment>-<scale>, or
            results/<experiment>-released or -stored, by default.
        racing: stop runs in a contest's tuning that cannot win, by rules that are the same for all
            methods; --no-racing trains every one to its end. The grids of figures are never raced,
            nor is anything at scale tiny.
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
        _train(experiment, scale, seeds, store or Path("store"), out, racing, where)


def _train(
    name: str,
    scale: Scale,
    seeds: int,
    store: Path,
    out: Path | None,
    racing: bool,
    where: Where,
) -> None:
    from descentlab.cli.laboratory import laboratory_at
    from descentlab.cli.progress import Screen
    from descentlab.cli.reproducing import hold_alone, reproduce_wanted
    from descentlab.paper.scales import SCALES
    from descentlab.paper.wanted import wanted

    asked, racing = wanted(name, SCALES[scale]), racing and SCALES[scale].raced
    screen = Screen()
    laboratory = laboratory_at(
        name, store=store, seeds=seeds, racing=racing, where=where, screen=screen
    )
    folder = out or Path("results") / f"{asked.name}-{scale}"
    if asked.contests and not asked.exhibits:
        hold_alone(asked.contests[0], scale, laboratory, folder, screen)
    else:
        reproduce_wanted(asked, SCALES[scale], laboratory, folder, screen)
