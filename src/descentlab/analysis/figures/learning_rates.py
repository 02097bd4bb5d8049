"""Final perplexity of every trial of several methods against its learning rate."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from descentlab.analysis.figures.scales import ceiling, log_axis, method_colors, placed
from descentlab.charts import AnyChart

TICK = 5
"""Height in pixels."""


def perplexity_by_learning_rate(trials: pd.DataFrame, order: Sequence[str]) -> AnyChart:
    """Final perplexity against learning rate, the best decay at each rate joined by a line.

    Args:
        trials: columns method, lr, perplexity (infinite where the run diverged, missing where
            racing stopped it).
        order: methods, best first.
    """
    whole = trials[trials["perplexity"].notna()]
    stopped = trials[trials["perplexity"].isna()]
    top = ceiling(whole["perplexity"])
    low = min(whole["perplexity"].min(), top) * 0.93
    frame = placed(whole, low, top)
    lowest = whole.groupby(["method", "lr"])["perplexity"].idxmin()
    best = frame.loc[lowest].assign(on=~frame.loc[lowest, "off"])
    scale = alt.Scale(type="log", domain=[low, top * 1.05], nice=False)
    x = alt.X("lr:Q", scale=alt.Scale(type="log", nice=False, padding=15), title="learning rate")
    x = x.axis(format="~g", labelOverlap=True)

    def at(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=scale, title="held-out perplexity", axis=log_axis())

    y = at("shown")
    points = (alt.Chart(frame[~frame["off"]]).mark_circle(size=22, opacity=0.35)).encode(
        x=x, y=y, color=method_colors(order)
    )
    off = (
        alt.Chart(frame[frame["off"]]).mark_point(shape="triangle-up", size=26, opacity=0.6)
    ).encode(x=x, y=y, color=method_colors(order))
    through = alt.Chart(best).encode(x=x, color=method_colors(order))
    lines = through.mark_line(strokeWidth=2.2, clip=True).encode(y=at("drawn"))
    dots = through.transform_filter("datum.on").mark_circle(size=45, opacity=1).encode(y=y)
    said = f"line: best β at each learning rate; triangles: above {top:.0f}, or diverged"
    if len(stopped):
        said += "; ticks: stopped by racing"
    title = alt.Title("Final perplexity of every trial", subtitle=said)
    layers = [points, off, lines, dots, *_ticks(stopped, order, x)]
    return alt.layer(*layers).properties(width=560, height=340, title=title)


def _ticks(stopped: pd.DataFrame, order: Sequence[str], x: alt.X) -> list[alt.Chart]:
    """A row above the axis for each method, with a tick where settings have no final loss."""
    present = [method for method in order if stopped["method"].eq(method).any()]
    return [
        alt.Chart(stopped.loc[stopped["method"].eq(method), ["method", "lr"]].drop_duplicates())
        .mark_tick(orient="vertical", size=TICK, thickness=2, yOffset=-TICK * (0.6 + 1.2 * row))
        .encode(x=x, y=alt.value("height"), color=method_colors(order))
        for row, method in enumerate(reversed(present))
    ]
