"""What racing rests on: a loss in training ranks runs of one learning rate, and misleads between.

Spearman's rank correlation of the mean training loss over the last fifth before a point of the
run with the final held-out loss, in the paper's released grids of Adam.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from oracles.pickles import RELEASED

from descentlab.analysis import load, load_curves
from descentlab.analysis.imports.importing import import_released
from descentlab.runs.store import Store

pytestmark = pytest.mark.skipif(
    not RELEASED.is_dir(), reason="needs the paper's released files, in DESCENTLAB_RELEASED_RUNS"
)
LARGEST = "Adam_160M_SP_SL2048_3Btok_BS256"
SWEEPS = (
    LARGEST,
    "Adam_160M_SP_SL2048_2Btok_BS128",
    "Adam_160M_SP_SL2048_2Btok_BS256",
    "Adam_160M_FW_SL2048_3Btok_BS256",
)
POINTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
FEWEST = 8
"""Runs with one learning rate; fewer have no ranks to speak of."""


@pytest.fixture(scope="module")
def correlations(tmp_path_factory) -> dict[str, pd.DataFrame]:
    """Of each sweep, by point: among all runs, the best quarter, and runs of one learning rate."""
    store = Store(tmp_path_factory.mktemp("released") / "store", create=True)
    import_released(RELEASED, store, lambda step: None)
    runs = load(store)
    runs = runs[runs["sweep"].isin(SWEEPS) & (runs["method"] == "adam") & ~runs["diverged"]]
    curves = dict(list(load_curves(store, runs["run"]).groupby("run")))
    found = {}
    for sweep in SWEEPS:
        mine = runs[runs["sweep"] == sweep]
        table = pd.DataFrame(index=list(POINTS), columns=["all", "best quarter", "one lr"])
        for point in POINTS:
            early = [_before(curves[run], point) for run in mine["run"]]
            ranked = mine.assign(early=early)[["lr", "early", "loss"]]
            best = ranked[ranked["loss"] <= ranked["loss"].quantile(0.25)]
            same = [each for _, each in ranked.groupby("lr") if len(each) >= FEWEST]
            among = [_rank(ranked), _rank(best), float(np.mean([_rank(each) for each in same]))]
            table.loc[point] = among
        found[sweep] = table.astype(float)
        print(f"\n{sweep}: {len(mine)} runs\n{found[sweep].round(2)}")
    return found


def _before(curve: pd.DataFrame, point: float) -> float:
    fractions, losses = curve["fraction"].to_numpy(), curve["loss"].to_numpy()
    return float(losses[(fractions > 0.8 * point) & (fractions <= point)].mean())


def _rank(runs: pd.DataFrame) -> float:
    return float(runs["early"].corr(runs["loss"], method="spearman"))


@pytest.mark.parametrize("sweep", SWEEPS)
def test_runs_of_one_learning_rate_are_ranked_better_than_the_best_runs(sweep, correlations):
    table = correlations[sweep]
    assert (table["one lr"] - table["best quarter"]).min() > 0.1


def test_among_the_best_quarter_the_ranks_are_reversed_until_late(correlations):
    table = correlations[LARGEST]
    assert table["all"].min() > 0.6
    assert table.loc[0.4:0.6, "best quarter"].max() < 0
    assert table["one lr"].min() > 0.6
