"""The tables of a comparison: every method with its best setting, and the best against each."""

from __future__ import annotations

import math

from descentlab.analysis.audit.tables import listed
from descentlab.analysis.comparison import SYMBOLS
from descentlab.analysis.report.comparisons import Comparison
from descentlab.analysis.report.document import Column, Grid
from descentlab.analysis.report.verdicts import PAIRED, Pair, pairs, setting_text, settle

RANKING = (
    "Held-out perplexity of each method's best setting: the mean over n seeds, with twice their "
    "standard deviation. settings: how many were tried; diverged: of all its runs; on an edge: the "
    "best setting is the last that was tried on that side."
)


def ranking_grid(comparison: Comparison) -> Grid:
    """Every method with its best setting, its result and what it was given."""
    tuned = list(dict.fromkeys(name for each in comparison.contenders for name in each.best))
    rows = [
        (
            each.name,
            *(setting_text(each.best.get(name)) for name in tuned),
            each.mean,
            _finite(each.two_sigma),
            len(each.losses),
            each.trials,
            each.diverged,
            each.runs,
            ", ".join(each.edges) or None,
            each.steps,
        )
        for each in comparison.contenders
    ]
    return Grid(
        key=f"{comparison.key}-ranking",
        columns=(
            Column("method"),
            *(Column(f"best {SYMBOLS.get(name, name)}") for name in tuned),
            Column("perplexity", ".2f"),
            Column("2σ", ".2f"),
            Column("n", "d"),
            Column("settings", "d"),
            Column("diverged", "d"),
            Column("runs", "d"),
            Column("on an edge"),
            Column("steps", ","),
        ),
        rows=tuple(rows),
        caption=" ".join([RANKING, *_remarks(comparison)]),
    )


def _remarks(comparison: Comparison) -> list[str]:
    """What has to be said beside the numbers of a ranking."""
    remarks = [
        f"{each.name} and {each.same_as} are the same runs, trained once."
        for each in comparison.contenders
        if each.same_as
    ]
    chosen = [each.name for each in comparison.apart if each.choice]
    if chosen:
        remarks.append(
            f"{listed(chosen)}: no seed that tuning did not see, so the numbers are those of the "
            "runs that were chosen for being lowest, which flatters them."
        )
    return remarks


def pairs_grid(comparison: Comparison) -> Grid | None:
    """The best against each other as a table, with n and the test beside every number."""
    found = pairs(comparison)
    if not found:
        return None
    rows = []
    for each in found:
        estimate = each.finding.estimate if each.finding else None
        bounds = (estimate.value, estimate.low, estimate.high) if estimate else (math.nan,) * 3
        has_interval = estimate is not None and estimate.reason is None
        shown = bounds if has_interval else (bounds[0], math.nan, math.nan)
        rows.append(
            (
                each.other.name,
                *(_finite(math.expm1(value)) if value < 700 else None for value in shown),
                estimate.n if estimate else 0,
                _finite(each.p_value),
                _word(each),
                _test(each),
            )
        )
    count = math.comb(len(comparison.apart), 2)
    return Grid(
        key=f"{comparison.key}-pairs",
        columns=(
            Column(f"{comparison.apart[0].name} against"),
            Column("perplexity", "+.1%"),
            Column("from", "+.1%"),
            Column("to", "+.1%"),
            Column("n", "d"),
            Column("p", ".2g"),
            Column("verdict"),
            Column("test"),
        ),
        rows=tuple(rows),
        caption=(
            f"The perplexity of {comparison.apart[0].name}, the best, relative to each other "
            "method: negative is lower. “from” and “to” end the 95% interval. p-values are "
            f"Holm-corrected for all {count} pairs of methods, since the best was chosen among "
            "them. n counts seeds, or single runs where the seed noise was measured elsewhere."
            + _sources(comparison)
        ),
    )


def _sources(comparison: Comparison) -> str:
    """Where seed noise was measured that no run here tells."""
    known = dict.fromkeys(each.noise.source for each in comparison.apart if each.noise)
    return f" Seed noise: {'; '.join(known)}." if known else ""


def _word(pair: Pair) -> str:
    return "lower" if pair.told else f"cannot be told: {settle(pair)}"


def _test(pair: Pair) -> str | None:
    if pair.finding is None:
        return None
    if pair.best.noise and pair.other.noise:
        return "one run each, seed noise measured elsewhere"
    return f"{PAIRED} {pair.finding.estimate.method}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
