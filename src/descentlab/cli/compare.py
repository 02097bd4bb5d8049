"""``descent compare``: anybody's optimizers against one another, fairly."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from descentlab.cli.meeting import Scale, meeting
from descentlab.cli.where import Where


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
    from descentlab.contests.compare import compare
    from descentlab.contests.comparison_page import sections
    from descentlab.contests.comparison_report import write
    from descentlab.web.report import write_report

    began = time.monotonic()
    screen = Screen()
    met = meeting("compare", candidates, scale, spec)
    laboratory = laboratory_at(
        "compare", store=store, seeds=seeds, racing=racing, where=where, screen=screen
    )
    outcomes = admit(met.candidates, despite_failures=despite_failures, say=screen.tell)
    found = compare(met.candidates, met.design, met.grid, laboratory)
    title, folder = f"Optimizers compared at {met.on}", out or met.folder
    text = write(
        found,
        outcomes,
        title=title,
        purpose=met.purpose,
        store=laboratory.store,
        out=folder,
        warn=laboratory.warn,
    )
    extras = Extras(title=title, sections=sections(found, outcomes))
    write_report(laboratory.store, folder / "report.html", study=found.name, extras=extras)
    print(text)
    screen.tell(f"written to {folder}; took {duration(time.monotonic() - began)}")
