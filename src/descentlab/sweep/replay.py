"""A scheduler on stored curves: what it would have cost, and what it would have lost.

The scheduler is the one that decides in live sweeps. A replay hands it, of each stored curve,
what it has asked for and no more. The seed of a replay draws which points of each curve are
seen, in which order cells stand, and the random choices of a scheduler that makes any.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from descentlab.errors import ConfigError
from descentlab.seeding import derived_seed
from descentlab.sweep.racing.choice import scheduler_named
from descentlab.sweep.racing.curve import Curve
from descentlab.sweep.racing.full_grid import FullGrid
from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.racing import Racing, Rules
from descentlab.sweep.racing.scheduler import Report, Scheduler
from descentlab.sweep.recorded import RecordedCell, RecordedSweep

SEEN = 0.7
"""Share of a curve's points that one replay sees, so that replays differ in their noise."""

Make = Callable[[Sequence[Cell], Mapping[str, Kind], int], Scheduler]
"""Makes a scheduler from cells, axes and a seed."""


CANDIDATES = tuple(
    Rules(first=first, window=window, polled=polled)
    for first in (0.03, 0.04, 0.05)
    for window in (0.3, 0.4)
    for polled in (2, 3)
)
"""Rules that leaving one sweep out chooses from."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One replay of one sweep."""

    cost: float
    """Share of the grid's price."""
    regret: float
    """Perplexity of the chosen cell, less that of the best; infinite if none was finished."""
    chosen: str | None


@dataclass(frozen=True, kw_only=True)
class Score:
    """Replays of one sweep, taken together."""

    sweep: str
    cells: int
    replays: Sequence[Replayed]

    @property
    def cost(self) -> float:
        """Mean share of the grid's price."""
        return statistics.fmean(each.cost for each in self.replays)

    @property
    def highest_cost(self) -> float:
        """The largest share of the grid's training that a replay took."""
        return max(each.cost for each in self.replays)

    @property
    def regret(self) -> float:
        """Mean regret in perplexity."""
        return statistics.fmean(each.regret for each in self.replays)

    @property
    def highest_regret(self) -> float:
        """The largest regret of a replay, in perplexity."""
        return max(each.regret for each in self.replays)

    @property
    def price(self) -> float:
        """One number to choose rules by: 1 for a cost of 0.2, and 1 for a regret of 0.1."""
        return self.cost / 0.2 + self.regret / 0.1


def replay(sweep: RecordedSweep, make: Make, seed: int, *, at_once: int = 8) -> Replayed:
    """Run a scheduler over a sweep's stored curves.

    Args:
        sweep: the stored curves.
        make: makes the scheduler.
        seed: of everything that is random.
        at_once: legs that the pool trains at a time.
    """
    random = np.random.default_rng(derived_seed(seed, "replay", sweep.name))
    shuffled = [sweep.cells[place] for place in random.permutation(len(sweep.cells))]
    runs = {each.cell.key: _thinned(each, random) for each in shuffled}
    scheduler = make([each.cell for each in shuffled], sweep.axes, seed)
    pool = _Pool(runs, at_once)
    while legs := scheduler.ask():
        key, report = pool.next_report(legs, scheduler.reached)
        scheduler.tell(key, report)
    best = scheduler.best()
    regret = math.inf
    if best is not None:
        regret = math.exp(runs[best].loss) - math.exp(sweep.best)
    return Replayed(cost=scheduler.cost, regret=regret, chosen=best)


class _Pool:
    """A pool whose clock is the training itself: of what runs, the leg that ends first is told."""

    def __init__(self, runs: Mapping[str, RecordedCell], at_once: int) -> None:
        self._runs = runs
        self._at_once = at_once
        self._clock = 0.0
        self._ends: dict[str, tuple[float, float]] = {}

    def next_report(
        self, legs: Sequence[tuple[str, float]], reached: Callable[[str], float]
    ) -> tuple[str, Report]:
        for key, until in legs:
            if len(self._ends) < self._at_once and key not in self._ends:
                cell = self._runs[key].cell
                self._ends[key] = (
                    self._clock + (until - reached(key)) * cell.budget,
                    until,
                )
        key = min(self._ends, key=lambda each: self._ends[each][0])
        self._clock, until = self._ends.pop(key)
        return key, self._report(self._runs[key], until)

    @staticmethod
    def _report(run: RecordedCell, until: float) -> Report:
        if until < 1:
            end = int(np.searchsorted(run.curve.fractions, until * (1 + 1e-9), side="right"))
            return Report(until, Curve(run.curve.fractions[:end], run.curve.losses[:end]))
        return Report(1.0, run.curve, run.loss, diverged=math.isinf(run.loss))


