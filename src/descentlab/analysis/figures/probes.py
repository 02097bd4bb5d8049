"""Charts of a run's probes, a panel or a colour for each block of parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import pandas as pd

from descentlab.charts import PALETTE, AnyChart

Layers = alt.LayerChart | alt.FacetChart
"""What ``alt.layer`` is declared to return."""
PANEL = 150
HEIGHT = 210


def signal_to_noise(state: pd.DataFrame, subtitle: str) -> AnyChart:
    """Median of m²/σ² over coordinates and its quartiles, one panel for each block.

    Args:
        state: columns step, block, snr_q25, snr_median, snr_q75; only what is finite and
            above 0 is drawn.
        subtitle: which run.
    """
    columns = ["snr_q25", "snr_median", "snr_q75"]
    shown = state[state[columns].map(lambda value: 0 < value < math.inf).all(axis=1)]
    unplaced = alt.Chart(shown[["step", "block", *columns]])
    base = unplaced.encode(x=_steps(state))
    title = "signal-to-noise ratio m²/σ²"
    y = alt.Y("snr_median:Q", scale=_log(), title=title, axis=_powers())
    color = alt.Color("block:N", scale=_colors(_blocks(state)), legend=None)
    band = base.mark_area(opacity=0.22).encode(
        y=alt.Y("snr_q25:Q", scale=_log(), title=title), y2="snr_q75:Q", color=color
    )
    line = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=18)).encode(y=y, color=color)
    one = _reference(unplaced, 1.0)
    return _panels(
        alt.layer(one, band, line),
        _blocks(state),
        "Signal-to-noise ratio of the gradient, as the optimizer sees it",
        [
            subtitle,
            "line: median over coordinates; band: quartiles; dashed: as much signal as noise",
        ],
    )


def variance_estimates(noise: pd.DataFrame, exact: float, subtitle: str) -> AnyChart:
    """σ² beside the measured variance: block means against each other, medians, ranks.

    Args:
        noise: columns step, block, measured_mean, estimated_mean, ratio_median,
            rank_correlation.
        exact: median ratio of an exact estimate.
        subtitle: which run.
    """
    color = alt.Color("block:N", title=None, sort=_blocks(noise), scale=_colors(_blocks(noise)))
    base = alt.Chart(noise)
    means = noise[["measured_mean", "estimated_mean"]]
    ends = [float(means.min().min()) / 1.5, float(means.max().max()) * 1.5]
    both = alt.Scale(type="log", domain=ends, nice=False)
    diagonal = (
        alt.Chart(pd.DataFrame({"end": ends}))
        .mark_line(strokeDash=[4, 3], color=PALETTE[5], strokeWidth=1)
        .encode(x=alt.X("end:Q", scale=both), y=alt.Y("end:Q", scale=both))
    )
    points = base.mark_circle(opacity=0.85).encode(
        x=alt.X(
            "measured_mean:Q", scale=both, title="measured variance s² (nats²)", axis=_decades()
        ),
        y=alt.Y(
            "estimated_mean:Q", scale=both, title="Adam's estimate σ² (nats²)", axis=_decades()
        ),
        color=color,
        size=alt.Size("step:Q", scale=alt.Scale(range=[14, 90]), legend=None),
    )
    ratio = _over_steps(base, noise, "ratio_median", "median of σ²/s²", color, reference=exact)
    ranks = _over_steps(
        base, noise, "rank_correlation", "rank correlation", color, reference=1.0, low=0.0
    )
    size = {"width": 220, "height": 220}
    first = alt.layer(diagonal, points).properties(
        title=_small("Block means (large: late)"), **size
    )
    second = ratio.properties(title=_small("Coordinate by coordinate"), **size)
    third = ranks.properties(title=_small("Order of coordinates"), **size)
    return alt.hconcat(first, second, third, spacing=28).properties(
        title=alt.Title(
            "Variance of the gradient: Adam's running estimate beside independent batches",
            subtitle=[subtitle, f"dashed: an exact estimate (median ratio {exact:.2f})"],
            subtitlePadding=4,
        )
    )


def shadow_cosines(shadows: pd.DataFrame, subtitle: str) -> AnyChart:
    """Cosine between the run's direction and each shadow's, one panel for each block.

    Args:
        shadows: columns step, block, shadow, cosine (left out where it is not a number).
        subtitle: which run.
    """
    names = list(dict.fromkeys(shadows["shadow"]))
    frame = shadows[shadows["cosine"].map(math.isfinite)]
    low = -1.0 if (frame["cosine"] < 0).any() else 0.0
    line = (
        alt.Chart(frame[["step", "block", "shadow", "cosine"]])
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=18))
        .encode(
            x=_steps(shadows),
            y=alt.Y("cosine:Q", scale=alt.Scale(domain=[low, 1.0]), title="cosine"),
            color=alt.Color(
                "shadow:N",
                title=None,
                sort=names,
                scale=_colors(names),
                legend=alt.Legend(orient="bottom", labelLimit=260, symbolOpacity=1),
            ),
        )
    )
    return _panels(
        alt.layer(line),
        _blocks(shadows),
        "Directions of other rules on the same gradients",
        [subtitle, "cosine with the run's own direction"],
    )


def _panels(chart: Layers, blocks: list[str], title: str, lines: list[str]) -> AnyChart:
    header = alt.Header(labelFontSize=12, labelFontWeight="bold")
    return (
        chart.properties(width=PANEL, height=HEIGHT)
        .facet(
            facet=alt.Facet("block:N", title=None, sort=blocks, header=header),
            columns=min(len(blocks), 6),
        )
        .properties(title=alt.Title(title, subtitle=lines, subtitlePadding=4, offset=12))
    )


def _over_steps(
    base: alt.Chart,
    frame: pd.DataFrame,
    column: str,
    title: str,
    color: alt.Color,
    *,
    reference: float,
    low: float | None = None,
) -> Layers:
    """A line for each block, with a dashed reference that the axis includes."""
    top = max(float(frame[column].max()), reference) * 1.04
    floor = min(0.0, float(frame[column].min())) if low is not None else 0.0
    y = alt.Y(f"{column}:Q", title=title, scale=alt.Scale(domain=[floor, top], nice=False))
    line = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=22)).encode(
        x=_steps(frame), y=y, color=color
    )
    return alt.layer(_reference(base, reference), line)


def _reference(base: alt.Chart, value: float) -> alt.Chart:
    """A dashed level across the panel; ``base`` must not say where x is."""
    rule = base.mark_rule(strokeDash=[4, 3], color=PALETTE[5], strokeWidth=1)
    return rule.encode(y=alt.datum(value))


def _steps(frame: pd.DataFrame) -> alt.X:
    scale = alt.Scale(domain=[0, int(frame["step"].max())], nice=False, padding=4)
    return alt.X("step:Q", title="step", scale=scale, axis=alt.Axis(tickCount=5, format="~s"))


def _blocks(frame: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(frame["block"]))


def _colors(names: Sequence[str]) -> alt.Scale:
    return alt.Scale(
        domain=list(names),
        range=[PALETTE[place % len(PALETTE)] for place in range(len(names))],
    )


def _log() -> alt.Scale:
    return alt.Scale(type="log", nice=False, padding=8)


def _powers() -> alt.Axis:
    return alt.Axis(format="~g", tickCount=4, labelOverlap=True)


def _decades() -> alt.Axis:
    return alt.Axis(format=".0e", tickCount=3, labelOverlap=True)


def _small(text: str) -> alt.Title:
    return alt.Title(text, fontSize=12, anchor="middle")
