"""Figures 8 to 11: methods with one average over learning rate and β."""

from __future__ import annotations

from collections.abc import Callable

import altair as alt
import pandas as pd

from descentlab.analysis.figures.scales import plain
from descentlab.analysis.figures.sweeps import rate_panels
from descentlab.analysis.tables.cells import best, cells
from descentlab.analysis.tables.sweeps import rate_curves
from descentlab.paper.exhibit import Headline, Material, Shown
from descentlab.paper.figures.naming import TRIANGLES, stacked, weight_decay_and_clipping
from descentlab.paper.published import TABLE1

LEAST = 1.5
"""Times the best: where the axis ends at least. These methods vary more than Adam."""


def one_average(what: str, *methods: str) -> Callable[[Material, pd.DataFrame], Shown]:
    """A row of panels for each method.

    Args:
        what: the title.
        methods: in the order of rows.
    """

    def draw(material: Material, runs: pd.DataFrame) -> Shown:
        table = cells(runs)
        if "rmsprop" in methods:  # at β=0 it is sign descent
            table = table.assign(method="rmsprop", decay=table["decay"].fillna(0.0))
        rows, curves, headlines = [], [], []
        for method in methods:
            some = table[table["method"].eq(method)]
            winner = best(some)
            if winner is None:
                continue
            ordered = some.sort_values(["weight_decay", "clip_norm"])
            curve = rate_curves(ordered, "decay", weight_decay_and_clipping(some))
            curves.append(curve.assign(equal=False, method=method))
            title = alt.Title(method, subtitle=TRIANGLES)
            rows.append(rate_panels(curves[-1], symbol="β", title=title, least=LEAST))
            headlines.append(_best(method, winner))
        return Shown(
            frame=pd.concat(curves, ignore_index=True),
            chart=stacked(rows, what, runs),
            headlines=tuple(headlines),
        )

    return draw


def _best(method: str, winner: pd.Series) -> Headline:
    paper = TABLE1.get(method)
    at = f"lr {winner['lr']:g}, β {plain(winner['decay'])}"
    return Headline(
        what=f"best of {method} over its grid",
        here=f"{winner['perplexity']:.3f} at {at}",
        paper=f"{paper.mean:.2f}" if paper else "–",
    )
