"""Settings that are no method's own and yet differ, between methods or within one."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from descentlab.analysis.audit.finding import Finding, Severity
from descentlab.analysis.audit.tables import (
    NOT_ON_RECORD,
    Evidence,
    Table,
    crossed,
    listed,
    nuisance,
    written,
)

BETWEEN, WITHIN = "changed-between-methods", "changed-within-a-method"
GRAVE = ("model", "data", "data.sequence_length", "training.batch_size")
"""Where these differ, the methods did not do the same task."""
OF_SOME = {
    "optimizer.weight_decay": (),
    "optimizer.clip_norm": ("sgd", "sgd+Gclip", "sgd+Cclip", "emasign", "signsgd"),
    "optimizer.eps": ("signum", "emasign", "signsgd", "sgd", "sgd+Gclip", "sgd+Cclip"),
}
"""Settings of optimizers that comparisons fix, with the methods of which each is no nuisance.

Clipping is in the name of SGD's variants and leaves every sign as it is; ε of Signum is another
quantity.
"""


def changed_between_methods(evidence: Evidence) -> Iterator[Finding]:
    """Settings whose values differ between the methods of a table."""
    for table in evidence.tables:
        methods = _methods(table)
        for key, values in _settings(table.frame).items():
            exempt = OF_SOME.get(key, ())
            counted = values[~table.frame["method"].isin(exempt)]
            sets: dict[frozenset[str], list[str]] = {}
            for method, own in counted.groupby(methods[counted.index], sort=False):
                known = frozenset(own) - {NOT_ON_RECORD}
                if known:
                    sets.setdefault(known, []).append(str(method))
            if len(sets) > 1:
                yield _between(table, key, sets, counted.index)


def changed_within_a_method(evidence: Evidence) -> Iterator[Finding]:
    """Settings that change along with a method's tuned ones, so that neither's effect is seen."""
    for table in evidence.tables:
        for search in table.searches:
            for key, values in _settings(search.frame).items():
                own = key.removeprefix("optimizer.")
                others = search.coordinates.drop(columns=own, errors="ignore")
                if key in OF_SOME:  # a run that two methods share has what one of them has
                    values = values[values != NOT_ON_RECORD]
                    others = others.loc[values.index]
                if values.nunique() > 1 and not crossed(values, others):
                    said = listed([f"{value} ({count})" for value, count in
                                   values.value_counts().head(4).items()])  # fmt: skip
                    yield Finding(
                        severity=_severity(key),
                        check=WITHIN,
                        where=search.where,
                        what=f"{key} changes within the runs of {search.method}: {said}, with "
                        "other settings beside it",
                        why="What differs between these runs may be due to either setting.",
                        settle=f"Keep one value of {key}, or run every setting with each.",
                        runs=search.runs,
                    )


def _settings(frame: pd.DataFrame) -> dict[str, pd.Series]:
    settings = nuisance(frame).drop(columns="training.tokens")  # it has a check of its own
    found = {str(key): settings[key] for key in settings}
    for key in OF_SOME:
        values = [written(value) for value in frame[key.removeprefix("optimizer.")]]
        found[key] = pd.Series(values, index=frame.index)
    return found


def _methods(table: Table) -> pd.Series:
    names = [pd.Series(each.method, index=each.frame.index) for each in table.searches]
    return pd.concat(names)


def _between(
    table: Table, key: str, sets: dict[frozenset[str], list[str]], index: pd.Index
) -> Finding:
    said = [f"{listed(sorted(values))} for {listed(methods)}" for values, methods in sets.items()]
    usual = max(sets, key=lambda each: len(sets[each]))
    tuned = [name for values, names in sets.items() if len(values) > 1 for name in names]
    tuned = tuned if len(tuned) < sum(map(len, sets.values())) else []
    odd = [name for values, names in sets.items() if values != usual for name in names]
    methods = _methods(table)
    runs = table.frame.loc[methods.index[methods.isin(odd)].intersection(index)]
    alone = f", and was varied for {listed(tuned)} alone" if tuned else ""
    return Finding(
        severity=_severity(key),
        check=BETWEEN,
        where=table.name,
        what=f"{key} is {'; '.join(said)}{alone}",
        why="The difference between these methods is also one between these settings, and to "
        "tune one more setting is an advantage of its own.",
        settle=f"Run the best settings of {listed(odd)} with {key} = {listed(sorted(usual))} too, "
        "or tune it for every method.",
        runs=tuple(runs["run"]),
    )


def _severity(key: str) -> Severity:
    return "error" if key in GRAVE or key.startswith("model.") else "warning"
