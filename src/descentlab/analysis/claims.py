"""Claims about a comparison: a statement, its test over paired seeds, and a verdict.

A claim holds if the whole 95% interval of its effect is on the claimed side, does not
hold at this scale if the whole interval is on the other side, and cannot be told else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from descentlab.analysis.comparison import Contender
from descentlab.analysis.statistics.estimate import Estimate
from descentlab.analysis.statistics.paired import mean_interval, paired_difference

Verdict = Literal["holds", "not at this scale", "cannot be told"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the runs say of one claim."""

    claim: str
    verdict: Verdict
    effect: str
    """The effect size with its interval, in words."""
    estimate: Estimate


def lower_perplexity(claim: str, better: Contender, worse: Contender) -> Finding:
    """Test that one contender's perplexity is below another's, with the same seeds."""
    difference = paired_difference(better.losses, worse.losses)
    return Finding(
        claim=claim,
        verdict=_verdict(difference, below=0.0),
        effect=_percent_of(better.name, worse.name, difference),
        estimate=difference,
    )


def all_lower_perplexity(claim: str, better: Sequence[Contender], worse: Contender) -> Finding:
    """Test that each of several contenders is below one.

    All must hold, so the finding is the weakest of theirs and needs no correction for
    the number of tests (intersection-union test, Berger 1982).
    """
    findings = [lower_perplexity(claim, each, worse) for each in better]
    severity = {"not at this scale": 0, "cannot be told": 1, "holds": 2}
    return min(findings, key=lambda each: (severity[each.verdict], -_number(each.estimate.high)))


def share_of_gap(
    claim: str, *, closes: Contender, worst: Contender, best: Contender, at_least: float
) -> Finding:
    """Estimate which share of the perplexity gap from worst to best a contender closes."""
    triples = list(zip(worst.perplexities, closes.perplexities, best.perplexities, strict=True))
    without = sum(not high > low for high, _, low in triples)
    shares = mean_interval(
        [
            (high - middle) / (high - low) if high > low else math.nan
            for high, middle, low in triples
        ]
    )
    if without:
        reason = f"{best.name} is not below {worst.name} with {without} of {len(triples)} seeds"
        shares = replace(shares, reason=reason)
    effect = f"{closes.name} closes {shares.value:.1%}{_interval(shares, '.1%')} of the gap"
    if math.isnan(shares.value):
        effect = f"the gap that {closes.name} closes: {shares.reason}"
    return Finding(
        claim=claim, verdict=_verdict(shares, above=at_least), effect=effect, estimate=shares
    )


def _verdict(
    estimate: Estimate, *, below: float | None = None, above: float | None = None
) -> Verdict:
    if estimate.reason is not None:
        return "cannot be told"
    if below is not None:
        yes, no = estimate.high < below, estimate.low > below
    else:
        assert above is not None
        yes, no = estimate.low > above, estimate.high < above
    return "holds" if yes else "not at this scale" if no else "cannot be told"


def _percent_of(better: str, worse: str, difference: Estimate) -> str:
    """Say a difference of losses as a ratio of perplexities."""
    if difference.reason is not None and not math.isfinite(difference.value):
        return f"{better} against {worse}: {difference.reason}"
    ratio = replace(
        difference,
        value=math.exp(difference.value),
        low=math.exp(difference.low),
        high=math.exp(difference.high),
    )
    return f"perplexity of {better} is {ratio.value:.1%}{_interval(ratio, '.1%')} of {worse}'s"


def _interval(estimate: Estimate, form: str) -> str:
    if estimate.reason is not None:
        return f" ({estimate.reason})"
    return f" [{estimate.low:{form}}, {estimate.high:{form}}]"


def _number(value: float) -> float:
    return math.inf if math.isnan(value) else value


def markdown(findings: Sequence[Finding]) -> str:
    """The findings for people, as a Markdown list."""
    return "\n".join(
        f"- {each.claim}: **{each.verdict}** – {each.effect}; n={each.estimate.n}"
        for each in findings
    )


def as_records(findings: Sequence[Finding]) -> list[Mapping[str, object]]:
    """The findings as plain data; bounds that do not exist are null."""
    return [
        {
            "claim": each.claim,
            "verdict": each.verdict,
            "effect": each.effect,
            "value": _or_none(each.estimate.value),
            "low": _or_none(each.estimate.low),
            "high": _or_none(each.estimate.high),
            "confidence": each.estimate.confidence,
            "method": each.estimate.method,
            "n": each.estimate.n,
        }
        for each in findings
    ]


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
