"""Methods side by side, each with its best cell, judged by fresh seeds where there are any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import pandas as pd

from descentlab.analysis.comparison import Contender
from descentlab.analysis.tables.cells import best, cells, tuning_seeds

TUNED = ("lr", "beta1", "beta2", "weight_decay", "clip_norm", "coordinate_clip", "eps")
"""What a method may have been tuned over, in the order to show."""


def contenders(runs: pd.DataFrame, methods: Sequence[str]) -> list[Contender]:
    """What tuning found for each method that has a finished run.

    The losses are those of the best cell with fresh seeds, or, where it has none, with the
    seeds that chose it, which flatters it; ``choice`` has what it was chosen from then.

    Args:
        runs: from ``with_cells``, of one experiment.
        methods: in the order to return.
    """
    found = [
        contender
        for method in methods
        if (contender := _contender(method, runs[runs["method"].eq(method)])) is not None
    ]
    return [*found, *_twin(found, methods, runs)]


def _contender(method: str, runs: pd.DataFrame) -> Contender | None:
    if not len(runs):
        return None
    table = cells(runs)
    winner = best(table)
    if winner is None:
        return None
    of_winner = runs[runs["cell"].eq(winner["cell"]) & runs["state"].eq("done")]
    fresh = of_winner[~of_winner["seed"].isin(tuning_seeds(runs))]
    judged = (fresh if len(fresh) else of_winner).sort_values("seed")
    tuned = _tuned(table)
    return Contender(
        name=method,
        best={name: float(winner[name]) for name in tuned},
        losses=[float(loss) for loss in judged["loss"]],
        trials=len(table),
        diverged=int(runs["diverged"].sum()),
        runs=len(runs),
        edges=edges(table, winner, tuned),
        steps=None if pd.isna(winner["steps"]) else int(winner["steps"]),
        choice=() if len(fresh) else _losses(table["perplexity"].dropna()),
        seeds=tuple(judged["seed"]) if judged["seed"].ge(0).all() else (),
        run_ids=tuple(judged["run"]),
    )


def _losses(perplexities: pd.Series) -> list[float]:
    return [math.log(each) for each in perplexities]


def _tuned(table: pd.DataFrame) -> list[str]:
    """The settings that vary; the learning rate and β always."""
    varied = [name for name in TUNED if table[name].nunique(dropna=False) > 1]
    betas = [name for name in ("beta1", "beta2") if table[name].gt(0).any()]
    wanted = {"lr", *betas, *varied} & {name for name in TUNED if table[name].notna().all()}
    return [name for name in TUNED if name in wanted]


def edges(table: pd.DataFrame, cell: pd.Series, tuned: Sequence[str]) -> list[str]:
    """Where a cell lies on the edge of what was tried: ``high lr``, ``low beta2``, …

    An edge that nothing lies beyond, β = 0, is none.
    """
    found = []
    for name in ("lr", "beta1", "beta2"):
        values = table[name].dropna()
        if name not in tuned or values.nunique() < 2:
            continue
        if cell[name] == values.max():
            found.append(f"high {name}")
        elif cell[name] == values.min() and cell[name] > 0:
            found.append(f"low {name}")
    return found


def clipped_alike(runs: pd.DataFrame) -> bool:
    """Whether clipping by norm alone stands for clipping of coordinates too, as in our own runs."""
    clipped = runs[runs["method"].eq("sgd+Gclip")]
    return bool(len(clipped) and clipped["source"].eq("descentlab").all())


def _twin(found: list[Contender], methods: Sequence[str], runs: pd.DataFrame) -> list[Contender]:
    there = {each.name: each for each in found}
    if "sgd+Cclip" in {*methods} - {*there} and "sgd+Gclip" in there and clipped_alike(runs):
        return [replace(there["sgd+Gclip"], name="sgd+Cclip", same_as="sgd+Gclip")]
    return []


def share_of_gap(found: Sequence[Contender], *, closes: str, worst: str, top: str) -> float:
    """The share of the perplexity between two methods that a third closes.

    It is the mean of each seed's share where the three have the same seeds, and else that of
    their mean perplexities; nan without one of them, or where a gap is infinite or none.
    """
    there = {each.name: each for each in found}
    if not {closes, worst, top} <= there.keys():
        return math.nan
    three = [there[name] for name in (worst, closes, top)]
    paired = three[0].seeds and len({each.seeds for each in three}) == 1
    points = [each.perplexities if paired else [each.mean] for each in three]
    shares = [
        (high - middle) / (high - low) if 0 < high - low < math.inf else math.nan
        for high, middle, low in zip(*points, strict=True)
    ]
    return fmean(shares)
