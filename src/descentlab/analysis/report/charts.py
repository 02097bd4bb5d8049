"""The charts of a comparison, as data: what is drawn on a page and what a PDF shows are the same.

Runs that diverged have no place on an axis; they are drawn at its upper edge, and none is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from descentlab.analysis.comparison import SYMBOLS
from descentlab.analysis.report.comparisons import Comparison
from descentlab.analysis.report.document import Axis, CurveChart, LineChart, Series
from descentlab.analysis.statistics.best_after import best_after
from descentlab.analysis.statistics.paired import mean_interval
from descentlab.analysis.tables.methods import TUNED

TIMES = 1.6
"""Where an axis of perplexities ends, as a multiple of the lowest, if no line's best is above."""
PLACES = 16
"""Numbers of trials at which the best of k is shown."""
MOST_CURVES = 60
"""Curves of a method to offer at once; more hide one another."""
ASIDE = 0.15
"""Of the dots of seeds, where their mean stands, as a share of a name's room."""
PERPLEXITY = "held-out perplexity"
DIVERGED = "Triangles at the upper edge lie above it, or diverged."


def rates(comparison: Comparison) -> LineChart | None:
    """Final perplexity of every setting over its learning rate; a line through the best."""
    table = comparison.cells[comparison.cells["perplexity"].notna()]
    if table["lr"].nunique() < 2:
        return None
    left = len(comparison.cells) - len(table)
    missing = f" Without a final loss, and not drawn: {left:,}." if left else ""
    series: list[Series] = []
    for color, method in enumerate(_order(comparison)):
        own = table[table["method"].eq(method)].sort_values("lr")
        series += [*_line_of_best(method, color, own), _points(method, color, own)]
    return LineChart(
        title="Learning rates",
        where=comparison.name,
        alt=(
            f"Final held-out perplexity of {len(table):,} settings over learning rates, for "
            f"{', '.join(_order(comparison))}."
        ),
        note=f"Each dot is a setting; the line is the best at each learning rate. {DIVERGED}"
        + missing,
        x=Axis(title="learning rate", kind="log"),
        y=_perplexities(table),
        series=tuple(series),
    )


def rates_by_decay(comparison: Comparison, method: str, color: int) -> LineChart | None:
    """The same for one method, with a line for each β."""
    table = comparison.cells
    own = table[table["method"].eq(method) & table["perplexity"].notna()]
    if own["lr"].nunique() < 2 or own["decay"].nunique() < 2:
        return None
    pairs = own["beta2"].notna().all() and own["beta1"].nunique() > 1
    symbol = "β1" if pairs else "β"
    lines = [
        _line_of_best(f"{symbol} = {decay:.6g}", place, part.sort_values("lr"))
        for place, (decay, part) in enumerate(own.groupby("decay"))
    ]
    best = ", with the best β2 at each," if pairs else ""
    return LineChart(
        title=f"{method}: learning rates by {symbol}",
        where=comparison.name,
        alt=f"Final perplexity of {method} over learning rates, a line for each {symbol}.",
        note=f"A line for each {symbol}{best} through its best at each learning rate. {DIVERGED}",
        x=Axis(title="learning rate", kind="log"),
        y=_perplexities(own, by="decay"),
        series=tuple(each for line in lines for each in line),
    )


def seeds(comparison: Comparison) -> LineChart | None:
    """Perplexities of the best settings by seed, with the mean of each and its interval."""
    several = [each for each in comparison.apart if len(each.losses) > 1]
    if not several:
        return None
    series = []
    for place, each in enumerate(several):
        color = comparison.apart.index(each)
        estimate = mean_interval(each.losses)
        value, low, high = (_exp(x) for x in (estimate.value, estimate.low, estimate.high))
        points = [x if math.isfinite(x) else None for x in each.perplexities]
        names = tuple(f"seed {seed}" for seed in each.seeds)
        at = (float(place),)
        series.append(
            Series(name=each.name, color=color, x=at * len(points), y=tuple(points), faint=True,
                   labels=names, runs=each.run_ids)
        )  # fmt: skip
        series.append(
            Series(
                name=each.name,
                color=color,
                x=(place + ASIDE,),
                y=(value,),
                low=(low,),
                high=(high,),
                labels=(f"{estimate.method}, n = {estimate.n}",),
            )
        )
    shown = pd.Series([x for each in several for x in each.perplexities])
    wide = shown[np.isfinite(shown)].max() > 4 * shown.min()
    return LineChart(
        title="Best settings by seed",
        where=comparison.name,
        alt="Final perplexity of each method's best setting with each seed, and its mean.",
        note=(
            "Pale dots are seeds; the full one is the exponential of the mean loss, with its "
            "95% interval. Methods share seeds, so differences are surer than these intervals."
        ),
        x=Axis(title="", kind="names", names=tuple(each.name for each in several)),
        y=Axis(title=PERPLEXITY, kind="log" if wide else "linear"),
        series=tuple(series),
    )


