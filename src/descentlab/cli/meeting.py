"""Optimizers that meet at a scale, or on a run of one's own: what compare and ablate share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from descentlab.contests.candidate import Candidate
    from descentlab.contests.contest import Design
    from descentlab.contests.search_space import Grid

Scale = Literal["tiny", "laptop", "workstation"]
LONGEST = 60
"""Letters of candidates' names in the name of a folder."""


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Who meets, and on what."""

    candidates: Sequence[Candidate]
    design: Design
    grid: Grid
    """How fine a search is where nobody says otherwise."""
    on: str
    """What they meet on, for titles."""
    purpose: str
    """What can be told there, for people."""
    folder: Path
    """Where the results go by default."""


def meeting(command: str, texts: Sequence[str], scale: Scale, spec: Path | None) -> Meeting:
    """Read who meets, and design their contest.

    Args:
        command: that is given.
        texts: one for each candidate.
        scale: whose model, data, budget and grids to take.
        spec: a run's file, whose model, data and budget to take instead.

    Raises:
        ConfigError: for a candidate that cannot enter, or a file that no run can be made of.
    """
    from descentlab.contests.candidate import read_candidates
    from descentlab.contests.compare import design_of
    from descentlab.paper.table1 import SCALES

    known, paper = SCALES[scale], methods_at(scale)
    grid = grid_of(paper)
    candidates = read_candidates(texts, own=paper.entries, grid=grid)
    run = known.run if spec is None else settings_of(spec)
    return Meeting(
        candidates=candidates,
        design=design_of(candidates, run, paper.rules, f"{command}-{scale}"),
        grid=grid,
        on=f"scale {scale}" if spec is None else str(spec),
        purpose=known.purpose if spec is None else f"Model, data and budget are those of {spec}.",
        folder=folder_for(command, [each.name for each in candidates], scale, spec),
    )


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
