"""The charts of a report as vector PDFs, from the same data as those of the page."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import altair as alt
import numpy as np
import pandas as pd

from descentlab.analysis.report.curves import unpacked
from descentlab.analysis.report.document import (
    Axis,
    CurveChart,
    Curves,
    Document,
    HeatMap,
    LineChart,
    Series,
)
from descentlab.charts import PALETTE, AnyChart, save_pdf
from descentlab.storage import storage_errors

WIDTH, HEIGHT = 460, 280
HALF_LIFE = 0.03
"""Of the smoothing of training curves, as a share of their points; as on the page."""
C = TypeVar("C", alt.X, alt.Y)
VIRIDIS = alt.SchemeParams(name="viridis")


def write_figures(
    document: Document, out: Path, tell: Callable[[str], None] = lambda step: None
) -> list[Path]:
    """Write every chart of a report as a PDF.

    Args:
        document: whose charts.
        out: a folder; made if it is not there, files of the same names are replaced.
        tell: told which chart is drawn.

    Raises:
        StorageError: if the disk refuses.
    """
    written, began = [], time.monotonic()
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for number, (key, chart) in enumerate(document.charts.items(), start=1):
            seconds = (time.monotonic() - began) / max(1, number - 1)
            left = seconds * (len(document.charts) + 1 - number)
            soon = f", about {left:.0f} s left" if number > 1 else ""
            tell(f"chart {number} of {len(document.charts)}{soon}: {key}")
            path = out / f"{key}.pdf"
            save_pdf(drawn(chart, document.curves), path)
            written.append(path)
    return written


def drawn(chart: LineChart | HeatMap | CurveChart, curves: Curves) -> AnyChart:
    """A chart of a report for print.

    Args:
        chart: to draw.
        curves: that a chart of training curves takes its losses from.
    """
    match chart:
        case LineChart():
            return _lines(chart)
        case HeatMap():
            return _heat(chart)
        case CurveChart():
            return _lines(_with_curves(chart, curves))


def _lines(chart: LineChart) -> AnyChart:
    names = list(dict.fromkeys(series.name for series in chart.series))
    places = {series.name: series.color for series in chart.series}
    colors = [PALETTE[places[name] % len(PALETTE)] for name in names]
    legend = None if chart.x.kind == "names" else alt.Legend(symbolOpacity=1)
    color = alt.Color(
        "name:N", title=None, sort=names, scale=alt.Scale(domain=names, range=colors), legend=legend
    )
    x, y = _axis(chart.x, "x:Q", alt.X), _axis(chart.y, "y:Q", alt.Y)
    layers = [layer for each in chart.series for layer in _layers(each, chart.y, x, y, color)]
    title = alt.Title(f"{chart.title}: {chart.where}", subtitle=_wrapped(chart.note))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=title)


def _layers(series: Series, axis: Axis, x: alt.X, y: alt.Y, color: alt.Color) -> list[alt.Chart]:
    frame = _frame(series, axis)
    base = alt.Chart(frame).encode(x=x, color=color)
    bounded = bool(series.low) and bool(frame["low"].notna().any())
    layers = []
    if bounded:
        mark = (
            base.mark_area(opacity=0.16, clip=True)
            if series.line
            else base.mark_rule(strokeWidth=2, clip=True)
        )
        layers.append(mark.transform_filter("isValid(datum.low)").encode(
            y=y.copy(deep=False), y2="high:Q"))  # fmt: skip
        layers[-1].encoding.y.shorthand = "low:Q"
    if series.line:
        width = 1.0 if not series.points else 2.0
        layers.append(base.mark_line(strokeWidth=width, clip=True).encode(y=y))
    if series.points:
        dots = base.transform_filter("!datum.off").mark_circle(
            size=18 if series.faint else 45, opacity=0.4 if series.faint else 1
        )
        above = base.transform_filter("datum.off").mark_point(
            shape="triangle-up", size=30, opacity=0.5 if series.faint else 1
        )
        shown = y.copy(deep=False)
        shown.shorthand = "shown:Q"
        layers += [dots.encode(y=shown), above.encode(y=shown)]
    return layers


def _frame(series: Series, axis: Axis) -> pd.DataFrame:
    """One row per point; ``off`` are those above the axis, which are shown at its edge."""
    size = len(series.x)
    values = np.array([math.inf if each is None else each for each in series.y], dtype=float)
    finite = values[np.isfinite(values)]
    top = axis.top if axis.top is not None else (float(finite.max()) if len(finite) else 1.0)
    off = values > top
    bounds = {
        name: [math.nan if each is None else each for each in (given or (None,) * size)]
        for name, given in (("low", series.low), ("high", series.high))
    }
    return pd.DataFrame(
        {
            "name": series.name,
            "x": series.x,
            "y": np.where(off, top * 3, values),
            "shown": np.where(off, top, values),
            "off": off,
            **bounds,
        }
    )


def _axis(axis: Axis, field: str, kind: type[C]) -> C:
    if axis.kind == "names":
        names = json.dumps(list(axis.names))
        ends = [-0.5, len(axis.names) - 0.5]
        labels = alt.Axis(
            values=list(range(len(axis.names))), labelExpr=f"{names}[datum.value]", labelAngle=-30
        )
        return kind(field, title=None, scale=alt.Scale(domain=ends, nice=False), axis=labels)
    ends = [each for each in (axis.low, axis.top) if each is not None]
    scale = alt.Scale(type="log" if axis.kind == "log" else "linear", nice=False, zero=False)
    if len(ends) == 2:
        scale["domain"] = ends
    else:
        scale["padding"] = 10
    shown = alt.Axis(format=".6~g", labelOverlap=True, tickCount=6)
    return kind(field, title=axis.title, scale=scale, axis=shown)


def _heat(chart: HeatMap) -> AnyChart:
    cells = [
        {"row": i, "column": j, "value": value, "said": chart.texts[i][j] if chart.texts else ""}
        for i, row in enumerate(chart.values)
        for j, value in enumerate(row)
        if value is not None
    ]
    frame = pd.DataFrame(cells)
    finite = frame["value"].map(math.isfinite)
    side = (46, 26) if chart.texts else (12, 12)
    every = 1 if chart.texts else 6
    columns = _places(chart.columns, chart.x, every, alt.X("column:O"))
    rows = _places(chart.rows, chart.y, every, alt.Y("row:O"))
    base = alt.Chart(frame.assign(value=frame["value"].where(finite), finite=finite)).encode(
        x=columns, y=rows
    )
    color = alt.Color(
        "value:Q",
        title=chart.scale.split(", "),
        scale=alt.Scale(scheme=VIRIDIS, reverse=True, domain=[0, chart.cap], clamp=True),
    )
    layers = [
        base.transform_filter("datum.finite").mark_rect().encode(color=color),
        base.transform_filter("!datum.finite").mark_rect(color="#cfd2d6"),
    ]
    if chart.texts:
        ink = alt.condition(
            f"datum.finite && datum.value > {0.45 * chart.cap}",
            alt.value("white"),
            alt.value("black"),
        )
        text = base.encode(text="said:N", color=ink)
        layers += [
            text.transform_filter("datum.value === 0").mark_text(fontSize=11, fontWeight="bold"),
            text.transform_filter("datum.value !== 0").mark_text(fontSize=11),
        ]
    marks = pd.DataFrame(chart.marked, columns=pd.Index(["row", "column"]))
    if len(marks):
        frames = alt.Chart(marks).mark_rect(fillOpacity=0, stroke="black", strokeWidth=2)
        layers.append(frames.encode(x=columns, y=rows))
    if chart.best is not None:
        lowest = pd.DataFrame([chart.best], columns=pd.Index(["row", "column"]))
        cross = alt.Chart(lowest).mark_point(shape="cross", color="black", size=80, filled=True)
        layers.append(cross.encode(x=columns, y=rows))
    return alt.layer(*layers).properties(
        width=side[0] * len(chart.columns),
        height=side[1] * len(chart.rows),
        title=alt.Title(f"{chart.title}: {chart.where}", subtitle=_wrapped(chart.note)),
    )


def _places(names: tuple[str, ...], title: str, every: int, channel: C) -> C:
    """An axis of cells that are counted, with every so many of their names."""
    labels = alt.Axis(
        values=list(range(0, len(names), every)),
        labelExpr=f"{json.dumps(list(names))}[datum.value]",
        labelAngle=0,
    )
    domain = list(range(len(names)))
    return channel.title(title).scale(domain=domain).axis(labels)


def _with_curves(chart: CurveChart, curves: Curves) -> LineChart:
    """A chart of training curves as lines, smoothed as the page does."""
    series = []
    for color, (name, runs) in enumerate(chart.groups.items()):
        for run in runs:
            curve = curves.training[run]
            losses = unpacked(curve)
            half_life = max(1.0, HALF_LIFE * len(losses))
            smooth = pd.Series(losses).ewm(halflife=half_life).mean().to_numpy()
            series.append(
                Series(
                    name=name,
                    color=color,
                    x=tuple(100 * place for place in curves.grids[curve.grid]),
                    y=tuple(np.exp(np.minimum(smooth, 700.0))),
                    line=True,
                    points=False,
                )
            )
    low = min(float(np.nanmin(each.y)) for each in series)
    return LineChart(
        title=chart.title,
        where=chart.where,
        alt=chart.alt,
        note=chart.note,
        x=Axis(title="share of the training, %", low=0.0, top=100.0),
        y=Axis(title="training perplexity", kind="log", low=low * 0.98, top=chart.top),
        series=tuple(series),
    )


def _wrapped(note: str, width: int = 90) -> list[str]:
    import textwrap

    return textwrap.wrap(note, width)
