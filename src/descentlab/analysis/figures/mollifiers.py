"""Perplexity over the constant that softens signum's sign."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from descentlab.analysis.figures.scales import SHORT, colors, perplexity_axis, placed
from descentlab.charts import GREY, AnyChart


def perplexity_by_constant(
    softened: pd.DataFrame, levels: dict[str, float], title: alt.Title
) -> AnyChart:
    """The best perplexity for each constant, a line for each kind.

    Constants at which every run diverged are triangles at the upper edge.

    Args:
        softened: columns kind, constant, perplexity.
        levels: perplexities to compare with, by name; dashed.
        title: of the chart.
    """
    finite = softened["perplexity"][softened["perplexity"].map(math.isfinite)]
    known = [*finite, *levels.values()]
    top = min(max(known), 1.6 * min(known)) if known else 1.0
    low = min(known) if known else 0.5
    frame = placed(softened, low, top)
    kinds = list(dict.fromkeys(softened["kind"]))
    scale = alt.Scale(domain=[low - 0.04 * (top - low), top + 0.02 * (top - low)], nice=False)
    base = alt.Chart(frame).encode(
        x=alt.X(
            "constant:Q", title="constant", scale=alt.Scale(type="log", padding=14, nice=False)
        ).axis(labelExpr=SHORT, values=_powers_of_ten(frame["constant"])),
        color=alt.Color(
            "kind:N", title=None, scale=alt.Scale(domain=kinds, range=colors(kinds))
        ).legend(labelLimit=300, symbolOpacity=1),
    )

    def at(field: str) -> alt.Y:
        axis = perplexity_axis(top)
        return alt.Y(f"{field}:Q", scale=scale, title="held-out perplexity", axis=axis)

    lines = base.mark_line(strokeWidth=2, clip=True).encode(y=at("drawn"))
    marks = base.encode(y=at("shown"))
    points = marks.transform_filter("!datum.off").mark_point(filled=True, size=45, opacity=1)
    off = marks.transform_filter("datum.off").mark_point(shape="triangle-up", size=45)
    compared = alt.Chart(
        pd.DataFrame([{"name": name, "level": level} for name, level in levels.items()])
    ).encode(y=at("level"))
    layers = [lines, points, off]
    if levels:
        label = compared.mark_text(align="right", dy=-6, fontSize=11, color=GREY)
        layers += [
            compared.mark_rule(strokeDash=[4, 3], color=GREY),
            label.encode(text="name:N", x=alt.value("width")),
        ]
    return alt.layer(*layers).properties(width=440, height=280, title=title)


def _powers_of_ten(constants: pd.Series) -> list[float]:
    """The places of labels: the powers among the constants, or else each of these."""
    low, high = math.log10(constants.min()), math.log10(constants.max())
    powers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    found = [10.0**power for power in powers[:: max(1, math.ceil(len(powers) / 7))]]
    return found if len(found) > 1 else sorted(constants.unique())
