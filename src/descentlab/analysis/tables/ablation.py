"""One setting varied, all others fixed: what a table of ablations needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from descentlab.analysis.tables.cells import APART


def ablation(runs: pd.DataFrame, varied: Sequence[str]) -> pd.DataFrame:
    """Mean perplexity over seeds for every value of the varied settings.

    Runs belong together that agree in all other settings. Of several such groups, the
    one with the most values is taken, and of equals the one with the lowest perplexity.

    Args:
        runs: from ``with_cells``, of one method and experiment.
        varied: columns.

    Returns:
        One row per value that at least one run was trained to its end with: the ``varied``
        columns, ``perplexity`` (infinite if a seed diverged), ``two_sigma`` over seeds, ``n``,
        ``diverged`` and the ids of the ``runs``. Empty if no group has two values.
    """
    finished = runs[runs["state"].eq("done")].dropna(subset=list(varied))
    others = [_others(settings, varied) for settings in finished["settings"]]
    found = pd.DataFrame()
    standing = (1, math.inf)
    for _, group in finished.assign(others=others).groupby("others", sort=False):
        rows = _rows(group, varied)
        this = (len(rows), float(rows["perplexity"].min()))
        if this[0] > 1 and (-this[0], this[1]) < (-standing[0], standing[1]):
            found, standing = rows, this
    return found


def _rows(group: pd.DataFrame, varied: Sequence[str]) -> pd.DataFrame:
    rows = []
    for values, same in group.groupby(list(varied), sort=True):
        perplexities = same["perplexity"].to_numpy(dtype=float)
        spread = len(same) > 1 and np.isfinite(perplexities).all()
        rows.append(
            {
                **dict(zip(varied, values, strict=True)),
                "perplexity": float(perplexities.mean()),
                "two_sigma": 2 * float(perplexities.std(ddof=1)) if spread else math.nan,
                "n": len(same),
                "diverged": int(same["diverged"].sum()),
                "runs": tuple(same["run"]),
            }
        )
    return pd.DataFrame(rows)


def _others(settings: dict[str, object], varied: Sequence[str]) -> str:
    names = {f"optimizer.{name}" for name in varied}
    kept = {
        name: value
        for name, value in settings.items()
        if name not in names and not any(name == each or name.startswith(each) for each in APART)
    }
    return repr(sorted(kept.items(), key=lambda pair: pair[0]))
