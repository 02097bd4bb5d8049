"""``descent claims``: what runs say of every claim of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro


def claims(
    store: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    *,
    format: Literal["text", "md", "json"] = "text",
    out: Path | None = None,
) -> None:
    """Say of every claim of the paper whether it holds in stored runs, does not, or cannot be told.

    The paper's own runs, imported, and yours at each scale stand side by side, every verdict with
    effect, interval and n, or with what to run to tell it. Nothing is trained.

    Args:
        store: folders of runs; of the same scale in several, all are taken.
        format: text for a terminal, md for a page, json for programs.
        out: a file to write to instead of the terminal.
    """
    import shutil

    import msgspec

    from descentlab.analysis.claims import rendering
    from descentlab.errors import ConfigError
    from descentlab.paper.claims import judged
    from descentlab.runs.store import Store
    from descentlab.storage import storage_errors

    if not store:
        raise ConfigError("store: got none; name one or more folders of runs")
    ledger = judged([Store(each) for each in store])
    if format == "json":
        records = msgspec.json.encode(rendering.as_records(ledger))
        said = msgspec.json.format(records).decode() + "\n"
    elif format == "md":
        said = rendering.markdown(ledger, _command(store, out))
    else:
        width = min(120, shutil.get_terminal_size((100, 24)).columns)
        said = rendering.text(ledger, width=max(60, width)) + "\n"
    if out is None:
        print(said, end="")
        return
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(said, encoding="utf-8")


def _command(store: tuple[Path, ...], out: Path | None) -> str:
    """The command as it was given, for a page to say how it was made."""
    names = " ".join(map(str, store))
    return f"descent claims {names} --format md" + (f" --out {out}" if out else "")
