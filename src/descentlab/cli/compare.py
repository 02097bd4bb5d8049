"""``descent compare``: anybody's optimizers against one another, fairly."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from descentlab.cli.where import Where

if TYPE_CHECKING:
    from descentlab.contests.contest import Design
    from descentlab.contests.search_space import Grid

Scale = Literal["tiny", "laptop", "workstation"]
LONGEST = 60
"""Letters of candidates' names in the name of a folder."""


def compare(
    candidates: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[CANDIDATE ...]")
    ],
    *,
    scale: Scale = "laptop",
    spec: Path | None = None,
    seeds: int = 3,
    store: Path = Path("store"),
    out: Path | None = None,
    racing: bool = True,
    despite_failures: bool = False,
    where: Annotated[Where, tyro.conf.OmitArgPrefixes] = Where(),  # noqa: B008 frozen
) -> None:
    """Compare optimizers: yours, torch's, anybody's, and the paper's methods.

    Every class goes through the conformance kit first. Then each candidate is tuned with as many
    trials as every other, the winners run with fresh seeds that are the same for all, and the
    result is a ranked table with intervals, verdicts, costs and an audit, in Markdown, CSV and
    JSON, with figures, and a report of it all as one page. Finished runs are kept: stop it at any
    time, and the same command goes on.

    docs/compare.md walks from a file of your own to the table.

    Args:
        candidates: adam, signum, rmsprop, emasign, signsgd, sgd+Gclip, sgd+Cclip or sgd; a class,
            as in torch.optim.Muon, my_file.py:MyOptimizer or
            "torch.optim:AdamW,betas=(0.9,0.95)"; or a TOML file.
        scale: laptop takes minutes on two cores; tiny takes a minute or two and proves only that
            everything works; workstation takes hours on a GPU.
        spec: a run's TOML file to compare on, instead of the scale's model, data and budget; its
            table optimizer is not looked at.
        seeds: fresh seeds per winner, on top of the one used for tuning.
        store: the folder of runs to train into.
        out: the folder for table and figures; results/compare-<candidates>-<scale> by default.
        racing: stop runs in tuning that cannot win, by rules that are the same for all methods;
            --no-racing trains every one to its end.
        despite_failures: go on though a candidate fails a check on which a comparison rests; the
            result says so.
        where: where runs are computed.
    """
    from descentlab.analysis.report.gathering import Extras
    from descentlab.cli.laboratory import laboratory_at
    from descentlab.cli.progress import Screen, duration
    from descentlab.contests.admission import admit
    from descentlab.contests.candidate import read_candidates
    from descentlab.contests.compare import compare, design_of
    from descentlab.contests.comparison_page import sections
    from descentlab.contests.comparison_report import write
    from descentlab.paper.table1 import SCALES
    from descentlab.web.report import write_report

    began = time.monotonic()
    screen = Screen()
    known = SCALES[scale]
    paper = methods_at(scale)
    grid = grid_of(paper)
    read = read_candidates(candidates, own=paper.entries, grid=grid)
    run = known.run if spec is None else settings_of(spec)
    design = design_of(read, run, paper.rules, f"compare-{scale}")
    laboratory = laboratory_at(
        "compare", store=store, seeds=seeds, racing=racing, where=where, screen=screen
    )
    outcomes = admit(read, despite_failures=despite_failures, say=screen.tell)
    found = compare(read, design, grid, laboratory)
    title = f"Optimizers compared at {f'scale {scale}' if spec is None else spec}"
    folder = out or folder_for("compare", [each.name for each in read], scale, spec)
    text = write(
        found,
        outcomes,
        title=title,
        purpose=known.purpose if spec is None else f"Model, data and budget are those of {spec}.",
        store=laboratory.store,
        out=folder,
        warn=laboratory.warn,
    )
    extras = Extras(title=title, sections=sections(found, outcomes))
    write_report(laboratory.store, folder / "report.html", study=found.name, extras=extras)
    print(text)
    screen.tell(f"written to {folder}; took {duration(time.monotonic() - began)}")


def methods_at(scale: Scale) -> Design:
    """The laboratory's own methods with their grids at a scale, SignSGD among them."""
    from dataclasses import replace

    from descentlab.contests.contest import Entry
    from descentlab.paper.table1 import design

    whole = design(scale)
    signum = whole.entries["signum"]
    optimizer = {"method": "signsgd", "weight_decay": 0.1, "clip_norm": 1.0}
    middle = sorted(signum.axes[0].values)[len(signum.axes[0].values) // 2]
    axes = (grid_of(whole).around(middle, alone=True),)
    signsgd = Entry(optimizer=optimizer, axes=axes)
    return replace(whole, entries={**whole.entries, "signsgd": signsgd})


def grid_of(design: Design) -> Grid:
    """How fine the searches of a design are, by that of adam."""
    from descentlab.contests.search_space import Grid

    lrs, decays = design.entries["adam"].axes
    return Grid(len(lrs.values), tuple(decays.values))


def settings_of(spec: Path) -> dict[str, Any]:
    """A run's settings but for its optimizer and seed.

    Raises:
        ConfigError: for a file that no run can be made of.
    """
    from descentlab.config import read_toml
    from descentlab.train.spec import run_spec

    settings = read_toml(spec)
    stand_in = {"method": "signsgd", "lr": 1.0}
    run_spec({**settings, "optimizer": stand_in, "probes": None}, where=str(spec))
    return {
        key: value for key, value in settings.items() if key not in ("optimizer", "seed", "probes")
    }


def folder_for(command: str, names: Sequence[str], scale: str, spec: Path | None) -> Path:
    """Where a command's results go by default."""
    listed = re.sub(r"[^A-Za-z0-9+._-]+", "_", "-".join(names))[:LONGEST]
    return Path("results") / f"{command}-{listed}-{spec.stem if spec else scale}"
