"""Final perplexity against the learning rate, in panels, with a line for each decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import altair as alt
import pandas as pd

from descentlab.analysis.figures.scales import perplexity_axis, placed, plain, rates
from descentlab.charts import GREY, AnyChart

ACROSS = 6
"""Panels in a row, at most."""
WIDTH, HEIGHT = 172, 190
DARK = alt.SchemeParams(name="plasma", extent=[0.0, 0.85])
"""Without the yellow end, which is too light for lines on white."""

At = Callable[[str], alt.Y]
"""The vertical axis for a column."""


def rate_panels(
    curves: pd.DataFrame,
    *,
    symbol: str,
    title: alt.Title,
    level: float | None = None,
    among: Iterable[float] | None = None,
    least: float = 1.12,
) -> AnyChart:
    """Perplexity over learning rates: a panel for each name, a line for each decay.

    The line with β1=β2 is thick and has diamonds; a dashed line is its lowest point. What lies
    above the axis, or diverged, is a triangle at the upper edge: filled if it diverged.

    Args:
        curves: columns panel, series, lr, perplexity (infinite where it diverged), equal.
        symbol: what the series are, for the legend.
        title: of the whole.
        level: a perplexity to compare all panels with, dotted.
        among: the decays that colours are shared with, where other charts have more.
        least: where the axis ends at least, as a multiple of the lowest perplexity.
    """
    low, top = ends(curves, level, least)
    panels = list(dict.fromkeys(curves["panel"]))
    own = [plain(each) for each in sorted(curves["series"].unique())]
    shared = sorted({*(among or ()), *curves["series"]})
    color = alt.Color(
        "line:N",
        title=symbol,
        scale=alt.Scale(domain=[plain(each) for each in shared], scheme=DARK),
        legend=alt.Legend(symbolOpacity=1, symbolType="circle", values=own),
    )
    base = alt.Chart().encode(x=rates(curves, labels=3), color=color)
    layers = _layers(base, _axis(low, top))
    if level is not None:
        dots = alt.Chart().mark_rule(strokeDash=[1, 3], color=GREY, strokeWidth=1.6)
        layers.insert(0, dots.encode(y=alt.datum(level)))
    header = alt.Header(labelFontSize=11)
    frame = _with_lines(curves, low, top)
    return alt.layer(*layers, data=frame, width=WIDTH, height=HEIGHT).facet(
        facet=alt.Facet("panel:N", title=None, sort=panels, header=header),
        columns=math.ceil(len(panels) / math.ceil(len(panels) / ACROSS)),
        spacing=18,
        title=title,
    )


def ends(
    curves: pd.DataFrame, level: float | None = None, least: float = 1.12
) -> tuple[float, float]:
    """Where to begin and end the axis so that most lines can be told apart.

    It ends above the lowest points of four fifths of the lines, at ``least`` times the lowest or
    higher, and never far above the highest finite value.

    Args:
        curves: columns panel, series, perplexity.
        level: a perplexity that must lie within.
        least: times the lowest.
    """
    finite = curves[curves["perplexity"].map(math.isfinite)]
    if not len(finite):
        return 0.5, 1.0
    floors = finite.groupby(["panel", "series"])["perplexity"].min()
    lowest, highest = float(floors.min()), float(finite["perplexity"].max())
    top = min(highest * 1.01, max(float(floors.quantile(0.8)) * 1.02, least * lowest))
    within = [lowest, *([level] if level is not None else [])]
    top = max(top, max(within) * 1.002)
    return min(within) * (top / min(within)) ** -0.04, top


def _axis(low: float, top: float) -> At:
    kind = "log" if top > 2.5 * low else "linear"
    scale = alt.Scale(type=kind, domain=[low, top], nice=False, zero=False)
    axis = perplexity_axis(top)
    return lambda field: alt.Y(f"{field}:Q", scale=scale, title="held-out perplexity", axis=axis)


def _layers(base: alt.Chart, at: At) -> list[alt.Chart]:
    """Lines, those with equal betas on top; marks within the axis and at its end."""
    lines = [
        base.transform_filter(f"{'' if equal else '!'}datum.equal")
        .mark_line(strokeWidth=3.0 if equal else 1.4, clip=True)
        .encode(y=at("drawn"))
        for equal in (False, True)
    ]
    marks = base.encode(y=at("shown"))
    shapes = alt.Scale(domain=[False, True], range=["circle", "diamond"])
    within = marks.transform_filter("!datum.off").mark_point(filled=True, opacity=1)
    points = within.encode(
        shape=alt.Shape("equal:N", scale=shapes, legend=None),
        size=alt.condition("datum.equal", alt.value(70), alt.value(24)),
    )
    triangle = {"shape": "triangle-up", "size": 40, "opacity": 1}
    above = marks.transform_filter("datum.off && !datum.diverged").mark_point(**triangle)
    diverged = marks.transform_filter("datum.diverged").mark_point(**triangle, filled=True)
    rule = alt.Chart().transform_filter("isValid(datum.tied)")
    tied = rule.mark_rule(strokeDash=[5, 3], color="black", strokeWidth=1).encode(y=at("tied"))
    return [*lines, tied, points, above, diverged]


def _with_lines(curves: pd.DataFrame, low: float, top: float) -> pd.DataFrame:
    tied = curves[curves["equal"] & curves["perplexity"].le(top)]
    floors = tied.groupby("panel")["perplexity"].min()
    return placed(curves, low, top).assign(
        line=curves["series"].map(plain),
        tied=curves["panel"].map(floors) if len(floors) else math.nan,
    )
