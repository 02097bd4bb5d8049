"""Final perplexity of every trial of several methods against its learning rate."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from descentlab.analysis.figures.scales import ceiling, log_axis, method_colors, placed
from descentlab.charts import AnyChart


def perplexity_by_learning_rate(trials: pd.DataFrame, order: Sequence[str]) -> AnyChart:
    """Final perplexity against learning rate, the best decay at each rate joined by a line.

    Args:
        trials: columns method, lr, beta, perplexity (infinite where the run diverged).
        order: methods, best first.
    """
    top = ceiling(trials["perplexity"])
    low = min(trials["perplexity"].min(), top) * 0.93
    frame = placed(trials, low, top)
    lowest = trials.groupby(["method", "lr"])["perplexity"].idxmin()
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
    return alt.layer(points, off, lines, dots).properties(
        width=560,
        height=340,
        title=alt.Title(
            "Final perplexity of every trial",
            subtitle=f"line: best β at each learning rate; triangles: above {top:.0f}, or diverged",
        ),
    )
