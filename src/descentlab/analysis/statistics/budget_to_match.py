"""Speed-ups read off a table of runs: every condition under which both methods ran."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from descentlab.analysis.frame import CONDITIONS
from descentlab.analysis.statistics.estimate import Estimate, without_interval
from descentlab.analysis.statistics.speed_up import share_between_budgets, share_within_curve
from descentlab.analysis.statistics.trials import (
    Optimum,
    by_setting,
    tuned_optimum,
    with_results,
)
from descentlab.errors import ConfigError, nearest

COLUMNS = (
    *CONDITIONS,
    "tokens",
    "first",
    "second",
    "source",
    "share",
    "low",
    "high",
    "n",
    "method",
    "reason",
)
ENOUGH_SETTINGS = 0.5
"""Share of the settings at the best tuned budget that another budget needs to count as tuned."""


def budget_to_match(
    frame: pd.DataFrame,
    curves: pd.DataFrame | None = None,
    *,
    first: str = "adam",
    second: str = "signum",
    noise: float | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Say which share of its budget one method needs for another's final loss.

    Args:
        frame: runs, as ``load`` gives them.
        curves: as ``load_curves`` gives them, for where the first method has one budget.
        first: the method that is to be faster.
        second: the one whose final loss is to be matched.
        noise: standard deviation of a final loss over seeds in nats, for single seeds.
        seed: of the intervals.

    Returns:
        One row per condition under which both ran, and per budget of the second method there:
        ``CONDITIONS``, its ``tokens``, the methods, ``source`` (between budgets, within one curve,
        or none), ``share`` with its interval, what it rests on and why there may be none.

    Raises:
        ConfigError: for a method that has no run with a result.
    """
    runs = with_results(frame)
    for name in (first, second):
        if not (runs["method"] == name).any():
            allowed = nearest(name, set(runs["method"].dropna()))
            raise ConfigError(f"method: no run of {name!r} has a result; {allowed}")
    rows = []
    for condition, ours, theirs in _conditions(runs, first, second):
        for tokens, rivals in theirs.groupby("tokens"):
            target = tuned_optimum(rivals)
            source, share = _share(ours, float(tokens), target, curves, noise, seed)  # pyright: ignore[reportArgumentType] # a group's key is a number here
            rows.append(
                {
                    **condition,
                    "tokens": int(rivals["tokens"].iloc[0]),
                    "first": first,
                    "second": second,
                    "source": source,
                    "share": share.value,
                    "low": share.low,
                    "high": share.high,
                    "n": share.n,
                    "method": share.method,
                    "reason": share.reason,
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _conditions(
    runs: pd.DataFrame, first: str, second: str
) -> Iterator[tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]]:
    """Every condition with the runs of either method, where both have some."""
    both = runs[runs["method"].isin([first, second]) & runs["tokens"].notna()]
    for key, group in both.groupby(list(CONDITIONS), dropna=False):
        ours, theirs = (group[group["method"] == name] for name in (first, second))
        if len(ours) and len(theirs):
            yield dict(zip(CONDITIONS, key, strict=True)), ours, theirs


def _share(
    ours: pd.DataFrame,
    tokens: float,
    target: Optimum,
    curves: pd.DataFrame | None,
    noise: float | None,
    seed: int,
) -> tuple[str, Estimate]:
    groups = {float(budget): group for budget, group in ours.groupby("tokens")}  # pyright: ignore[reportArgumentType] # the same
    sizes = {budget: len(by_setting(group)) for budget, group in groups.items()}
    tuned = [each for each in groups if sizes[each] >= ENOUGH_SETTINGS * max(sizes.values())]
    if len(tuned) > 1:
        optima = [tuned_optimum(groups[each]).losses for each in tuned]
        share = share_between_budgets(
            tuned, optima, target.losses, reference=tokens, noise=noise, seed=seed
        )
        return "between budgets", share
    if tokens not in groups:
        reason = "the first method has one tuned budget, and it is another"
        return "none", without_interval(np.nan, 0, method="none", reason=reason)
    best = tuned_optimum(groups[tokens])
    points = None if curves is None else _curve(curves, best)
    if points is None or points.empty:
        reason = f"one tuned budget, and no training curve of {best.runs[0]}"
        return "none", without_interval(np.nan, 0, method="none", reason=reason)
    return "within one curve", share_within_curve(
        points["fraction"],
        points["loss"],
        _gaps(best, target),
        noise=noise,
        drawn_positions=bool(points["drawn"].any()),
        seed=seed,
    )


def _curve(curves: pd.DataFrame, best: Optimum) -> pd.DataFrame:
    """Training losses of the winner, its seeds averaged, and whether their steps are unknown."""
    mine = curves[curves["run"].isin(best.runs) & (curves["kind"] == "training")]
    marked = mine.assign(drawn=mine["step"].isna())
    grouped = marked.groupby("fraction", as_index=False)
    return grouped.agg(loss=("loss", "mean"), drawn=("drawn", "any"))


def _gaps(best: Optimum, target: Optimum) -> np.ndarray:
    """The target's losses less the winner's, by seed where they share two or more."""
    ours, theirs = (dict(zip(each.seeds, each.losses, strict=True)) for each in (best, target))
    shared = sorted(each for each in {*ours} & {*theirs} if each is not None)
    if len(shared) > 1:
        return np.array([theirs[each] - ours[each] for each in shared])
    return np.array([np.mean(target.losses) - np.mean(best.losses)])
