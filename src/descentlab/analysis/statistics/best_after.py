"""What every method of a table of runs reaches after k trials, as a table for a chart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from descentlab.analysis.frame import CONDITIONS
from descentlab.analysis.statistics.trials import by_setting, known_column, with_results
from descentlab.analysis.statistics.tuning_cost import expected_best, quantile_best
from descentlab.errors import ConfigError

EQUAL = (*(name for name in CONDITIONS if name != "batch_size"), "tokens")
"""Columns of ``load``'s table that must agree within a group; a batch size is a trial's own."""


def best_after(
    frame: pd.DataFrame,
    by: str | Sequence[str] = "method",
    *,
    ks: Sequence[int] | None = None,
    replacement: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Say what the best of k trials is, for each method and k.

    A trial is a setting, its loss the mean over its seeds. Diverged trials are infinite; runs
    without a result are no trials, and are counted.

    Args:
        frame: runs, as ``load`` gives them.
        by: columns whose values make a group; the method alone, or with its sweep.
        ks: numbers of trials; 1 up to all of a group if left out.
        replacement: whether a trial may be drawn twice.
        seed: of the intervals.

    Returns:
        One row per group and k: the columns of ``by``, ``k``, ``expected`` with ``low`` and
        ``high``, ``median`` with ``median_low`` and ``median_high``, all in nats; ``trials``, of
        them ``diverged``, and ``without_result``. Bounds are missing where trials are too few.

    Raises:
        ConfigError: for an unknown column, or a group whose runs cannot be compared.
    """
    names = known_column(frame, by)
    rows = []
    for key, group in frame.groupby(names, sort=False, dropna=False):
        label = dict(zip(names, key, strict=True))
        finished = with_results(group)
        _comparable(finished, ", ".join(map(str, key)))
        trials = by_setting(finished)["loss"].to_numpy(np.float64)
        counts = {
            "trials": len(trials),
            "diverged": int(np.isinf(trials).sum()),
            "without_result": int(group["loss"].isna().sum()),
        }
        for k in ks or range(1, len(trials) + 1):
            if k > len(trials):
                continue
            mean = expected_best(trials, k, replacement=replacement, seed=seed)
            median = quantile_best(trials, k, replacement=replacement, seed=seed)
            values = {
                "expected": mean.value,
                "low": mean.low,
                "high": mean.high,
                "median": median.value,
                "median_low": median.low,
                "median_high": median.high,
            }
            rows.append({**label, "k": k, **values, **counts})
    return pd.DataFrame(rows)


def _comparable(group: pd.DataFrame, name: str) -> None:
    for column in EQUAL:
        found = group[column].dropna().unique()
        if len(found) > 1:
            values = ", ".join(sorted(map(str, found)))
            raise ConfigError(
                f"best_after: the runs of {name} have {column} {values}; "
                f"choose one of them, or add {column!r} to by"
            )
