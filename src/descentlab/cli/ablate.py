"""``descent ablate``: does a ranking survive its nuisance settings?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from descentlab.cli.meeting import Scale, meeting
from descentlab.cli.where import Where
from descentlab.errors import ConfigError

METHODS = ("adam", "signum", "rmsprop", "emasign", "sgd+Gclip")
"""What is ablated if nothing is named."""


def ablate(
    methods: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[METHOD ...]")
    ] = (),
    *,
    scale: Scale = "laptop",
    spec: Path | None = None,
    seeds: int = 3,
    retune: bool = False,
    store: Path = Path("store"),
    out: Path | None = None,
    racing: bool = True,
    where: Annotated[Where, tyro.conf.OmitArgPrefixes] = Where(),  # noqa: B008 frozen
) -> None:
    """Switch the settings that nobody compares, one by one: does the ranking survive?

    Each method is tuned as descent compare does; what its store has is not trained again. Then
    the start of averages, bias correction, the learning rate's floor, the clipping, the coupling of
    weight decay and the precision are switched, each in every method that has it, with the same
    fresh seeds. The result is a table of paired changes with intervals, the ranking under each
    switch and whether it survives, in Markdown, CSV and JSON, with a figure.

    Args:
        methods: as for descent compare; adam, signum, rmsprop, emasign and sgd+Gclip by default.
        scale: laptop takes minutes on two cores; tiny takes less than one and proves only that
            everything works; workstation takes hours on a GPU.
        spec: a run's TOML file, as for descent compare.
        seeds: fresh seeds per method and switch.
        retune: choose a switched method's learning rate anew, among half, once and twice the best.
        store: the folder of runs to train into.
        out: the folder for table and figure; results/ablate-<methods>-<scale> by default.
        racing: stop runs in tuning that cannot win.
        where: where runs are computed.
    """
    from descentlab.cli.laboratory import laboratory_at
    from descentlab.cli.progress import Screen, duration
    from descentlab.contests.ablation import ablate
    from descentlab.contests.ablation_report import write
    from descentlab.contests.admission import admit
    from descentlab.contests.compare import entered
    from descentlab.contests.scan import centre

    began = time.monotonic()
    screen = Screen()
    if len(methods) == 1:
        raise ConfigError(f"ablate: got {methods[0]} alone; a ranking needs two methods or more")
    met = meeting("ablate", methods or METHODS, scale, spec)
    laboratory = laboratory_at(
        "ablate", store=store, seeds=seeds, racing=racing, where=where, screen=screen
    )
    admit(met.candidates, despite_failures=False, say=screen.tell)
    centred = centre(met.candidates, met.design, met.grid, laboratory)
    found = ablate(entered(met.design, centred), laboratory, retune=retune)
    rates = "Learning rates are chosen anew under each switch, among three." if retune else (
        "Learning rates are those of the baseline; --retune chooses them anew.")  # fmt: skip
    title, folder = f"Nuisance settings switched at {met.on}", out or met.folder
    print(write(found, title=title, purpose=f"{met.purpose} {rates}", out=folder))
    screen.tell(f"written to {folder}; took {duration(time.monotonic() - began)}")
