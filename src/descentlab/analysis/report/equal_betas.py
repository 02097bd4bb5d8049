"""What β1 = β2 costs Adam in a comparison: pair by pair, against luck, and on a fitted surface."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from descentlab.analysis.claims.seed_noise import SeedNoise
from descentlab.analysis.report.comparisons import Comparison
from descentlab.analysis.report.document import (
    Block,
    Cell,
    Chart,
    Column,
    Figure,
    Grid,
    HeatMap,
    Items,
)
from descentlab.analysis.statistics.near_optimality import family_regret
from descentlab.analysis.statistics.response_surface import (
    ResponseSurface,
    equal_betas_regret,
    fit_surface,
)
from descentlab.analysis.tables.betas import (
    beta_grid,
    largest_colored_gap,
    price_of_equal_betas,
)
from descentlab.errors import ConfigError

WITHIN = 0.05
"""Nats above the best up to which settings are fitted: a quadratic describes no whole grid."""
SIDE = 25
"""Cells of the drawn surface along each β."""
RATES = 60
"""Learning rates at which the drawn surface is searched for its lowest loss."""

Pair = Mapping[Any, Any]
"""A row of ``beta_grid``."""


@dataclass(frozen=True, kw_only=True)
class EqualBetas:
    """What is to be shown of it, for one method."""

    blocks: tuple[Block, ...]
    charts: dict[str, Chart]


def equal_betas(comparison: Comparison, method: str) -> EqualBetas | None:
    """What a comparison tells of β1 = β2 for a method; None if it has no grid of both.

    Args:
        comparison: to look at.
        method: that has two betas.
    """
    own = comparison.cells[comparison.cells["method"].eq(method)]
    if own["beta1"].nunique() < 2 or own["beta2"].nunique() < 2:
        return None
    if own["beta1"].eq(own["beta2"]).all():  # one β under two names
        return None
    grid = beta_grid(own)
    key = f"{comparison.key}-{slug(method)}-betas"
    noise = seed_noise(comparison, method)
    charts: dict[str, Chart] = {key: heat_map(grid, f"{method}: pairs of β", comparison.name)}
    blocks: list[Block] = [Figure(key)]
    prices = price_of_equal_betas(grid)
    if len(prices):
        blocks.append(_prices(grid, prices, noise, key))
    try:
        surface = _fit(comparison, method, noise)
    except ConfigError as error:
        blocks.append(Items((f"No response surface: {error}.",)))
    else:
        charts[f"{key}-surface"] = surface_map(
            surface, f"{method}: response surface", comparison.name
        )
        blocks += [Figure(f"{key}-surface"), Items(tuple(_said(surface)))]
    return EqualBetas(blocks=tuple(blocks), charts=charts)


def seed_noise(comparison: Comparison, method: str) -> SeedNoise | None:
    """The noise of a method over seeds: as declared, or of its settings that ran with several."""
    if method in comparison.noise:
        return comparison.noise[method]
    done = comparison.runs[comparison.runs["state"].eq("done")]
    grouped = done[done["method"].eq(method)].groupby("cell")["loss"]
    variances, sizes = grouped.var(), grouped.count()
    several = (sizes > 1) & variances.map(math.isfinite)
    df = int((sizes - 1)[several].sum())
    if not df:
        return None
    sd = math.sqrt(float((variances * (sizes - 1))[several].sum()) / df)
    runs = df + int(several.sum())
    return SeedNoise(
        sd=sd, df=df, source=f"the seed noise of {method} in {runs} runs of this table"
    )


def heat_map(grid: pd.DataFrame, title: str, where: str) -> HeatMap:
    """The best perplexity over learning rates for each pair, coloured by the gap to its row's best.

    Args:
        grid: from ``beta_grid``.
        title: of the map.
        where: the comparison.
    """
    columns = sorted(grid["beta2"].unique())
    rows = sorted(grid["beta1"].unique(), reverse=True)
    at: dict[Any, Pair] = {(each["beta1"], each["beta2"]): each for each in grid.to_dict("records")}
    cells = [[at.get((row, column)) for column in columns] for row in rows]
    return HeatMap(
        title=title,
        where=where,
        alt=(
            f"Final perplexity for {len(grid)} pairs of β1 and β2 with the learning rate tuned "
            "for each; pairs of equal β are framed."
        ),
        note=(
            "Perplexity at the best learning rate that was tried for each pair. The colour is the "
            "gap to the best of its row; bold is the best of a row; frames have β1 = β2; at × all "
            "learning rates diverged."
        ),
        x="β2",
        y="β1",
        columns=tuple(f"{each:.6g}" for each in columns),
        rows=tuple(f"{each:.6g}" for each in rows),
        values=tuple(tuple(_gap(each) for each in row) for row in cells),
        texts=tuple(tuple(_text(each) for each in row) for row in cells),
        labels=tuple(tuple(_label(each) for each in row) for row in cells),
        marked=tuple(
            (i, j)
            for i, row in enumerate(rows)
            for j, column in enumerate(columns)
            if row == column and cells[i][j] is not None
        ),
        scale="gap to the row's best, perplexity",
        cap=largest_colored_gap(grid["perplexity"]),
    )


def surface_map(surface: ResponseSurface, title: str, where: str) -> HeatMap:
    """The fitted loss over both betas, at the best learning rate of each pair."""
    low, high = surface.center - surface.half_range, surface.center + surface.half_range
    rates = np.exp(np.linspace(low[0], high[0], RATES))
    first = -np.expm1(np.linspace(high[1], low[1], SIDE))
    second = -np.expm1(np.linspace(high[2], low[2], SIDE))
    losses = surface.loss(rates[:, None, None], first[None, :, None], second[None, None, :])
    gaps = (losses.min(axis=0) - surface.optimum.loss)[::-1]
    rows = first[::-1]
    diagonal = [
        (i, int(np.argmin(np.abs(np.log1p(-second) - math.log1p(-row)))))
        for i, row in enumerate(rows)
        if second.min() - 1e-12 <= row <= second.max() + 1e-12
    ]
    lowest = divmod(int(np.argmin(gaps)), SIDE)
    return HeatMap(
        title=title,
        where=where,
        alt="The fitted loss over β1 and β2; the line of equal β is framed.",
        note=(
            "A quadratic in log lr, log(1 − β1) and log(1 − β2), fitted to the settings within "
            f"{WITHIN} nats of the best, at the best learning rate of each pair. Frames have "
            "β1 = β2, the cross is the lowest point. Read its doubts first."
        ),
        x="β2",
        y="β1",
        columns=tuple(f"{each:.4f}" for each in second),
        rows=tuple(f"{each:.4f}" for each in rows),
        values=tuple(tuple(float(each) for each in row) for row in gaps),
        marked=tuple(diagonal),
        best=(int(lowest[0]), int(lowest[1])),
        scale="loss above the lowest, nats",
        cap=float(min(WITHIN, max(gaps.max(), 1e-6))),
    )


def _prices(grid: pd.DataFrame, prices: pd.DataFrame, noise: SeedNoise | None, key: str) -> Grid:
    """What equal betas cost in each row of β1, and whether luck explains it."""
    rows: list[tuple[Cell, ...]] = []
    for beta1, *price in prices.itertuples(index=False, name=None):
        row = grid[grid["beta1"].eq(beta1) & grid["perplexity"].notna()]
        p_value = None
        if noise is not None:
            losses = np.log(row["perplexity"].to_numpy(dtype=float))
            equal = row["equal"].to_numpy(dtype=bool)
            found = family_regret(losses[equal], losses[~equal], noise=noise.sd).p_value
            p_value = float(found) if math.isfinite(found) else None
        rows.append((beta1, *price, len(row), p_value))
    source = f"noise: {noise.source}, sd {noise.sd:.2g} nats" if noise else "no noise is known"
    return Grid(
        key=f"{key}-prices",
        columns=(
            Column("β1", ".6g"),
            Column("best β2", ".6g"),
            Column("perplexity there", ".2f"),
            Column("with β2 = β1", ".2f"),
            Column("difference", ".2f"),
            Column("β2 tried", "d"),
            Column("p", ".2g"),
        ),
        rows=tuple(rows),
        caption=(
            "What equal β cost at each β1, the learning rate tuned for each pair. p is the chance "
            "of so large a difference if all pairs of the row were equally good: the best of many "
            f"is partly lucky (order statistics, uncorrected over rows; {source})."
        ),
    )


def _fit(comparison: Comparison, method: str, noise: SeedNoise | None) -> ResponseSurface:
    runs = comparison.tuning[comparison.tuning["method"].eq(method)]
    columns = [runs[name].to_numpy(dtype=float) for name in ("lr", "beta1", "beta2", "loss")]
    return fit_surface(*columns, within=WITHIN, noise=noise.sd if noise else None)


def _said(surface: ResponseSurface) -> list[str]:
    """What the surface says, and why not to trust it."""
    regret = equal_betas_regret(surface)
    best, equal = surface.optimum, surface.equal_betas
    doubts = "; ".join(surface.doubts)
    return [
        f"On the surface β1 = β2 costs {regret.value:.4f} nats, 95% interval {regret.low:.4f} to "
        f"{regret.high:.4f} (residual bootstrap, n = {surface.n} settings, R² = "
        f"{surface.r_squared:.2f}; {surface.left_out:,} settings left out).",
        f"Its lowest point: lr = {best.lr:.3g}, β1 = {best.beta1:.3g}, β2 = {best.beta2:.3g}; with "
        f"equal β: lr = {equal.lr:.3g}, β = {equal.beta1:.3g}.",
        f"Doubts: {doubts}." if doubts else "No doubt is raised against it.",
    ]


def _gap(cell: Pair | None) -> float | None:
    if cell is None or math.isnan(cell["perplexity"]):
        return None
    return float(cell["gap"]) if math.isfinite(cell["perplexity"]) else math.inf


def _text(cell: Pair | None) -> str:
    if cell is None or math.isnan(cell["perplexity"]):
        return ""
    value = cell["perplexity"]
    return "×" if math.isinf(value) else f"{value:.{2 if value < 100 else 0}f}"


def _label(cell: Pair | None) -> str:
    if cell is None:
        return "not tried"
    said = f"{cell['tried']} learning rates"
    if math.isfinite(cell["lr"]):
        said += f", best at lr = {cell['lr']:.4g}"
    counts = [f"{cell[each]} {each}" for each in ("diverged", "stopped") if cell[each]]
    return ", ".join([said, *counts])


def slug(name: str) -> str:
    """A name as part of a key: letters, digits and hyphens.

    >>> slug("sgd+Gclip, 2.5B tokens")
    'sgd-gclip-2-5b-tokens'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
