"""Figures 2, 3, 5 and 12 to 16: Adam over both its betas, beside Signum and over batch sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import altair as alt
import pandas as pd

from descentlab.analysis.figures.heat_maps import gap_map
from descentlab.analysis.figures.scales import plain
from descentlab.analysis.figures.sweeps import rate_panels
from descentlab.analysis.selection import Selection, select
from descentlab.analysis.tables.betas import beta_grid, price_of_equal_betas
from descentlab.analysis.tables.cells import cells, lowest
from descentlab.analysis.tables.sweeps import below, rate_curves
from descentlab.charts import AnyChart
from descentlab.paper.exhibit import Headline, Material, Shown
from descentlab.paper.figures.naming import (
    FRAMED,
    OWN_COLORS,
    TRIANGLES,
    clipping,
    of_beta1,
    setting_of,
    small,
    stacked,
)
from descentlab.paper.published import PRICE_OF_EQUAL_BETAS

AT_MOST = f"at most {PRICE_OF_EQUAL_BETAS}"
Batch = Literal["same", "larger", "smaller"]


def adam_and_signum(material: Material, runs: pd.DataFrame) -> Shown:
    """Figures 2, 12 and 16: Signum and Adam over their grids, with a map of Adam's betas."""
    table = cells(runs)
    adam, signum = (table[table["method"].eq(name)] for name in ("adam", "signum"))
    level = lowest(signum["perplexity"])
    curves = {
        "signum": rate_curves(signum.sort_values("clip_norm"), "decay", clipping),
        "adam": _adam_curves(adam),
    }
    decays = set().union(*(curve["series"] for curve in curves.values()))
    rows: list[AnyChart] = []
    if len(curves["signum"]):
        title = alt.Title("Signum", subtitle=TRIANGLES)
        rows.append(rate_panels(curves["signum"], symbol="β", title=title, among=decays))
    if len(curves["adam"]):
        known = level if math.isfinite(level) else None
        panels, *maps = _adam_rows(adam, curves["adam"], level=known, among=decays)
        above = [*rows, *maps]
        rows = [*([_beside(above)] if above else []), panels]
    return Shown(
        frame=pd.concat(
            [curve.assign(method=name) for name, curve in curves.items()], ignore_index=True
        ),
        chart=stacked(rows, "Signum and Adam over their grids", runs),
        headlines=(*_adam_below(adam, level), *_equal_betas(beta_grid(adam))),
    )


def adam_alone(material: Material, runs: pd.DataFrame, paper: str = "–") -> Shown:
    """Figure 5, and each of 13 to 15: Adam over its grid."""
    table = cells(runs)
    curves = _adam_curves(table)
    rows = _adam_rows(table, curves, level=None, among=set())
    chart = stacked(rows, "Adam over its grid", runs)
    return Shown(frame=curves, chart=chart, headlines=_equal_betas(beta_grid(table), paper=paper))


def _beside(charts: list[AnyChart]) -> AnyChart:
    return alt.hconcat(*charts, spacing=40, resolve=OWN_COLORS)


def _adam_curves(adam: pd.DataFrame) -> pd.DataFrame:
    """Panels by β1 and lines by β2; one panel where only equal ones were tried."""
    if _only_equal(adam):
        return rate_curves(adam, "beta1", lambda cell: "β1 = β2").assign(equal=False)
    return rate_curves(adam.sort_values("beta1"), "beta2", of_beta1)


def _only_equal(adam: pd.DataFrame) -> bool:
    return bool(adam["beta1"].eq(adam["beta2"]).all())


