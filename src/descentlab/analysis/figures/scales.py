"""Scales, axes and colours that figures share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import pandas as pd

from descentlab.charts import PALETTE


def ceiling(perplexities: pd.Series, times: float = 6.0) -> float:
    """Where to cut an axis, as a multiple of the lowest value: what lies above is at the edge."""
    finite = perplexities[perplexities.map(math.isfinite)]
    return float(min(finite.max(), times * finite.min())) if len(finite) else 1.0


SHORT = "format(datum.value, datum.value < 1e-3 ? '.3~e' : '.6~r')"
"""How labels of an axis over several orders of magnitude are written."""


def placed(frame: pd.DataFrame, low: float, top: float) -> pd.DataFrame:
    """Where to draw perplexities on an axis from ``low`` to ``top``.

    Args:
        frame: a column perplexity, infinite where a run diverged.
        low: the beginning of the axis.
        top: the end of the axis.

    Returns:
        The frame with ``off``, whether it lies above the axis, ``shown``, where its mark goes,
        ``drawn``, where its line goes, and ``diverged``; the perplexity of those is missing.
    """
    finite = frame["perplexity"].map(math.isfinite)
    return frame.assign(
        off=frame["perplexity"].gt(top),
        shown=frame["perplexity"].clip(upper=top),
        drawn=frame["perplexity"].clip(upper=top * top / low),
        diverged=frame["perplexity"].map(math.isinf),
        perplexity=frame["perplexity"].where(finite),
    )


def log_axis() -> alt.Axis:
    """Few labels, in plain numbers."""
    return alt.Axis(format="~s", tickCount=6)


def perplexity_axis(top: float) -> alt.Axis:
    """Labels without exponents; thousands as k."""
    return alt.Axis(format="~s" if top >= 1000 else ".4~r", tickCount=5)


def rates(frame: pd.DataFrame, labels: int = 4) -> alt.X:
    """The learning rate, on a logarithmic axis with ticks where there are runs.

    Args:
        frame: a column lr.
        labels: at most as many ticks.
    """
    values = sorted(frame["lr"].unique())
    low, high = (values[0], values[-1]) if len(values) > 1 else (values[0] / 2, values[0] * 2)
    scale = alt.Scale(type="log", domain=[low, high], nice=False, padding=10)
    ticks = values[:: math.ceil(len(values) / labels)]
    return alt.X("lr:Q", scale=scale, title="learning rate").axis(
        labelExpr=SHORT, values=ticks, labelOverlap=True
    )


def method_colors(order: Sequence[str]) -> alt.Color:
    """A colour for each method, in the order given."""
    return alt.Color(
        "method:N",
        title=None,
        sort=list(order),
        scale=alt.Scale(domain=list(order), range=colors(order)),
        legend=alt.Legend(symbolOpacity=1),
    )


def colors(names: Sequence[str]) -> list[str]:
    """As many colours as names; after the last the first comes again."""
    return [PALETTE[place % len(PALETTE)] for place in range(len(names))]


def plain(value: float) -> str:
    """A β or another setting as labels have it.

    >>> plain(0.99375), plain(0.0), plain(1e-8), plain(float("inf"))
    ('0.99375', '0', '1e-08', 'none')
    """
    return "none" if math.isinf(value) else f"{value:.6g}"
