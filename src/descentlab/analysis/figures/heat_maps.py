"""Pairs of betas as heat maps: the learning rate tuned for each, equal betas framed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import altair as alt
import pandas as pd

from descentlab.analysis.figures.scales import plain
from descentlab.analysis.tables.betas import largest_colored_gap
from descentlab.charts import AnyChart

CELL = 46
"""Width of a cell in pixels; it fits five digits."""
ROW = 26


def gap_map(
    grid: pd.DataFrame,
    *,
    values: Literal["perplexity", "gap"],
    title: alt.Title | str,
    among: Sequence[float] | None = None,
) -> AnyChart:
    """How far each pair of betas is from the best pair with the same β1.

    The best of each row is lightest; the colour ends at ``largest_colored_gap``. Pairs at which
    every learning rate diverged are grey crosses, and pairs that were not tried are white.

    Args:
        grid: columns beta1, beta2, equal, perplexity, gap.
        values: the column that is written into the cells, perplexity or gap.
        title: of the map.
        among: the β2 to have columns for; those of the grid if left out.
    """
    columns = [plain(each) for each in sorted(among or grid["beta2"].unique())]
    rows = [plain(each) for each in sorted(grid["beta1"].unique(), reverse=True)]
    frame, cap = _written(grid, values), largest_colored_gap(grid["perplexity"])
    base = alt.Chart(frame).encode(
        x=alt.X("column:N", sort=columns, scale=alt.Scale(domain=columns), title="β2").axis(
            labelAngle=0
        ),
        y=alt.Y("row:N", sort=rows, scale=alt.Scale(domain=rows), title="β1"),
    )
    cells = (
        base.transform_filter("datum.finite")
        .mark_rect()
        .encode(
            color=alt.Color(
                "gap:Q",
                title=["gap to the", "row's best"],
                scale=alt.Scale(scheme="viridis", reverse=True, domain=[0, cap], clamp=True),
                legend=alt.Legend(gradientLength=min(130, ROW * len(rows) + 10), tickCount=3),
            )
        )
    )
    bad = base.transform_filter("!datum.finite").mark_rect(color="#cfd2d6")
    # Framed by lines of their own, since a cell's stroke lies half under its neighbours.
    frames = base.transform_filter("datum.equal").mark_rect(
        fillOpacity=0, stroke="black", strokeWidth=2.2
    )
    size = {"width": CELL * len(columns), "height": ROW * len(rows)}
    return alt.layer(cells, bad, *_texts(base, cap), frames, **size, title=title)


def _texts(base: alt.Chart, cap: float) -> list[alt.Chart]:
    """What is written into the cells, white on dark, bold for the best of a row."""
    dark = f"datum.finite && datum.gap > {0.45 * cap}"
    text = base.encode(
        text="text:N", color=alt.condition(dark, alt.value("white"), alt.value("black"))
    )
    return [
        text.transform_filter("datum.best").mark_text(fontSize=11, fontWeight="bold"),
        text.transform_filter("!datum.best").mark_text(fontSize=11),
    ]


def _written(grid: pd.DataFrame, values: str) -> pd.DataFrame:
    finite = grid["perplexity"].map(math.isfinite)
    digits = {"perplexity": 2, "gap": 3}[values]
    text = [
        f"{value:.{digits if value < 100 else 0}f}" if good else "×"
        for value, good in zip(grid[values], finite, strict=True)
    ]
    shown = grid[grid["perplexity"].notna()].index
    frame = grid.assign(
        column=grid["beta2"].map(plain),
        row=grid["beta1"].map(plain),
        finite=finite,
        best=grid["gap"].eq(0),
        text=text,
        gap=grid["gap"].where(finite),
        perplexity=grid["perplexity"].where(finite),
    )
    names = ["column", "row", "equal", "finite", "best", "text", "gap", "perplexity", "lr"]
    return frame.loc[shown, names]
