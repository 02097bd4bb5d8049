"""Final perplexity against the learning rate: a curve for each decay, in panels."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

Panel = Callable[[pd.Series], str]
"""What the panel of a cell is called."""


def rate_curves(table: pd.DataFrame, series: str, panel: Panel) -> pd.DataFrame:
    """The best perplexity at each learning rate, by panel and series.

    Args:
        table: cells, in the order of their panels.
        series: the column that tells the curves of a panel apart.
        panel: names a cell's panel.

    Returns:
        ``panel``, ``series``, ``lr``, ``perplexity`` (infinite where it diverged; cells that were
        not trained to their end are left out), ``equal`` where the curve has β1=β2; ordered by
        panel as first met, series and rate.
    """
    finished = table[table["perplexity"].notna()]
    named = finished.assign(
        panel=[panel(row) for _, row in finished.iterrows()],
        series=finished[series],
        equal=finished["beta1"].eq(finished["beta2"]),
    )
    keys = ["panel", "series", "lr", "equal"]
    curves = named.groupby(keys, as_index=False, sort=True)["perplexity"].min()
    order = {name: place for place, name in enumerate(dict.fromkeys(named["panel"]))}
    ranks = curves["panel"].map(order)
    curves = curves.assign(rank=ranks).sort_values(["rank", "series", "lr"])
    return curves[[*keys[:3], "perplexity", "equal"]].reset_index(drop=True)


def below(table: pd.DataFrame, threshold: float) -> tuple[int, int]:
    """How many cells end below a perplexity, of how many that were trained to their end."""
    finished = table["perplexity"].dropna()
    return int(finished.lt(threshold).sum()), len(finished)


def budget_to_match(optima: dict[int, float], target: float) -> float:
    """The tokens at which tuned runs reach a perplexity, by the power law through two budgets.

    Each budget has runs of its own, with a learning rate that anneals to its end. The law goes
    through the two budgets nearest to the target; it interpolates or reaches on, as it must.

    Args:
        optima: the best perplexity by tokens.
        target: a perplexity.

    Returns:
        Tokens; nan with fewer than two budgets, or where more tokens do not help.

    >>> round(budget_to_match({100: 30.0, 400: 15.0}, 20.0), 3)
    225.0
    """
    finite = {tokens: value for tokens, value in optima.items() if math.isfinite(value)}
    near = sorted(finite, key=lambda each: abs(math.log(finite[each] / target)))[:2]
    if len(near) < 2:
        return math.nan
    (small, large) = sorted(near)
    slope = math.log(finite[large] / finite[small]) / math.log(large / small)
    if slope >= 0:
        return math.nan
    return small * math.exp(math.log(target / finite[small]) / slope)
