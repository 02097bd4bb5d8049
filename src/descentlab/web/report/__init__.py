"""A report on a store as one page that needs nothing else: no server, no network.

    from descentlab.web.report import write_report
    write_report("store", Path("report.html"))

The page has a strict content security policy: its scripts and styles are known by their hashes,
and it may load nothing. Names from the store are text wherever they stand.
"""

from __future__ import annotations

from pathlib import Path

from descentlab.analysis.report.document import Document
from descentlab.analysis.report.gathering import Extras, Tell, gather
from descentlab.runs.store import Store
from descentlab.storage import replace_file
from descentlab.web.report.page import page

__all__ = ["page", "write_page", "write_report"]


def write_report(
    store: Store | Path | str,
    out: Path,
    *,
    study: str | None = None,
    extras: Extras | None = None,
    tell: Tell = lambda step: None,
) -> Document:
    """Write a report on a store as one offline page, in place of what was there.

    Args:
        store: or its folder; read, and left as it is.
        out: the file to write.
        study: a study, an experiment or an imported sweep whose runs to take; all if left out.
        extras: title, claims, seed noise and sections that the store does not hold.
        tell: told of every step.

    Returns:
        What the page shows.

    Raises:
        ConfigError: if there is no such store or study, or no run in it.
        CorruptError: if a study or an imported file is damaged.
        StorageError: if the disk refuses.
    """
    document = gather(store, study=study, extras=extras, tell=tell)
    tell("writing the page")
    write_page(document, out)
    return document


def write_page(document: Document, out: Path) -> None:
    """Write the page of a document that is there already.

    Raises:
        StorageError: if the disk refuses.
    """
    replace_file(out, page(document).encode())
