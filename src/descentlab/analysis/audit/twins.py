"""Methods of one table that are one method, by algebra, at the settings that were tried."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.search import Search
from descentlab.analysis.audit.tables import Evidence, billions
from descentlab.analysis.imports.duplicates import settings_key
from descentlab.config import set_path

CHECK = "same-method"
SHARE = 0.5
"""Of the smaller search's settings: methods that meet at an end of an axis share fewer."""


def same_method(evidence: Evidence) -> Iterator[Finding]:
    """Pairs of methods whose settings have one canonical form, so that they cannot differ.

    The canonical form leaves out what has no effect, such as clipping coordinates to 1 after
    momentum that averages gradients whose norm was clipped to 1.
    """
    for table in evidence.tables:
        keys = {each: _keys(each) for each in table.searches}
        for one, other in itertools.combinations(table.searches, 2):
            if one.method == other.method:
                continue
            common = keys[one].keys() & keys[other].keys()
            if len(common) > SHARE * min(len(keys[one]), len(keys[other])):
                yield _finding(table.name, one, other, len(common))


def _keys(search: Search) -> Mapping[bytes, str]:
    """By the canonical form of its settings, a run; none where constants differ by tensor."""
    found = {}
    for run, settings in zip(search.frame["run"], search.frame["settings"], strict=True):
        if any(key.startswith("optimizer.relative.") for key in settings):
            return {}
        optimizer: dict[str, Any] = {}
        for key, value in settings.items():
            if key.startswith("optimizer."):
                set_path(optimizer, key.removeprefix("optimizer."), value)
        found[settings_key(optimizer)] = run
    return found


def _finding(where: str, one: Search, other: Search, common: int) -> Finding:
    same_runs = {*one.runs} <= {*other.runs} or {*other.runs} <= {*one.runs}
    said = "the same runs" if same_runs else (
        f"other runs: {_result(one)}, against {_result(other)}")  # fmt: skip
    return Finding(
        severity="note" if same_runs else "warning",
        check=CHECK,
        where=where,
        what=f"{one.method} and {other.method} are one method at {common:,} settings, since what "
        f"tells them apart has no effect there; they are {said}",
        why="They are one row of the table."
        if same_runs
        else "Whatever differs between the two rows is due to something else than the method.",
        settle="Name them together, and count their trials once."
        if same_runs
        else "Look for what else differs: tokens, seeds, or an implementation that is not as "
        "described.",
        runs=tuple(dict.fromkeys([*one.runs, *other.runs])),
    )


def _result(search: Search) -> str:
    if search.best is None:
        return f"{search.method} has no result"
    loss = search.loss(search.best)
    return f"perplexity {math.exp(loss):.2f} at best after {billions(search.tokens)}"
