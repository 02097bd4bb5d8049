"""``descent report``: everything that a store tells, as a page that can be attached to a paper."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from descentlab.analysis.report.document import Document
    from descentlab.analysis.report.gathering import Extras
    from descentlab.runs.store import Store

Format = Literal["html", "md", "csv", "json", "pdf-figures"]
DEFAULTS: dict[Format, str] = {
    "html": "report.html",
    "md": "report.md",
    "csv": "report-tables",
    "json": "report.json",
    "pdf-figures": "report-figures",
}
QUIET_SECONDS = 1.5
"""Before which nothing is said of progress."""


def report(
    store: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    out: Path | None = None,
    format: Format = "html",
    study: str | None = None,
    title: str = "",
) -> None:
    """Write a report on a store: verdicts, tables, charts, audit, claims, and every run.

    The page is one file that works offline; docs/report.md says how to read it. A store whose
    runs are not all done gives a report that says so. Nothing is trained, and the store is
    left as it is.

    Args:
        store: the folder of runs.
        out: what to write, in place of what was there; for csv and pdf-figures a folder.
            Left out: report.html, report.md, report-tables, report.json or report-figures.
        format: a page, a text, a folder of tables, one file for programs, or every chart as PDF.
        study: a study, an experiment or an imported sweep whose runs to take; all if left out.
        title: of the report.
    """
    from descentlab.analysis.report.gathering import gather
    from descentlab.runs.store import Store

    opened, target = Store(store), out or Path(DEFAULTS[format])
    steps = Steps()
    document = gather(opened, study=study, extras=extras(opened, steps, study, title), tell=steps)
    steps("writing")
    _write(document, target, format, steps)
    steps.end()
    print(f"{target}: {'; '.join(document.facts[:2])}")


def extras(store: Store, steps: Steps, study: str | None = None, title: str = "") -> Extras:
    """What the paper adds to a report on a store: its claims' verdicts, and its seed noise.

    Args:
        store: to judge the claims by.
        steps: told of it.
        study: claims are judged by whole stores, so with one there are none.
        title: of the report.
    """
    from descentlab.analysis.claims.rendering import as_records
    from descentlab.analysis.report.gathering import Extras
    from descentlab.errors import ConfigError
    from descentlab.paper.claims import judged
    from descentlab.paper.published import seed_noise

    claims = []
    if study is None:
        steps("judging the paper's claims")
        try:
            claims = as_records(judged([store]))
        except ConfigError:  # no run that could say something
            claims = []
    return Extras(title=title, claims=claims, noise={"secretsauce": seed_noise()})


class Steps:
    """Shows what is being done, once it has taken a while."""

    def __init__(self) -> None:
        from descentlab.cli.progress import Screen

        self._screen = Screen()
        self._began = time.monotonic()

    def __call__(self, step: str) -> None:
        from rich.text import Text

        if time.monotonic() - self._began > QUIET_SECONDS:
            self._screen.draw(Text(f"report: {step}"), f"report: {step}")

    def end(self) -> None:
        """Take the drawing away."""
        self._screen.clear()


def _write(document: Document, target: Path, format: Format, steps: Steps) -> None:
    from descentlab.storage import replace_file

    if format == "html":
        from descentlab.web.report import write_page

        write_page(document, target)
    elif format == "csv":
        from descentlab.analysis.report.files import write_tables

        write_tables(document, target)
    elif format == "pdf-figures":
        from descentlab.analysis.report.figures import write_figures

        write_figures(document, target, steps)
    else:
        from descentlab.analysis.report.files import as_json
        from descentlab.analysis.report.markdown import markdown

        said = as_json(document) if format == "json" else markdown(document).encode()
        replace_file(target, said)
