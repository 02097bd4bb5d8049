"""Findings as text for a terminal, as Markdown for a page, and as JSON with every run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

import msgspec

from descentlab.analysis.audit.finding import SEVERITIES, Finding
from descentlab.analysis.audit.kit import CHECKS
from descentlab.analysis.audit.tables import Evidence

SHOWN = 3
"""Runs of a sweep, and sweeps, that are named."""
LINES = 4
"""Lines of a study that a terminal shows."""
TABLES = 12
"""Tables that are named."""
WIDTH = 100


def text(evidence: Evidence, findings: Sequence[Finding]) -> str:
    """For a terminal: one check after another, with why it matters said once."""
    lines = [summary(evidence, findings), "", *(f"  {each}" for each in _tables(evidence))]
    for group in _groups(findings):
        first = group[0]
        lines += ["", f"{first.severity}: {first.check}", *_wrapped(first.why, "  ")]
        for each in group:
            lines += _wrapped(f"{each.where}: {each.what}.{_shown(each.runs)}", "  - ")
            lines += _wrapped(f"To settle: {each.settle}", "    ")
            lines += [f"      {line}" for line in _cut(each.study)]
    return "\n".join(lines) + "\n"


def markdown(evidence: Evidence, findings: Sequence[Finding]) -> str:
    """For a page: a table of what was found, and a section for each check that found something."""
    tables = "\n".join(f"- {each}" for each in _tables(evidence))
    released = evidence.frame["source"].eq("secretsauce").all()
    head = ["# Audit of the paper's released runs", RELEASED] if released else ["# Audit", WRITTEN]
    parts = [head[0], summary(evidence, findings), f"{head[1]}. {INTRODUCTION}", tables]
    parts += _counts(findings)
    for severity in SEVERITIES:
        own = [each for each in findings if each.severity == severity]
        if own:
            parts.append(f"## {HEADINGS[severity]}")
        for group in _groups(own):
            parts += [f"### {group[0].check}", group[0].why]
            parts += [_item(each) for each in group]
    return "\n\n".join(parts) + "\n"


def json(evidence: Evidence, findings: Sequence[Finding]) -> str:
    """For programs: everything, with the ids of all runs."""
    content = {
        "runs": len(evidence.frame),
        "tables": [
            {"name": table.name, "methods": list(table.methods)} for table in evidence.tables
        ],
        "checks": list(CHECKS),
        "findings": [msgspec.to_builtins(each) for each in findings],
    }
    return msgspec.json.format(msgspec.json.encode(content)).decode() + "\n"


FORMATS: Mapping[str, Callable[[Evidence, Sequence[Finding]], str]] = MappingProxyType(
    {"text": text, "md": markdown, "json": json}
)

WRITTEN = "Written by `descent audit STORE --format md`"
RELEASED = f"{WRITTEN}, after `descent import secretsauce CLONE STORE`"
INTRODUCTION = (
    "An error says that a comparison is wrong as it stands, a warning that it may be, a note "
    "what has to be said beside it; docs/audit.md says what each check asks, and which runs are "
    "compared in one table. The tables:"
)
HEADINGS = {
    "error": "Errors: the comparison is wrong as it stands",
    "warning": "Warnings: the comparison may be wrong",
    "note": "Notes: to be said beside the comparison",
}


def summary(evidence: Evidence, findings: Sequence[Finding]) -> str:
    """How much was looked at and found, in one line."""
    counts = Counter(each.severity for each in findings)
    said = ", ".join(_count(counts[each], each) for each in SEVERITIES)
    looked = f"{_count(len(evidence.frame), 'run')} in {_count(len(evidence.tables), 'table')}"
    none = "" if evidence.compares else " No two settings are there to compare."
    return f"{said}; {len(CHECKS)} checks of {looked}.{none}"


def shortened(runs: Sequence[str]) -> str:
    """Name runs in few words; rows of one import are joined.

    >>> shortened(["a#0", "a#1", "a#2", "b#7"]), shortened(["1f", "2e", "3d", "4c", "5b"])
    ('a#0–2, b#7', '1f, 2e, 3d and 2 more')
    """
    sweeps: dict[str, list[str]] = {}
    for run in runs:
        sweep, _, row = run.rpartition("#")
        sweeps.setdefault(sweep, []).append(row)
    named = [_rows(sweep, rows) for sweep, rows in sweeps.items()]
    more = f", and {len(named) - SHOWN:,} sweeps more" if len(named) > SHOWN + 1 else ""
    return ", ".join(named[:SHOWN] if more else named) + more


def _rows(sweep: str, rows: list[str]) -> str:
    mark = f"{sweep}#" if sweep else ""
    if len(rows) > 2 and all(row.isdecimal() for row in rows):
        numbers = sorted(int(row) for row in rows)
        if numbers == list(range(numbers[0], numbers[-1] + 1)):
            return f"{mark}{numbers[0]}–{numbers[-1]}"
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    return mark + ", ".join(rows[:SHOWN]) + more


def _tables(evidence: Evidence) -> list[str]:
    """What was compared with what."""
    tables = evidence.tables
    said = [f"{each.name}: {', '.join(each.methods)}" for each in tables[:TABLES]]
    return [*said, f"and {len(tables) - TABLES:,} more"] if len(tables) > TABLES else said


def _cut(study: str) -> list[str]:
    lines = study.splitlines()
    more = len(lines) - LINES
    return [*lines[:LINES], f"… {more} lines more with --format md"] if more > 1 else lines


def _groups(findings: Sequence[Finding]) -> Iterator[list[Finding]]:
    """Findings of one check for one reason, in their order."""
    for _, group in groupby(findings, lambda each: (each.severity, each.check, each.why)):
        yield list(group)


def _counts(findings: Sequence[Finding]) -> list[str]:
    found = Counter((each.severity, each.check) for each in findings)
    rows = [f"| {check} | {severity} | {count} |" for (severity, check), count in found.items()]
    return ["\n".join(["| check | severity | findings |", "|---|---|--:|", *rows])] if rows else []


def _item(finding: Finding) -> str:
    lines = [f"- **{finding.where}**: {finding.what}.{_shown(finding.runs)}"]
    lines += [f"  *To settle:* {finding.settle}"]
    if finding.study:
        fenced = ["```toml", *finding.study.splitlines(), "```"]
        lines += ["\n".join(f"  {line}" for line in fenced)]
    return "\n\n".join(lines)


def _shown(runs: Sequence[str]) -> str:
    return f" ({_count(len(runs), 'run')}: {shortened(runs)})" if runs else ""


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" + "s" * (number != 1)


def _wrapped(said: str, start: str) -> list[str]:
    import textwrap

    indent = " " * len(start)
    return textwrap.wrap(said, WIDTH, initial_indent=start, subsequent_indent=indent,
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip
