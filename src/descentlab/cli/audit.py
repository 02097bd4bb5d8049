"""``descent audit``: what a sceptical reviewer would ask about the runs of a store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from descentlab.errors import NonConforming


def audit(
    store: Annotated[Path, tyro.conf.Positional] = Path("store"),
    *,
    study: str | None = None,
    format: Literal["text", "md", "json"] = "text",
    out: Path | None = None,
    strict: bool = False,
) -> None:
    """Look for what makes comparisons among a store's runs unfair, fragile or unclear.

    Runs of one experiment or study are compared with one another; imported ones with those
    of the same model, text, length, batch and budget. Each finding says what is the case, why it
    matters and what to run to settle it. docs/audit.md lists the checks. Findings are a
    result: the command ends with 0, and with --strict with 8 if one of them is an error.

    Args:
        store: the folder of runs.
        study: a study, an experiment or an imported sweep whose runs to take; all if left out.
        format: for a terminal, for a page, or for programs; only JSON names every run.
        out: a file to write it into.
        strict: end with 8 if a comparison is wrong as it stands.
    """
    from descentlab.analysis import load
    from descentlab.analysis.audit.kit import audited
    from descentlab.analysis.audit.report import FORMATS, summary
    from descentlab.analysis.audit.selection import of_study
    from descentlab.runs.imported import passed_over
    from descentlab.runs.store import Store
    from descentlab.storage import storage_errors

    runs = load(store)
    if old := passed_over(Store(store)):
        print(f"{len(old)} files were imported by an older version and are passed over; "
              "import them again", file=sys.stderr)  # fmt: skip
    if runs.empty:
        print(f"{store}: has no runs, so nothing is compared")
        return
    evidence, findings = audited(runs if study is None else of_study(runs, study))
    said = FORMATS[format](evidence, findings)
    if out is None:
        print(said, end="")
    else:
        with storage_errors(out):
            out.write_text(said, encoding="utf-8")
        print(f"{out}: {summary(evidence, findings)}")
    wrong = sum(finding.severity == "error" for finding in findings)
    if strict and wrong:
        said = "1 finding says" if wrong == 1 else f"{wrong} findings say"
        raise NonConforming(f"{store}: {said} that a comparison is wrong")
