"""Races on made-up curves, in milliseconds: what a cell's loss is at any time is a formula."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from descentlab.sweep.racing.curve import Curve
from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.scheduler import Leg, Report, Scheduler

AXES: dict[str, Kind] = {"lr": "rate", "beta1": "decay", "beta2": "decay"}
LRS = (0.5, 1.0, 2.0, 4.0, 8.0)
BETAS = (0.6, 0.8, 0.9, 0.95, 0.975)

S = TypeVar("S", bound=Scheduler)

Final = Callable[[Mapping[str, float]], float]
"""From a cell's values to its final loss; infinite if it diverges."""


def grid(lrs=LRS, betas=BETAS, **changes) -> list[Cell]:
    return [
        Cell(
            key=f"{lr:g}/{beta1:g}/{beta2:g}",
            point={"lr": lr, "beta1": beta1, "beta2": beta2},
            **changes,
        )
        for lr in lrs
        for beta1 in betas
        for beta2 in betas
    ]


def bowl(lr=2.0, beta1=0.9, beta2=0.9, depth=3.0) -> Final:
    """A loss with its only minimum at the given point."""

    def final(point: Mapping[str, float]) -> float:
        steps = [math.log2(point["lr"] / lr)]
        steps += [
            math.log2((1 - point[n]) / (1 - b)) for n, b in (("beta1", beta1), ("beta2", beta2))
        ]
        return depth + 0.02 * sum(step**2 for step in steps)

    return final


class ToyRuns:
    """Trains cells on demand: losses fall to the final one as annealing goes on.

    The loss of a high learning rate is above its course until late, as under a cosine.

    Args:
        final: loss by point.
        noise: standard deviation of a single step.
        seed: of the noise.
        early: the fraction at which a run that diverges does so.
    """

    def __init__(self, final: Final, *, noise=0.0, seed=0, early=0.5, steps=200) -> None:
        self.final, self.noise, self.seed, self.early = final, noise, seed, early
        self.steps = steps
        self.legs: list[Leg] = []
        self.reports: list[tuple[str, Report]] = []

    def report(self, cell: Cell, until: float) -> Report:
        point = {name: float(value) for name, value in cell.point.items()}
        loss = self.final(point)
        if not math.isfinite(loss):
            until = min(until, self.early)
        fractions = np.arange(1, self.steps + 1) / self.steps
        fractions = fractions[fractions <= until + 1e-9]
        level = 1.5 * (1 - fractions) ** 3 + 0.06 * math.log2(point["lr"] + 1) * (1 - fractions)
        random = np.random.default_rng([self.seed, zlib.crc32(cell.key.encode())])
        losses = (loss if math.isfinite(loss) else 9.0) + level
        losses = losses + self.noise * random.standard_normal(self.steps)[: len(losses)]
        if not math.isfinite(loss) and until >= self.early:
            return Report(until, Curve(fractions, losses), diverged=True)
        return Report(until, Curve(fractions, losses), loss if until >= 1 else None)

    def race(self, scheduler: S, *, at_once: int | None = None) -> S:
        """Run a scheduler to its end, so many legs at once."""
        while legs := scheduler.ask():
            for leg in legs[:at_once]:
                report = self.report(scheduler.grid.cells[leg.key], leg.until)
                self.legs.append(leg)
                self.reports.append((leg.key, report))
                scheduler.tell(leg.key, report)
        return scheduler


def told(scheduler: S, reports: Sequence[tuple[str, Report]]) -> S:
    """A scheduler that is told what is on record."""
    for key, report in reports:
        scheduler.tell(key, report)
    return scheduler
