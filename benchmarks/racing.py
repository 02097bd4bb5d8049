"""Racing and its peers over stored sweeps at equal cost, for docs/racing.md.

    descent import secretsauce CLONE STORE        # or a store of your own
    python benchmarks/racing.py STORE [--seeds 20] [--tpe-seeds 20] [--cells 90] [--peers NAME …]

Every peer gets, on each sweep, the budget that racing spent there on average. Peers have
several variants; the one is shown that has the lowest mean regret over these very sweeps,
which flatters them, whereas racing has its default rules. Needs the packages of the extra
``peers``; takes some minutes on one core for the paper's released runs.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from descentlab.cli.table import aligned
from descentlab.runs.store import Store
from descentlab.sweep.racing.asha import ASHA
from descentlab.sweep.racing.curve import WORST
from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.median import Median
from descentlab.sweep.racing.racing import Racing, Rules
from descentlab.sweep.racing.random_search import RandomSearch
from descentlab.sweep.racing.rungs import WINDOW
from descentlab.sweep.racing.scheduler import Scheduler
from descentlab.sweep.racing.successive_halving import SuccessiveHalving
from descentlab.sweep.recorded import RecordedSweep, imported_runs, recorded_runs, sweeps_of
from descentlab.sweep.replay import Score, racing_by, score

try:
    import optuna
except ImportError:
    raise SystemExit("needs optuna; install the extra: pip install 'descentlab[peers]'") from None

RUNGS = (1, 3, 9, 27)
"""Where Hyperband may stop a trial, in 27ths of the budget."""
FREE = 50
"""Trials in a row that land on what was trained before; then the sampler has converged."""


class TPEHyperband(Scheduler):
    """Optuna's TPE with its Hyperband pruner, one trial at a time.

    The sampler draws ranks along the axes; a cell that is missing is replaced by the nearest
    one that exists. What was trained before is told again at no cost.
    """

    name = "tpe-hyperband"

    def __init__(
        self,
        cells: Sequence[Cell],
        axes: Mapping[str, Kind],
        *,
        seed: int = 0,
        budget: float = 1.0,
        multivariate: bool = False,
    ) -> None:
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=multivariate)
        pruner = optuna.pruners.HyperbandPruner(
            min_resource=RUNGS[0], max_resource=RUNGS[-1], reduction_factor=3
        )
        self._study = optuna.create_study(study_name=f"seed-{seed}", sampler=sampler, pruner=pruner)
        super().__init__(cells, axes, seed=seed, budget=budget)

    def _begin(self) -> None:
        self._sample()

    def _advance(self, key: str) -> None:
        if not self._walk():
            self._sample()

    def _sample(self) -> None:
        """Draw trials until one has to be trained; none if the budget is spent."""
        for _ in range(FREE):
            self._trial = self._study.ask()
            self._key = self._drawn()
            self._rung = 0
            if self._walk():
                return

    def _drawn(self) -> str:
        keys = list(self.grid.cells)
        width = len(self.grid.place(keys[0]))
        highest = [max(self.grid.place(key)[n] for key in keys) for n in range(width)]
        place = [self._trial.suggest_int(str(n), 0, high) for n, high in enumerate(highest)]
        return min(keys, key=lambda key: math.dist(place, self.grid.place(key)))

    def _walk(self) -> bool:
        """Take the trial as far as it goes; True if training is asked for, or too dear."""
        while self._rung < len(RUNGS):
            fraction = RUNGS[self._rung] / RUNGS[-1]
            if not self._diverged(self._key) and self.reached(self._key) < fraction - 1e-9:
                self._want(self._key, fraction)
                return True
            loss = self.curve(self._key).smoothed(fraction, WINDOW)
            self._trial.report(min(loss, WORST), RUNGS[self._rung])
            self._rung += 1
            if self._rung < len(RUNGS) and self._trial.should_prune():
                self._study.tell(self._trial, state=optuna.trial.TrialState.PRUNED)
                return False
        self._study.tell(self._trial, min(self.final(self._key), WORST))
        return False


PEERS: dict[str, tuple[type[Scheduler], list[dict[str, Any]]]] = {
    "random search": (RandomSearch, [{}]),
    "successive halving": (
        SuccessiveHalving,
        [{"first": f, "eta": e} for f, e in ((1 / 27, 3), (1 / 9, 3), (0.05, 2), (0.1, 2))],
    ),
    "ASHA": (
        ASHA,
        [{"first": f, "eta": e} for f, e in ((1 / 27, 3), (1 / 9, 3), (0.05, 2), (0.1, 2))],
    ),
    "median rule": (Median, [{"every": 0.1}, {"every": 0.05}, {"every": 0.1, "startup": 10}]),
    "TPE with Hyperband": (TPEHyperband, [{}, {"multivariate": True}]),
}


def peer(
    sweep: RecordedSweep,
    kind: type[Scheduler],
    options: Mapping[str, Any],
    budget: float,
    seeds: Sequence[int],
) -> Score:
    """A peer's replays of one sweep."""

    def make(cells: Sequence[Cell], axes: Mapping[str, Kind], seed: int) -> Scheduler:
        return kind(cells, axes, seed=seed, budget=budget, **options)

    return score(sweep, make, seeds)


def row(name: str, scores: Sequence[Score]) -> list[str]:
    """One line of the table: each sweep's cost and regret, and their means."""
    cost = statistics.fmean(each.cost for each in scores)
    regret = statistics.fmean(each.regret for each in scores)
    cells = [f"{each.cost:.3f} / {each.regret:.3f}" for each in scores]
    return [name, *cells, f"{cost:.3f} / {regret:.3f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Racing and its peers at equal cost")
    parser.add_argument("store", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cells", type=int, default=90)
    parser.add_argument("--tpe-seeds", type=int, default=20, help="it takes seconds a replay")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=[*PEERS])
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    store = Store(options.store)
    runs = [*recorded_runs(store, print), *imported_runs(store)]
    sweeps = [each for each in sweeps_of(runs) if len(each.cells) >= options.cells]
    seeds = range(options.seeds)
    began = time.perf_counter()
    raced = [score(each, racing_by(Rules()), seeds) for each in sweeps]
    lines = [row(Racing.name, raced)]
    for name in options.peers:
        kind, variants = PEERS[name]
        found = []
        mine_seeds = seeds[: options.tpe_seeds] if kind is TPEHyperband else seeds
        for variant in variants:
            scores = [
                peer(sweep, kind, variant, mine.cost, mine_seeds)
                for sweep, mine in zip(sweeps, raced, strict=True)
            ]
            found.append((statistics.fmean(each.regret for each in scores), variant, scores))
            print(name, variant, row(name, scores), flush=True)
        _, variant, scores = min(found, key=lambda each: each[0])
        shown = " ".join(f"{key}={value:.3g}" for key, value in variant.items())
        lines.append(row(f"{name} {shown}".strip(), scores))
    names = [f"{each.name} ({len(each.cells)})" for each in sweeps]
    print(aligned(["cost / regret", *names, "mean"], lines))
    seconds = time.perf_counter() - began
    print(
        f"{options.seeds} seeds, {options.tpe_seeds} for TPE; {seconds:.0f} s; "
        f"optuna {optuna.__version__}"
    )


if __name__ == "__main__":
    main()
