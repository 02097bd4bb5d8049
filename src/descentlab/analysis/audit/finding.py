"""What a check finds: one thing that a sceptical reader of a comparison has to know."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Severity = Literal["error", "warning", "note"]
"""error: the comparison is wrong as it stands; warning: it may be; note: to be said beside it."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The gravest first."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding, in sentences that stand by themselves."""

    severity: Severity
    check: str
    """The name of the check, as ``CHECKS`` has it."""
    where: str
    """The table, the sweep or the source that it is about."""
    what: str
    """What is the case, with numbers."""
    why: str
    """Why it matters."""
    settle: str
    """What to run, or to do, to settle it."""
    runs: tuple[str, ...] = ()
    """The ids of the runs concerned, as ``analysis.load`` gives them."""
    study: str = ""
    """What to add to a study in TOML, for ``descent sweep``; empty if nothing is to be trained."""


def gravest_first(finding: Finding) -> int:
    """The key to sort findings by."""
    return SEVERITIES.index(finding.severity)
