"""What the audit found and what runs say of claims, as sections of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from descentlab.analysis.audit.finding import SEVERITIES, Finding, Severity
from descentlab.analysis.audit.report import HEADINGS, shortened, summary
from descentlab.analysis.audit.tables import Evidence, listed
from descentlab.analysis.claims.rendering import INTRODUCTION
from descentlab.analysis.report.document import (
    Block,
    Code,
    Column,
    Details,
    Grid,
    Paragraph,
    Section,
    Tone,
    Verdict,
)

Records = Sequence[Mapping[str, Any]]
"""Claims with their findings, as ``claims.rendering.as_records`` gives them."""
TONES: Mapping[str, Tone] = {
    "error": "bad",
    "warning": "warning",
    "note": "quiet",
    "holds": "good",
    "does not hold": "bad",
    "cannot be told": "quiet",
}


def audit_section(evidence: Evidence, findings: Sequence[Finding]) -> Section:
    """What a sceptical reviewer would ask, the gravest first; notes are folded away."""
    counts = Counter((each.severity, each.check) for each in findings)
    blocks: list[Block] = [
        Paragraph(summary(evidence, findings)),
        Paragraph(
            "An error says that a comparison is wrong as it stands, a warning that it may be, a "
            "note what has to be said beside it.",
            quiet=True,
        ),
    ]
    if findings:
        rows = tuple((check, severity, count) for (severity, check), count in counts.items())
        columns = (Column("check"), Column("severity"), Column("findings", "d"))
        blocks.append(
            Grid(
                key="audit",
                columns=columns,
                rows=rows,
                caption="How often each check found something.",
            )
        )
    for severity in SEVERITIES:
        own = [each for each in findings if each.severity == severity]
        if own:
            blocks.append(_of_one_severity(severity, own))
    return Section(key="audit", title="Audit", blocks=tuple(blocks))


def _of_one_severity(severity: Severity, findings: Sequence[Finding]) -> Details:
    blocks: list[Any] = []
    for each in findings:
        count = len(each.runs)
        runs = f"Runs ({count:,}): {shortened(each.runs)}." if each.runs else ""
        details = tuple(part for part in (each.why, runs, f"To settle: {each.settle}") if part)
        blocks.append(
            Verdict(
                badge=severity,
                tone=TONES[severity],
                heading=f"{each.check}: {each.where}",
                sentence=f"{each.what}.",
                details=details,
            )
        )
        if each.study:
            blocks.append(Code(each.study))
    heading = HEADINGS[severity]
    return Details(f"{heading} ({len(findings):,})", tuple(blocks))


def on_comparison(findings: Sequence[Finding], name: str) -> str:
    """What the audit has to say of one comparison, in a sentence; empty if nothing.

    Args:
        findings: of the whole store.
        name: of the comparison; findings on a part of it begin with that.
    """
    own = [each for each in findings if each.where == name or each.where.startswith(f"{name},")]
    said = []
    for severity in ("error", "warning"):
        checks = [each.check for each in own if each.severity == severity]
        if checks:
            named = listed(list(dict.fromkeys(checks)))
            said.append(f"{len(checks)} {severity}{'s' * (len(checks) > 1)} ({named})")
    return f"Audit: {listed(said)} on this comparison." if said else ""


def claims_section(claims: Records) -> Section:
    """Every claim with its verdict at each scale, and below its effect, n and test."""
    scales = list(dict.fromkeys(scale for claim in claims for scale in claim["findings"]))
    overview = [
        (
            claim["statement"],
            claim["where"],
            *(claim["findings"].get(scale, {}).get("verdict") for scale in scales),
        )
        for claim in claims
    ]
    verdicts = Counter(
        (scale, found["verdict"]) for claim in claims for scale, found in claim["findings"].items()
    )
    counts = [
        ", ".join(f"{verdicts[scale, word]} {word}" for word in TONES if verdicts[scale, word])
        for scale in scales
    ]
    said = "; ".join(f"{scale}: {count}" for scale, count in zip(scales, counts, strict=True))
    return Section(
        key="claims",
        title="Claims of the paper",
        blocks=(
            Paragraph(f"{said}."),
            Paragraph(INTRODUCTION, quiet=True),
            Grid(
                key="claims",
                columns=(Column("claim"), Column("in the paper"), *map(Column, scales)),
                rows=tuple(overview),
                caption="A dash: not asked there.",
            ),
            Details(
                "Every claim with its effect, interval, n and test",
                tuple(each for claim in claims for each in _claim(claim)),
            ),
        ),
    )


def _claim(claim: Mapping[str, Any]) -> list[Verdict]:
    found = []
    for scale, finding in claim["findings"].items():
        effect = finding["effect"]
        said = f"{effect}; n = {finding['n']} {finding['counted']}." if effect else ""
        details = [f"Test: {claim['test']}"]
        details += [f"Method: {finding['method']}"] * bool(effect)
        details += [finding["reason"]] * bool(finding["reason"])
        details += finding["caveats"]
        details += [f"To tell it: {finding['settle']}"] * bool(finding["settle"])
        found.append(
            Verdict(
                badge=finding["verdict"],
                tone=TONES[finding["verdict"]],
                heading=f"{claim['statement']} ({claim['where']}; {scale})",
                sentence=said or f"It needs {claim['needs']}.",
                details=tuple(details),
            )
        )
    return found
