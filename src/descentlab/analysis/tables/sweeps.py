"""Final perplexity against the learning rate: a curve for each decay, in panels."""

from __future__ import annotations

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
