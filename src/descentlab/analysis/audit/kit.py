"""All checks in their order, and the run of them over a table of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import pandas as pd

from descentlab.analysis.audit import (
    budgets,
    edges,
    endings,
    floors,
    isolation,
    missing,
    nuisances,
    repeats,
    seeds,
    sentinels,
    tokens,
    trials,
    twins,
    unrecorded,
)
from descentlab.analysis.audit.finding import Finding, gravest_first
from descentlab.analysis.audit.tables import Evidence

Check = Callable[[Evidence], Iterable[Finding]]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        tokens.CHECK: tokens.unequal_tokens,
        nuisances.BETWEEN: nuisances.changed_between_methods,
        nuisances.WITHIN: nuisances.changed_within_a_method,
        floors.CHECK: floors.schedule_floor,
        twins.CHECK: twins.same_method,
        trials.CHECK: trials.unequal_trials,
        edges.CHECK: edges.optimum_on_an_edge,
        isolation.CHECK: isolation.isolated_optimum,
        seeds.FEW: seeds.few_seeds,
        seeds.SAME: seeds.tuned_on_its_judges,
        sentinels.CHECK: sentinels.sentinel_values,
        repeats.CELL: repeats.duplicated_cells,
        repeats.CURVE: repeats.equal_curves,
        budgets.BUDGET: budgets.budget_name,
        budgets.BATCH: budgets.batch_name,
        endings.UNFINISHED: endings.no_result,
        endings.INEXACT: endings.inexact_resume,
        missing.CHECK: missing.missing_cells,
        unrecorded.CHECK: unrecorded.not_on_record,
    }
)
"""By the name that findings carry."""


def audit(runs: pd.DataFrame) -> list[Finding]:
    """Look for what makes comparisons among runs unfair, fragile or unclear.

    Args:
        runs: as ``analysis.load`` gives them, or some of them.

    Returns:
        What was found, the gravest first, and in the order of ``CHECKS``.
    """
    return audited(runs)[1]


def audited(runs: pd.DataFrame) -> tuple[Evidence, list[Finding]]:
    """The same, with what was compared with what."""
    evidence = Evidence(runs.reset_index(drop=True))
    found = [finding for check in CHECKS.values() for finding in check(evidence)]
    return evidence, sorted(found, key=gravest_first)
