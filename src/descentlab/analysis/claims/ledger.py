"""Claims as data, and what each scale's runs say of them, side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from descentlab.analysis.claims.evidence import Evidence
from descentlab.analysis.claims.finding import Finding, LackingEvidence, Verdict
from descentlab.analysis.statistics.estimate import CONFIDENCE, without_interval
from descentlab.analysis.statistics.multiple_tests import holm

VERDICTS: tuple[Verdict, ...] = ("holds", "does not hold", "cannot be told")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement, what would tell whether it is so, and how."""

    key: str
    """Its name, as in ``adam-below-signum``."""
    statement: str
    where: str
    """In the paper: table, figure or section."""
    needs: str
    """The runs that can tell it."""
    test: str
    """The test and its margin."""
    settle: str = ""
    """What to run to tell it, with ``{scale}`` for the name of a scale that we have a contest at.
    Where there is none, or if it is empty, what the claim needs is to be trained."""
    judge: Callable[[Evidence], Finding] | None = None
    """Judges it by the runs of a scale; raises ``LackingEvidence`` where they are not there."""
    compute: Callable[[], Finding] | None = None
    """Or judges it without runs."""
    family: str = ""
    """Claims that are tested together: their p-values are Holm-corrected at each scale."""

    def __post_init__(self) -> None:
        assert (self.judge is None) != (self.compute is None), self.key


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What every scale says of every claim."""

    claims: Sequence[Claim]
    scales: Sequence[str]
    findings: Mapping[tuple[str, str], Finding]
    """By claim's key and scale; a computed claim has one, at ``COMPUTED``."""

    def of(self, claim: Claim) -> dict[str, Finding]:
        """A claim's findings by scale."""
        columns = (*self.scales, COMPUTED)
        found = {scale: self.findings.get((claim.key, scale)) for scale in columns}
        return {scale: each for scale, each in found.items() if each is not None}

    def counts(self, scale: str) -> dict[Verdict, int]:
        """How often each verdict was given at a scale."""
        given = [each.verdict for (_, where), each in self.findings.items() if where == scale]
        return {verdict: given.count(verdict) for verdict in VERDICTS}


COMPUTED = "computed here"
"""The column of claims that need no runs."""


def judge(claims: Sequence[Claim], scales: Sequence[Evidence]) -> Ledger:
    """Judge every claim at every scale, or compute it once."""
    findings: dict[tuple[str, str], Finding] = {}
    for claim in claims:
        if claim.compute is not None:
            findings[claim.key, COMPUTED] = replace(claim.compute(), claim=claim.statement)
    for scale in scales:
        found = {each.key: _judged(each, scale) for each in claims if each.judge is not None}
        for family in _families(claims):
            keys = [each.key for each in claims if each.family == family]
            found |= corrected({key: found[key] for key in keys}, family)
        findings |= {(key, scale.name): each for key, each in found.items()}
    return Ledger(claims=claims, scales=[each.name for each in scales], findings=findings)


def corrected(findings: Mapping[str, Finding], family: str) -> dict[str, Finding]:
    """Take back verdicts whose p-value does not survive Holm's correction for the family.

    Claims without a p-value were not tested, and do not count among the tests.
    """
    tested = {key: each for key, each in findings.items() if not _untested(each)}
    if not tested:
        return dict(findings)
    p_values = holm([each.estimate.p_value for each in tested.values()])
    result = dict(findings)
    for (key, each), p_value in zip(tested.items(), p_values, strict=True):
        note = f"p = {p_value:.2g} with Holm's correction for the {len(tested)} tests of {family}"
        if p_value <= 1 - CONFIDENCE + 1e-12:
            result[key] = replace(each, caveats=(*each.caveats, note))
        elif each.verdict != "cannot be told":
            result[key] = replace(each, verdict="cannot be told", reason=note)
    return result


def _untested(finding: Finding) -> bool:
    return math.isnan(finding.estimate.p_value)


def _families(claims: Iterable[Claim]) -> list[str]:
    return list(dict.fromkeys(each.family for each in claims if each.family))


def _judged(claim: Claim, evidence: Evidence) -> Finding:
    assert claim.judge is not None
    try:
        return _finished(claim, claim.judge(evidence), evidence)
    except LackingEvidence as lacking:
        nothing = without_interval(math.nan, 0, method="none", reason="no runs to judge by")
        untold = Finding(
            claim=claim.statement,
            verdict="cannot be told",
            effect="",
            estimate=nothing,
            reason=str(lacking),
        )
        return _finished(claim, untold, evidence)


def _finished(claim: Claim, found: Finding, evidence: Evidence) -> Finding:
    """With the claim's words, and what to run where it cannot be told."""
    settle = ""
    if found.verdict == "cannot be told":
        settle = found.settle or _settle(claim, evidence)
    return replace(found, claim=claim.statement, settle=settle)


def _settle(claim: Claim, evidence: Evidence) -> str:
    known = claim.settle and (evidence.contest or "{scale}" not in claim.settle)
    if known and evidence.ours:
        return claim.settle.format(scale=evidence.contest)
    return evidence.settle.format(needs=claim.needs)
