"""Whether the methods of a table trained on equally many tokens."""

from __future__ import annotations

from collections.abc import Iterator

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.search import Search
from descentlab.analysis.audit.studies import methods_of
from descentlab.analysis.audit.tables import Evidence, Table, billions, listed

CHECK = "unequal-tokens"


def unequal_tokens(evidence: Evidence) -> Iterator[Finding]:
    """Methods of one table that did not all run the same budgets."""
    for table in evidence.tables:
        budgets: dict[frozenset[int | None], list[str]] = {}
        for method, searches in table.methods.items():
            budgets.setdefault(frozenset(each.tokens for each in searches), []).append(method)
        if len(budgets) > 1:
            yield _finding(table, budgets)


def _finding(table: Table, budgets: dict[frozenset[int | None], list[str]]) -> Finding:
    usual = max(budgets, key=lambda each: len(budgets[each]))
    others = [each for each in budgets if each != usual]
    odd = [name for each in others for name in budgets[each]]
    searches = [each for name in odd for each in table.methods[name] if each.tokens not in usual]
    said = [f"{listed(budgets[each])} ran {_budget(table, budgets[each])}" for each in others]
    of_others = [each for name in budgets[usual] for each in table.methods[name]]
    steps = {each.steps for each in of_others}
    best = {
        each.method: (each.settings(each.best), {}) for each in searches if each.best is not None
    }
    line = (
        f"[run]\ntraining.steps = {steps.pop()}\n" if len(steps) == 1 and None not in steps else ""
    )
    return Finding(
        severity="error",
        check=CHECK,
        where=table.name,
        what=f"{'; '.join(said)}, where {listed(budgets[usual])} ran "
        f"{_budget(table, budgets[usual])}",
        why="More tokens lower the loss by themselves, so these rows compare budgets as well as "
        "methods.",
        settle=f"Train the best settings of {listed(odd)} on as many tokens as the others, each "
        "annealed to its own end; or compare only runs of equal budgets.",
        runs=tuple(run for each in searches for run in each.runs),
        study=line + methods_of(best) if best else "",
    )


def _budget(table: Table, methods: list[str]) -> str:
    searches = {(each.tokens, each.steps): each for name in methods for each in table.methods[name]}
    return listed([_one(each) for each in searches.values()])


def _one(search: Search) -> str:
    steps = "" if search.steps is None else f" ({search.steps:,} steps)"
    return f"{billions(search.tokens)}{steps}"