def _adam_rows(
    adam: pd.DataFrame, curves: pd.DataFrame, *, level: float | None, among: set[float]
) -> list[AnyChart]:
    """Panels of curves, and the map of both β if unequal ones were tried."""
    tied = _only_equal(adam)
    lines = [TRIANGLES if tied else f"thick: β1=β2, dashed at its lowest; {TRIANGLES}"]
    lines += [] if level is None else [f"dotted: the best signum, {level:.2f}"]
    title = alt.Title("Adam", subtitle=lines)
    symbol = "β" if tied else "β2"
    panels = rate_panels(curves, symbol=symbol, title=title, level=level, among=among)
    if tied:
        return [panels]
    title = alt.Title("Adam, the best over learning rates", subtitle=FRAMED)
    return [panels, gap_map(beta_grid(adam), values="perplexity", title=title)]


def _adam_below(adam: pd.DataFrame, level: float) -> tuple[Headline, ...]:
    if not len(adam) or not math.isfinite(level):
        return ()
    runs, pairs = below(adam, level), below(beta_grid(adam), level)
    tuned = "pairs of β, tuned in learning rate, below the best signum"
    return (
        Headline(
            what="adam runs below the best signum", here=f"{runs[0]} of {runs[1]}", paper="most"
        ),
        Headline(what=tuned, here=f"{pairs[0]} of {pairs[1]}", paper="–"),
    )


def _equal_betas(grid: pd.DataFrame, where: str = "", paper: str = "–") -> tuple[Headline, ...]:
    price = price_of_equal_betas(grid)
    if not len(price):
        return ()
    gaps = [f"{row['gap']:.3f} ({plain(row['beta1'])})" for _, row in price.iterrows()]
    what = f"perplexity that β1=β2 costs{where}, by β1"
    return (Headline(what=what, here=", ".join(gaps), paper=paper),)


def one_batch_size(batch: Batch) -> Callable[[Material, pd.DataFrame], Shown]:
    """Figures 13, 14 and 15: Adam at one of the batch sizes that share a budget.

    Args:
        batch: how it relates to that of the main experiment.
    """

    def draw(material: Material, runs: pd.DataFrame) -> Shown:
        here = select(runs, Selection(batch_size=batch, tokens="any"), material.reference)
        if here["perplexity"].notna().any() and runs["batch_size"].nunique() > 1:
            return replace(adam_alone(material, here, AT_MOST), runs=here)
        which = "two batch sizes" if batch == "same" else f"a batch size {batch} than in Table 1"
        said = f"no runs of adam at {which} with equal tokens"
        return Shown(frame=pd.DataFrame(), missing=(said,))

    return draw


def batch_sizes(material: Material, runs: pd.DataFrame) -> Shown:
    """Figure 3: what other β2 cost at each β1, by batch size."""
    finished = runs[runs["perplexity"].notna()]
    tables = {int(str(size)): cells(some) for size, some in finished.groupby("batch_size")}
    said = ", ".join(str(size) for size in tables)
    missing = (f"adam at other batch sizes than {said}; the paper has 128, 256 and 512",)
    if len(tables) < 2:
        return Shown(frame=pd.DataFrame(), missing=missing)
    grids = {size: beta_grid(table) for size, table in tables.items()}
    shared = set.intersection(*(set(grid["beta1"]) for grid in grids.values()))
    kept = {size: grid[grid["beta1"].isin(shared)] for size, grid in grids.items()}
    sized = [grid.assign(batch_size=size) for size, grid in kept.items()]
    frame = pd.concat(sized, ignore_index=True)
    among = sorted(frame["beta2"].unique())
    maps = [
        gap_map(grid, values="gap", title=small(f"batch size {size}"), among=among)
        for size, grid in kept.items()
    ]
    title = alt.Title(
        "Perplexity above the best β2 of each β1",
        subtitle=[setting_of(finished, but="batch_size"), "learning rate tuned; " + FRAMED],
        fontSize=15,
    )
    headlines = [
        headline
        for size, grid in kept.items()
        for headline in _equal_betas(grid, f" at batch {size}", AT_MOST)
    ]
    return Shown(
        frame=frame,
        chart=alt.vconcat(*maps, spacing=18, title=title),
        headlines=tuple(headlines),
        missing=() if len(tables) > 2 else missing,
    )