def best_of(comparison: Comparison) -> LineChart | None:
    """What the best of k settings reaches, half of the times."""
    finished = comparison.tuning
    sizes = finished.groupby("method")["cell"].nunique()
    if not len(sizes) or sizes.max() < 2:
        return None
    most = int(sizes.max())
    ks = sorted({*np.geomspace(1, most, PLACES).round().astype(int).tolist(), *sizes.tolist()})
    table = best_after(finished, by="method", ks=ks)
    series = []
    for color, method in enumerate(_order(comparison)):
        own = table[table["method"].eq(method)]
        shown = {name: _perplexity(own[name]) for name in ("median", "median_low", "median_high")}
        series.append(
            Series(
                name=method,
                color=color,
                x=tuple(float(k) for k in own["k"]),
                y=shown["median"],
                low=shown["median_low"],
                high=shown["median_high"],
                labels=tuple(f"of {n} settings, {bad} diverged" for n, bad in
                             zip(own["trials"], own["diverged"], strict=True)),
                line=True,
            )
        )  # fmt: skip
    stopped = int(comparison.runs["state"].eq("interrupted").sum())
    left_out = f" {stopped:,} settings that were stopped before their end are left out." * (
        stopped > 0
    )
    frame = pd.DataFrame({"method": table["method"], "perplexity": np.exp(table["median"])})
    return LineChart(
        title="Best of k settings",
        where=comparison.name,
        alt="The median perplexity that the best of k settings reaches, over k, for each method.",
        note=(
            "Half of the draws of k of a method's settings, without replacement, reach the line or "
            "less; the band is its 95% bootstrap interval, which exists up to a quarter of the "
            f"settings.{left_out}"
        ),
        x=Axis(title="settings tried, k", kind="log"),
        y=_perplexities(frame),
        series=tuple(series),
    )


def training(comparison: Comparison, last: pd.Series) -> CurveChart | None:
    """The training curves of the best settings.

    Args:
        comparison: whose.
        last: by run, the training loss at the end of its curve in nats, of runs that have one.
    """
    groups = {
        each.name: tuple(run for run in each.run_ids if run in last.index)
        for each in comparison.apart
    }
    groups = {name: runs for name, runs in groups.items() if runs}
    if not groups:
        return None
    ordered = comparison.frame.sort_values("loss", kind="stable")
    curved = ordered[ordered["run"].isin(last.index)].drop_duplicates(["method", "run"])
    members = {name: tuple(curved.loc[curved["method"].eq(name), "run"]) for name in groups}
    ends = last[[run for runs in groups.values() for run in runs]]
    finite = ends[np.isfinite(ends)]
    return CurveChart(
        title="Training curves",
        where=comparison.name,
        alt=f"Training perplexity of the best settings of {', '.join(groups)}.",
        note=(
            "The runs of each method's best setting. Losses are those of single batches, smoothed: "
            "half-life 3% of the training unless another is chosen. The axis is cut where early "
            "losses would hide the rest."
        ),
        groups=groups,
        members={name: runs[:MOST_CURVES] for name, runs in members.items()},
        counts={name: len(runs) for name, runs in members.items()},
        top=float(4 * math.exp(min(finite.max(), 100.0))) if len(finite) else math.e**12,
    )


def _order(comparison: Comparison) -> list[str]:
    return [each.name for each in comparison.apart]


def _line_of_best(name: str, color: int, own: pd.DataFrame) -> list[Series]:
    """A line through the lowest perplexity at each learning rate."""
    if not len(own):
        return []
    best = own.loc[own.groupby("lr")["perplexity"].idxmin()]
    return [
        Series(
            name=name,
            color=color,
            x=tuple(best["lr"]),
            y=_finite(best["perplexity"]),
            labels=_settings(best),
            runs=tuple(best["run"]),
            line=True,
        )
    ]


def _points(name: str, color: int, own: pd.DataFrame) -> Series:
    return Series(
        name=name,
        color=color,
        x=tuple(own["lr"]),
        y=_finite(own["perplexity"]),
        labels=_settings(own),
        runs=tuple(own["run"]),
        faint=True,
    )


def _settings(own: pd.DataFrame) -> tuple[str, ...]:
    names = [name for name in TUNED if name != "lr" and own[name].notna().any()]
    varied = [name for name in names if own[name].nunique(dropna=False) > 1 or "beta" in name]
    return tuple(
        ", ".join(
            f"{SYMBOLS.get(name, name)} = {_value(value)}"
            for name, value in zip(varied, row, strict=True)
            if not pd.isna(value)
        )
        for row in own[varied].itertuples(index=False, name=None)
    )


def _value(value: float) -> str:
    return "none" if math.isinf(value) else f"{value:.6g}"


def _perplexities(table: pd.DataFrame, by: str = "method") -> Axis:
    """An axis that ends above the best of every line, and leaves out the hopeless settings."""
    finite = table[np.isfinite(table["perplexity"])]
    if not len(finite):
        return Axis(title=PERPLEXITY, kind="log", low=1.0, top=10.0)
    low, high = float(finite["perplexity"].min()), float(finite["perplexity"].max())
    worst = float(finite.groupby(by)["perplexity"].min().max())
    top = min(high, max(TIMES * low, 1.25 * worst))
    return Axis(title=PERPLEXITY, kind="log", low=low * 0.97, top=max(top, low * 1.02) * 1.01)


def _perplexity(losses: pd.Series) -> tuple[float | None, ...]:
    return _finite(_exp(each) for each in losses)


def _finite(values: Iterable[float]) -> tuple[float | None, ...]:
    return tuple(float(each) if math.isfinite(each) else None for each in values)


def _exp(loss: float) -> float:
    return math.exp(loss) if loss < 700 else math.inf
