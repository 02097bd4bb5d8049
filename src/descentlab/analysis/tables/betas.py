"""Adam over pairs of betas: the learning rate tuned for each, and the price of equal ones."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from descentlab.analysis.tables.cells import lowest


def beta_grid(table: pd.DataFrame) -> pd.DataFrame:
    """The best perplexity over learning rates, for every pair of betas.

    Args:
        table: cells of adam.

    Returns:
        One row per pair: ``beta1``, ``beta2``, ``equal``; ``perplexity``, infinite where every
        learning rate diverged, with its ``lr``; ``gap`` to the best pair with the same β1;
        ``tried``, ``diverged`` and ``stopped`` cells.
    """
    rows = []
    for (beta1, beta2), group in table.groupby(["beta1", "beta2"]):
        value = lowest(group["perplexity"])
        rates = group.loc[group["perplexity"].eq(value), "lr"]
        rows.append(
            {
                "beta1": beta1,
                "beta2": beta2,
                "equal": beta1 == beta2,
                "perplexity": value,
                "lr": rates.min() if math.isfinite(value) else math.nan,
                "tried": len(group),
                "diverged": int(group["diverged"].gt(0).sum()),
                "stopped": int(group["stopped"].gt(0).sum()),
            }
        )
    names = ["beta1", "beta2", "equal", "perplexity", "lr", "tried", "diverged", "stopped"]
    grid = pd.DataFrame(rows, columns=pd.Index(names))
    with np.errstate(invalid="ignore"):  # where a whole row diverged, there is no gap
        gap = grid["perplexity"] - grid.groupby("beta1")["perplexity"].transform("min")
    return grid.assign(gap=gap)


def largest_colored_gap(perplexities: pd.Series) -> float:
    """The gap from which on cells have one colour: the paper's 0.5 of 21.9, in proportion.

    >>> round(largest_colored_gap(pd.Series([21.9, 30.0])), 3)
    0.5
    """
    best = lowest(perplexities)
    return 0.5 / 21.9 * best if math.isfinite(best) else 0.5


def price_of_equal_betas(grid: pd.DataFrame) -> pd.DataFrame:
    """How much worse β1=β2 is than the best β2, for every β1 that was tried with both.

    Args:
        grid: from ``beta_grid``.

    Returns:
        ``beta1``, ``best_beta2``, ``best``, ``equal`` and their difference ``gap``, in perplexity.
    """
    rows = []
    for beta1, row in grid.groupby("beta1"):
        finished = row[row["perplexity"].notna()]
        same = finished.loc[finished["equal"], "perplexity"]
        if len(same) and len(finished) > 1:
            first = finished.sort_values(["perplexity", "beta2"]).iloc[0]
            gap = same.iloc[0] - first["perplexity"]
            rows.append((beta1, first["beta2"], first["perplexity"], same.iloc[0], gap))
    names = ["beta1", "best_beta2", "best", "equal", "gap"]
    return pd.DataFrame(rows, columns=pd.Index(names))