def _thinned(run: RecordedCell, random: np.random.Generator) -> RecordedCell:
    seen = random.random(run.curve.fractions.size) < SEEN
    return replace(run, curve=Curve(run.curve.fractions[seen], run.curve.losses[seen]))


def subgrid(sweep: RecordedSweep, seed: int) -> RecordedSweep:
    """The sweep without one value, drawn at random, of each axis that has more than three."""
    random = np.random.default_rng(derived_seed(seed, "subgrid", sweep.name))
    cells = list(sweep.cells)
    for name in sweep.axes:
        values = sorted({float(each.cell.point[name]) for each in sweep.cells})
        if len(values) > 3:
            without = random.choice(values)
            cells = [each for each in cells if float(each.cell.point[name]) != without]
    if not any(math.isfinite(each.loss) for each in cells):
        return sweep
    return replace(sweep, cells=cells)


def score(
    sweep: RecordedSweep, make: Make, seeds: Sequence[int], *, subgrids: bool = False
) -> Score:
    """Replay a sweep with many seeds, or a part of its grid with each.

    Raises:
        ConfigError: without seeds.
    """
    if not seeds:
        raise ConfigError("seeds: got 0; at least 1 is needed")
    replays = [replay(subgrid(sweep, seed) if subgrids else sweep, make, seed) for seed in seeds]
    return Score(sweep=sweep.name, cells=len(sweep.cells), replays=replays)


def racing_by(rules: Rules) -> Make:
    """Racing under some rules, for ``score``."""
    return lambda cells, axes, seed: Racing(cells, axes, seed=seed, rules=rules)


def at_equal_cost(
    sweep: RecordedSweep, names: Sequence[str], seeds: Sequence[int], *, subgrids: bool = False
) -> dict[str, Score]:
    """Replay a sweep under several schedulers, by name.

    Racing goes first, and what it spends on average is the budget of all others but the full
    grid.
    """
    raced = score(sweep, racing_by(Rules()), seeds, subgrids=subgrids)
    found = {}
    for name in names:
        if name == Racing.name:
            found[name] = raced
            continue
        kind = scheduler_named(name)
        budget = 1.0 if name == FullGrid.name else min(1.0, raced.cost)

        def make(
            cells: Sequence[Cell],
            axes: Mapping[str, Kind],
            seed: int,
            kind: type[Scheduler] = kind,
            budget: float = budget,
        ) -> Scheduler:
            return kind(cells, axes, seed=seed, budget=budget)

        found[name] = score(sweep, make, seeds, subgrids=subgrids)
    return found


@dataclass(frozen=True, kw_only=True)
class Held:
    """A sweep replayed under the rules that were best on all others."""

    rules: Rules
    whole: Score
    parts: Score
    """On parts of its grid."""


def leave_one_out(
    sweeps: Sequence[RecordedSweep],
    candidates: Sequence[Rules],
    seeds: Sequence[int],
    observe: Callable[[int, int], None] = lambda done, total: None,
) -> list[Held]:
    """Choose rules on all sweeps but one, and score them on that one; for each in turn.

    So no figure rests on rules that were chosen with its own curves.

    Args:
        sweeps: at least two.
        candidates: rules to choose from.
        seeds: of the replays.
        observe: told how many of how many scores are done.

    Raises:
        ConfigError: for fewer than two sweeps.
    """
    if len(sweeps) < 2:
        raise ConfigError(f"leaving one sweep out needs two; there is {len(sweeps)}")
    total, done = len(sweeps) * len(candidates), 0
    scores: list[list[tuple[Score, Score]]] = []
    for rules in candidates:
        scores.append([])
        for sweep in sweeps:
            make = racing_by(rules)
            pair = (score(sweep, make, seeds), score(sweep, make, seeds, subgrids=True))
            scores[-1].append(pair)
            done += 1
            observe(done, total)
    held = []
    for left_out in range(len(sweeps)):
        prices = [
            sum(a.price + b.price for place, (a, b) in enumerate(row) if place != left_out)
            for row in scores
        ]
        best = prices.index(min(prices))
        whole, parts = scores[best][left_out]
        held.append(Held(rules=candidates[best], whole=whole, parts=parts))
    return held
