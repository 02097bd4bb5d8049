"""What the runs say of one claim: a verdict with its effect, or why there is none.

A claim holds if the whole interval of its effect is on the claimed side, does not hold if
the whole interval is on the other side, and cannot be told else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from descentlab.analysis.statistics.estimate import CONFIDENCE, Estimate

Verdict = Literal["holds", "does not hold", "cannot be told"]

SEVERITY: Mapping[Verdict, int] = {"does not hold": 0, "cannot be told": 1, "holds": 2}
"""The weakest of several verdicts comes first."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the runs say of one claim."""

    claim: str
    verdict: Verdict
    effect: str
    """The effect size with its interval, in words; empty where no runs are there to show one."""
    estimate: Estimate
    counted: str = "seeds"
    """What ``estimate.n`` counts."""
    reason: str = ""
    """Why it cannot be told."""
    settle: str = ""
    """What to run to tell it."""
    caveats: tuple[str, ...] = ()
    """What the verdict rests on that a reader would want to know."""


class LackingEvidence(Exception):
    """Runs that a claim needs and that a scale does not have; its text says which."""


def verdict(
    estimate: Estimate,
    *,
    below: float | None = None,
    above: float | None = None,
    within: tuple[float, float] | None = None,
) -> Verdict:
    """Judge by where the whole interval lies.

    Args:
        estimate: of the effect.
        below: the claim is that the effect is below this,
        above: or above this,
        within: or between these two.

    >>> estimate = Estimate(0.5, 0.4, 0.6, 3, method="made up")
    >>> verdict(estimate, above=0.3), verdict(estimate, within=(0.0, 0.5))
    ('holds', 'cannot be told')
    """
    low, high = estimate.low, estimate.high
    if estimate.reason is not None or math.isnan(low) or math.isnan(high):
        return "cannot be told"
    if within is not None:
        yes, no = within[0] < low and high < within[1], high < within[0] or low > within[1]
    elif below is not None:
        yes, no = high < below, low > below
    else:
        assert above is not None
        yes, no = low > above, high < above
    return "holds" if yes else "does not hold" if no else "cannot be told"


def shown(estimate: Estimate, form: str) -> str:
    """A number with its bounds in brackets, at 95% unless they say else; or why it has none.

    >>> shown(Estimate(0.5, 0.4, 0.6, 3, method="made up"), ".0%")
    '50% [40%, 60%]'
    """
    if estimate.reason is not None:
        return f"{estimate.value:{form}} ({estimate.reason})"
    other = "" if estimate.confidence == CONFIDENCE else f"{estimate.confidence:.0%}: "
    return f"{estimate.value:{form}} [{other}{estimate.low:{form}}, {estimate.high:{form}}]"


def said(finding: Finding) -> list[str]:
    """The effect and how often it was seen, and why it cannot be told; then notes on it."""
    notes = [finding.reason] if finding.reason else []
    if finding.effect:
        notes.insert(0, f"{finding.effect}; n = {finding.estimate.n} {finding.counted}")
    return [*notes, *finding.caveats]


def markdown(findings: Sequence[Finding]) -> str:
    """The findings for people, as a Markdown list."""
    return "\n".join(
        f"- {each.claim.rstrip('.')}: **{each.verdict}** – {'; '.join(said(each))}"
        for each in findings
    )


def as_record(finding: Finding) -> dict[str, object]:
    """A finding as plain data; bounds that do not exist are null."""
    estimate = finding.estimate
    return {
        "claim": finding.claim,
        "verdict": finding.verdict,
        "effect": finding.effect,
        "value": _or_none(estimate.value),
        "low": _or_none(estimate.low),
        "high": _or_none(estimate.high),
        "confidence": estimate.confidence,
        "p_value": _or_none(estimate.p_value),
        "n": estimate.n,
        "counted": finding.counted,
        "method": estimate.method,
        "reason": finding.reason,
        "settle": finding.settle,
        "caveats": list(finding.caveats),
    }


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
