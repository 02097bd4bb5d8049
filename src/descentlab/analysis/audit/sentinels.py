"""Final perplexities that no training produced: stand-ins for divergence, imputed, typed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.tables import Evidence, listed
from descentlab.model.spec import SIZES

CHECK = "sentinel-values"
ABSURD = 1e6
"""A perplexity that no vocabulary has."""
NEAR = 0.02
"""In nats: how far the perplexity of an untrained model may lie from what theory says."""
REPEATED = 3
"""Runs of different settings with one and the same perplexity are no coincidence from here on."""


def sentinel_values(evidence: Evidence) -> Iterator[Finding]:
    """Values that stand for something else, by kind, in the runs of each source."""
    for source, runs in evidence.frame.groupby("source", sort=False):
        values = _told(runs)
        left = pd.Series(True, index=runs.index)
        for kind in KINDS:
            mine = kind.found(runs, values) & left
            left &= ~mine
            if mine.any():
                yield _finding(str(source), kind, runs[mine], values[mine])


def _told(runs: pd.DataFrame) -> pd.Series:
    """The final perplexity as the source has it; NaN where it has none."""
    said = [each.get("final_perplexity") for each in runs["reported"]]
    reported = pd.Series(said, index=runs.index, dtype=float)
    measured = runs["perplexity"].where(~runs["diverged"])
    given = pd.Series([value is not None for value in said], index=runs.index)
    # A value that is no number was told all the same.
    return reported.where(reported.notna(), math.inf).where(given, measured)


def _untrained(runs: pd.DataFrame, values: pd.Series) -> pd.Series:
    first = runs["model"].map(_first_loss)
    finite = values.where(values < math.inf)
    return (finite.map(math.log, na_action="ignore") - first).abs() <= NEAR


def _first_loss(model: object) -> float:
    known = SIZES.get(str(model))
    return math.nan if known is None else known.expected_first_loss


def _absurd(runs: pd.DataFrame, values: pd.Series) -> pd.Series:
    return values > ABSURD


def _typed(runs: pd.DataFrame, values: pd.Series) -> pd.Series:
    if not runs["points"].gt(0).any():
        return pd.Series(False, index=runs.index)
    bare = runs["points"].eq(0).fillna(False).astype(bool)
    whole = [math.isfinite(each) and float(f"{each:.2g}") == each for each in values]
    return bare & pd.Series(whole, runs.index)


def _repeated(runs: pd.DataFrame, values: pd.Series) -> pd.Series:
    exact = values.where(values != values.round(2))  # rounded ones meet by chance
    counts = exact.groupby(exact).transform("size")
    settings = pd.Series([str(sorted(each.items())) for each in runs["settings"]], runs.index)
    different = settings.groupby(exact).transform("nunique")
    curves = runs["curve"].groupby(exact).transform("nunique")
    # One curve for all is the same run many times, which is another check's.
    # What was computed here was computed; equal ends of our own runs are another check's, too.
    return (counts >= REPEATED) & (different > 1) & (curves != 1) & runs["points"].notna()


def _missing(runs: pd.DataFrame, values: pd.Series) -> pd.Series:
    return runs["state"].eq("done") & ~runs["diverged"] & runs["perplexity"].isna()


@dataclass(frozen=True)
class _Kind:
    """A kind of values, which runs have them, and what to do about these."""

    found: Callable[[pd.DataFrame, pd.Series], pd.Series]
    said: str
    settle: str


DIVERGED = "Rank them as diverged, and leave the numbers out of every mean."
KINDS = (
    _Kind(_untrained, "is that of the untrained model", DIVERGED),
    _Kind(_absurd, "is more than any vocabulary has", DIVERGED),
    _Kind(
        _typed,
        "is a round number without a curve, typed by hand where other runs have curves",
        "Run these settings again, or leave them out: nothing shows that they ever ran.",
    ),
    _Kind(
        _repeated,
        "is one and the same for different settings",
        "Ask where the number is from; run these settings again, or leave them out.",
    ),
    _Kind(
        _missing,
        "is missing, though they count as done",
        "Find their results, or run them again.",
    ),
)


def _finding(source: str, kind: _Kind, runs: pd.DataFrame, values: pd.Series) -> Finding:
    counted = values.dropna().map(_shown).value_counts()
    shown = [f"{value} in {count:,}" for value, count in counted.head(4).items()]
    shown += [f"{len(counted) - 4} more values"] * (len(counted) > 4)
    shown = [str(counted.index[0])] if len(runs) == 1 == len(counted) else shown
    results = int((~runs["diverged"]).sum())
    marked = f"{results:,} of them count as results" if results else "all count as diverged here"
    of = "1 run" if len(runs) == 1 else f"{len(runs):,} runs"
    return Finding(
        severity="error" if results and len(counted) else "warning",
        check=CHECK,
        where=source,
        what=f"the final perplexity of {of} {kind.said}"
        + (f": {listed(shown)}; {marked}" if len(counted) else ""),
        why="A mean, a fit or a response surface over such values shows the stand-in, not the "
        "method.",
        settle=kind.settle,
        runs=tuple(runs["run"]),
    )


def _shown(value: float) -> str:
    return f"{value:.2f}".removesuffix(".00") if value < ABSURD else f"{value:.3g}"
