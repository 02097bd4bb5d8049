"""A ledger of claims for people and for programs: as text, Markdown and plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from descentlab.analysis.claims.finding import Finding, Verdict, as_record, said
from descentlab.analysis.claims.ledger import COMPUTED, VERDICTS, Claim, Ledger

INTRODUCTION = (
    "A claim holds if the whole interval of its effect, 95% unless it says else, is on the claimed "
    "side; does not hold if the whole interval is on the other; and cannot be told else, or where "
    "its p-value does not survive the correction for the claims that are tested together."
)
SHORT = {"holds": "holds", "does not hold": "**does not hold**", "cannot be told": "?"}
VERDICT_WIDTH = 16


def text(ledger: Ledger, *, width: int = 100) -> str:
    """The ledger for a terminal: how often each verdict fell, then claim by claim.

    Args:
        ledger: to show.
        width: of the terminal in characters.
    """
    parts = ["\n".join(_summary(ledger)), textwrap.fill(INTRODUCTION, width)]
    parts += ["\n".join(_block(claim, ledger, width)) for claim in ledger.claims]
    return "\n\n".join(parts)


def markdown(ledger: Ledger, command: str) -> str:
    """The ledger as a page: a table of verdicts, then every claim with its evidence.

    Args:
        ledger: to show.
        command: that makes the page.
    """
    columns = _columns(ledger)
    head = [
        "# What the runs say of the paper's claims",
        f"Made by `{command}`. {INTRODUCTION} What each test assumes stands in "
        "[claims.md](claims.md).",
        "\n".join(_table(["", *columns], [[v, *_counts(ledger, v)] for v in VERDICTS])),
        "\n".join(_table(["claim", *columns], [_row(claim, ledger) for claim in ledger.claims])),
        "A question mark: cannot be told. A blank: not asked there.",
    ]
    return "\n\n".join([*head, *(_section(claim, ledger) for claim in ledger.claims)]) + "\n"


def as_records(ledger: Ledger) -> list[dict[str, object]]:
    """One record per claim, with the findings of all scales."""
    return [
        {
            "key": claim.key,
            "statement": claim.statement,
            "where": claim.where,
            "needs": claim.needs,
            "test": claim.test,
            "family": claim.family,
            "findings": {scale: as_record(each) for scale, each in ledger.of(claim).items()},
        }
        for claim in ledger.claims
    ]


def _columns(ledger: Ledger) -> list[str]:
    computed = any(claim.compute for claim in ledger.claims)
    return [*ledger.scales, *([COMPUTED] if computed else [])]


def _counts(ledger: Ledger, verdict: Verdict) -> list[str]:
    return [str(ledger.counts(scale)[verdict]) for scale in _columns(ledger)]


def _summary(ledger: Ledger) -> Iterator[str]:
    columns = _columns(ledger)
    claims = f"{len(ledger.claims)} claims"
    yield "  ".join([f"{claims:<{VERDICT_WIDTH}}", *columns])
    for verdict in VERDICTS:
        counts = zip(_counts(ledger, verdict), map(len, columns), strict=True)
        yield "  ".join([f"{verdict:<{VERDICT_WIDTH}}", *(f"{c:>{w}}" for c, w in counts)])


def _block(claim: Claim, ledger: Ledger, width: int) -> Iterator[str]:
    """A claim in a terminal: a line or more for each scale, its verdict first."""
    yield from textwrap.wrap(f"{claim.statement} [{claim.where}]", width)
    found = ledger.of(claim)
    indent = " " * (VERDICT_WIDTH + 2)
    for scale, finding in found.items():
        first, *notes = said(finding)
        start = f"  {finding.verdict:<{VERDICT_WIDTH}}{scale}: "
        yield from textwrap.wrap(start + first, width, subsequent_indent=indent + "  ")
        for note in notes:
            line = f"{indent}- {note}"
            yield from textwrap.wrap(line, width, subsequent_indent=indent + "  ")
    for scale, finding in found.items():
        if finding.settle:
            start = f"  to tell it, {scale}: " if len(found) > 1 else "  to tell it: "
            yield from textwrap.wrap(start + finding.settle, width, subsequent_indent=indent + "  ")


def _row(claim: Claim, ledger: Ledger) -> list[str]:
    found = ledger.of(claim)
    words = [SHORT[found[scale].verdict] if scale in found else "" for scale in _columns(ledger)]
    return [f"[{claim.statement}](#{claim.key})", *words]


def _section(claim: Claim, ledger: Ledger) -> str:
    family = f" Tested together with the others of {claim.family}." if claim.family else ""
    lines = [
        f"### {claim.key}",
        f"{claim.statement} ({claim.where})",
        f"Needs {claim.needs}. Test: {claim.test}.{family}",
        "\n".join(bullet(scale, each) for scale, each in ledger.of(claim).items()),
    ]
    return "\n\n".join(lines)


def bullet(scale: str, finding: Finding) -> str:
    """What a page says of a claim at a scale, in one line."""
    lines = said(finding)
    if finding.effect:
        lines.append(f"method: {finding.estimate.method}")
    if finding.settle:
        lines.append(f"to tell it: {finding.settle}")
    return f"- {scale}: **{finding.verdict}** – {'. '.join(map(_capital, lines))}."


def _capital(sentence: str) -> str:
    return sentence if sentence.startswith("p =") else sentence[:1].upper() + sentence[1:]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
