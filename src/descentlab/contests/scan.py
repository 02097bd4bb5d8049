"""Where a candidate's learning rates lie, if nobody has said: a scan before the tuning.

A few learning rates at ratios of 4 around the constructor's default, all else at its default; while
the best lies on an edge, the scan goes on there. Its best is the centre of the candidate's grid.
The grids of the laboratory's own methods were centred likewise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from descentlab.config import digest
from descentlab.contests.candidate import Candidate
from descentlab.contests.contest import TUNING_SEED, Design, Laboratory, Stage, loss_of
from descentlab.contests.search_space import Grid
from descentlab.runs.identity import Run
from descentlab.sweep.tuning import rounded

RATIO = 4.0
REACH = 2
"""Steps of the scan on each side of the default."""
FURTHER = 6
"""Steps that it goes on at most, two at a time."""


class Scan:
    """One candidate's: which learning rates to try next, by what is known of those tried."""

    def __init__(self, start: float) -> None:
        self._start = start
        self.losses: dict[int, float] = {}
        """By step from the start."""
        self._further = 0

    def ask(self) -> list[int]:
        """Steps to try; none once the best lies inside."""
        if not self.losses:
            return list(range(-REACH, REACH + 1))
        best, steps = self._best, sorted(self.losses)
        if self._further == FURTHER or best not in (steps[0], steps[-1]):
            return []
        self._further += 2
        return [best + 1, best + 2] if best == steps[-1] else [best - 1, best - 2]

    def lr(self, step: int) -> float:
        return rounded(self._start * RATIO**step)

    @property
    def best(self) -> float:
        """The learning rate with the lowest loss."""
        return self.lr(self._best)

    @property
    def _best(self) -> int:
        return min(self.losses, key=lambda step: (self.losses[step], step))


def centre(
    candidates: Sequence[Candidate], design: Design, grid: Grid, laboratory: Laboratory
) -> list[Candidate]:
    """Return the candidates with learning rates for all, after scanning for those without.

    Args:
        candidates: all who meet.
        design: of their meeting; its entries are not looked at.
        grid: how fine a search is.
        laboratory: trains the scan.
    """
    scans = {each.name: Scan(each.centre) for each in candidates if each.centre is not None}
    by_name = {each.name: each for each in candidates}
    while asked := {name: steps for name, each in scans.items() if (steps := each.ask())}:
        runs: dict[tuple[str, int], Run] = {}
        labels: dict[str, str] = {}
        for name, steps in asked.items():
            for step in steps:
                lr = scans[name].lr(step)
                settings = {**by_name[name].entry.optimizer, "lr": lr}
                whole = {**design.run, "optimizer": settings, "seed": TUNING_SEED}
                run = laboratory.resolve(whole, f"{design.name}, {name}")
                runs[name, step] = run
                labels[run.run_id] = f"{name} lr={lr:g}"
        _register(design.name, runs, scans, laboratory)
        unique = list({run.run_id: run for run in runs.values()}.values())
        results = laboratory.execute(Stage(name="scan", runs=unique, labels=labels))
        for (name, step), run in runs.items():
            scans[name].losses[step] = loss_of(results[run.run_id])
    for name, scan in scans.items():
        if math.isinf(min(scan.losses.values())):
            laboratory.warn(f"{name}: diverged at every learning rate of its scan")
    return [
        each.centred(scans[each.name].best, grid) if each.name in scans else each
        for each in candidates
    ]


def _register(
    name: str,
    runs: Mapping[tuple[str, int], Run],
    scans: Mapping[str, Scan],
    laboratory: Laboratory,
) -> None:
    """Put a scan on record, as an experiment of its own: its runs are no part of the tuning."""
    listed = [
        {"method": of, "lr": scans[of].lr(step), "seed": TUNING_SEED, "run_id": run.run_id}
        for (of, step), run in runs.items()
    ]
    content = {"experiment": f"{name}-scan", "stage": "scan", "runs": listed}
    laboratory.store.register_study(f"{name}-scan-{digest(content)[:8]}", content)
