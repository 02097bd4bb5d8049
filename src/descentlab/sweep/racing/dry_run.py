"""Dry runs of races: which share of the grid's price they take where losses are made up.

The schedulers are those of the live sweep. The losses of a dry run fall to a bowl over the ranks
of the axes, whose bottom is drawn at random. Real losses have other shapes, so a race may take
more or less of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from descentlab.seeding import derived_seed
from descentlab.sweep.racing.curve import Curve
from descentlab.sweep.racing.grid import Grid
from descentlab.sweep.racing.replicates import Replicates
from descentlab.sweep.racing.scheduler import Report

POINTS = 200
"""Steps of a made-up run."""
STEP_NOISE = 0.05
"""Nats: the standard deviation of a single step's loss."""
DEPTH, TILT = 0.02, 0.06
"""Nats: of a bowl, for one rank off its bottom; and by which a learning rate that is a rank higher
looks worse before it is annealed."""


def dry_run(races: Sequence[Replicates], seed: int) -> float:
    """Race made-up losses to the end, and return the share of the price of all grids.

    Args:
        races: that nothing was told yet.
        seed: of the bowls and the noise.
    """
    random = np.random.default_rng(derived_seed(seed, "dry run"))
    for race in races:
        grid = race.race.grid
        finals = _bowl(grid, random)
        while legs := race.ask():
            for key, until in legs:
                loss = finals.get(key, 3.0)  # with its other seeds a run costs the same anyhow
                curve = _curve(loss, TILT * _rank(grid, key), until, random)
                race.tell(key, Report(until, curve, loss if until >= 1 else None))
    return sum(race.spent for race in races) / sum(race.price for race in races)


def _bowl(grid: Grid, random: np.random.Generator) -> dict[str, float]:
    """Final losses: higher with the squared distance, in ranks, from a random bottom."""
    places = np.array([grid.place(key) for key in grid.cells], float).reshape(len(grid.cells), -1)
    bottom = random.uniform(0, 1, places.shape[1]) * places.max(0)
    losses = 3.0 + DEPTH * ((places - bottom) ** 2).sum(1)
    return dict(zip(grid.cells, losses.tolist(), strict=True))


def _rank(grid: Grid, key: str) -> int:
    """How many of the grid's learning rates are below a cell's."""
    if key not in grid.cells:
        return 0
    return len({grid.rate(other) for other in grid.cells if grid.rate(other) < grid.rate(key)})


def _curve(loss: float, tilt: float, until: float, random: np.random.Generator) -> Curve:
    fractions = np.arange(1, POINTS + 1) / POINTS
    fractions = fractions[fractions <= until + 1e-9]
    level = 1.5 * (1 - fractions) ** 3 + tilt * (1 - fractions)
    return Curve(fractions, loss + level + STEP_NOISE * random.standard_normal(len(fractions)))
