"""Runs without a result, and results of runs that went on elsewhere than they began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pandas as pd

from descentlab.analysis.audit.finding import Finding, Severity
from descentlab.analysis.audit.search import paused
from descentlab.analysis.audit.tables import Evidence, listed

UNFINISHED, INEXACT = "no-result", "inexact-resume"


def no_result(evidence: Evidence) -> Iterator[Finding]:
    """Runs that failed, are damaged, were stopped, or have not been trained."""
    frame = evidence.frame
    state = frame["state"].where(~paused(frame), "paused")
    for name, kind in KINDS.items():
        if (mine := frame[state.eq(name)]).empty:
            continue
        severity, said, why, settle = kind
        counts = Counter("unreadable" if pd.isna(each) else each for each in mine["method"])
        whose = listed([f"{count:,} of {method}" for method, count in counts.most_common()])
        reasons = Counter(each for each in mine["reason"] if each and name in ("failed", "damaged"))
        first = [f"{reason} ({count:,})" for reason, count in reasons.most_common(2)]
        yield Finding(
            severity=severity,
            check=UNFINISHED,
            where=", ".join(dict.fromkeys(each for each in mine["sweep"] if each)),
            what=f"{len(mine):,} of {len(frame):,} runs {said}: {whose}"
            + (f"; {'; '.join(first)}" if first else ""),
            why=why,
            settle=settle,
            runs=tuple(mine["run"]),
        )


AGAIN = "Start the same command again: it goes on with what has no result."
KINDS: dict[str, tuple[Severity, str, str, str]] = {
    "failed": (
        "warning",
        "failed",
        "A failure is no divergence: these settings are untried, and the search around them is "
        "smaller than it looks.",
        AGAIN,
    ),
    "damaged": (
        "warning",
        "are damaged and cannot be read",
        "Whatever they found is missing from every table.",
        "Move their folders out of the store and start the same command again.",
    ),
    "running": ("warning", "are still running", "The best of a search may yet change.", AGAIN),
    "pending": ("warning", "have not been trained", "The best of a search may yet change.", AGAIN),
    "interrupted": (
        "warning",
        "were interrupted",
        "The best of a search may yet change.",
        AGAIN,
    ),
    "paused": (
        "note",
        "were paused before their end, as racing does, and have no final loss",
        "They are censored: known to have been behind when they were stopped, and nothing more. "
        "They count as trials, but in no share of runs, mean or response surface.",
        "For statements about whole grids train them to their end: the same command with "
        "--no-racing, or without --racing.",
    ),
}
"""By state: severity, what is said of the runs, why it matters, what to do."""


def inexact_resume(evidence: Evidence) -> Iterator[Finding]:
    """Results of runs that went on with another build, machine or thread count."""
    mine = evidence.frame[evidence.frame["inexact_since"].notna()]
    if mine.empty:
        return
    best = {run for search in evidence.searches if search.best for run in search.best.runs}
    winners = int(mine["run"].isin(best).sum())
    yield Finding(
        severity="warning" if winners else "note",
        check=INEXACT,
        where=", ".join(dict.fromkeys(each for each in mine["sweep"] if each)),
        what=f"{len(mine):,} runs went on with another build, machine or thread count than they "
        f"began with, {winners:,} of them at a best setting",
        why="They cannot be repeated to the bit, and rounding alone can move a close choice.",
        settle="Move these runs out of the store and train them again on one machine.",
        runs=tuple(mine["run"]),
    )
