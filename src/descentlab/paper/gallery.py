"""Writes tables and figures into a folder, with an index that says what to make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from descentlab.analysis.amounts import amount
from descentlab.analysis.comparison import aligned
from descentlab.analysis.markdown import escaped
from descentlab.analysis.tables.methods import clipped_alike
from descentlab.charts import save
from descentlab.paper.exhibit import PAPERS, Computed, Exhibit, Headline, Material, Shown
from descentlab.paper.figures.naming import setting_of
from descentlab.storage import storage_errors

SETTING = 240
"""Characters that the names of model and text may take together."""

Observe = Callable[[int, int, str], None]
"""Told how many of how many are done, and which comes next."""


class Piece(NamedTuple):
    """An exhibit, the runs that it took, and what it shows."""

    exhibit: Exhibit | Computed
    runs: pd.DataFrame
    """Those selected; none of a computed one."""
    shown: Shown

    @property
    def stem(self) -> str:
        """The name of its files: figures sort by number."""
        name = self.exhibit.name
        return f"fig{int(name[3:]):02}" if name.startswith("fig") else name


def write(
    exhibits: Sequence[Exhibit],
    material: Material,
    out: Path,
    *,
    source: str,
    observe: Observe = lambda done, total, name: None,
) -> str:
    """Draw exhibits and write them into ``out``.

    A table is NAME.md and NAME.csv, a figure NAME.svg, NAME.png and the numbers in it as
    NAME.csv; index.md lists them all.

    Args:
        exhibits: to draw.
        material: the runs.
        out: the folder; it is made.
        source: where the runs are from, for people.
        observe: told about the progress.

    Returns:
        The index.

    Raises:
        StorageError: if the folder cannot be written.
    """
    pieces = []
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for done, exhibit in enumerate(exhibits):
            observe(done, len(exhibits), exhibit.title)
            piece = drawn(exhibit, material)
            save_piece(piece, out)
            pieces.append(piece)
        text = index(pieces, material, source)
        (out / "index.md").write_text(text, encoding="utf-8")
    return text


def drawn(exhibit: Exhibit, material: Material) -> Piece:
    """Draw one exhibit; without runs it says what it needs."""
    runs = material.select(exhibit.selection)
    if not runs["perplexity"].notna().any():
        return Piece(exhibit, runs, Shown(frame=pd.DataFrame()))
    return Piece(exhibit, runs, exhibit.draw(material, runs))


def save_piece(piece: Piece, out: Path) -> None:
    """Write what an exhibit shows into a folder that is there."""
    shown = piece.shown
    if shown.text:
        setting = f" {escaped(setting_of(piece.runs), SETTING)}." if len(piece.runs) else ""
        parts = [f"# {piece.exhibit.title}", f"{piece.exhibit.shows}{setting}"]
        parts += [shown.text, _notes(piece)]
        content = "\n\n".join(part for part in parts if part)
        (out / f"{piece.stem}.md").write_text(content + "\n", encoding="utf-8")
    if shown.chart is not None:
        save(shown.chart, out / piece.stem)
    if len(shown.frame):
        shown.frame.to_csv(out / f"{piece.stem}.csv", index=False)


def index(pieces: Sequence[Piece], material: Material, source: str) -> str:
    """The list of what was drawn, with the headline numbers, in Markdown."""
    runs = material.runs.drop_duplicates("run")  # methods may share one
    counted = f"{len(runs)} runs, {int(runs['diverged'].sum())} of them diverged"
    if material.repeated:
        counted += f"; {material.repeated} more with the cell and seed of another are left out"
    parts = [
        "# Tables and figures",
        f"From {escaped(source)}: {counted}.",
        f"Compared in: {escaped(str(material.reference), SETTING)}.",
    ]
    if material.reference != PAPERS:
        parts.append(f"The paper's numbers are of another setting: {PAPERS}.")
    if len(pieces) == 1:
        parts += [pieces[0].shown.text] if pieces[0].shown.text else []
    headlines = [headline for piece in pieces for headline in piece.shown.headlines]
    if headlines:
        parts += ["## Headline numbers", headline_table(pieces)]
    parts += ["## What there is", "\n".join(entry(piece) for piece in pieces)]
    return "\n\n".join(parts) + "\n"


def headline_table(pieces: Sequence[Piece]) -> str:
    """The numbers that the paper prints, ours beside them, in Markdown."""

    def cells(piece: Piece, line: Headline) -> list[str]:
        where = piece.exhibit.title.partition(":")[0]
        return [where, line.what, line.here, line.paper]

    rows = [cells(piece, line) for piece in pieces for line in piece.shown.headlines]
    return aligned(["", "number", "here", "paper"], rows)


def entry(piece: Piece) -> str:
    """A line on an exhibit with links to its files, and what to know before believing it."""
    shown = piece.shown
    files = [f"{piece.stem}.md"] if shown.text else []
    files += [f"{piece.stem}.{suffix}" for suffix in ("svg", "png")] if shown.chart else []
    files += [f"{piece.stem}.csv"] if len(shown.frame) else []
    links = ", ".join(f"[{name}]({name})" for name in files)
    there = f"{piece.exhibit.shows} {links}" if links else "Not drawn."
    return "\n".join([f"- **{piece.exhibit.title}.** {there}", *_remarks(piece, "  - ")])


def _notes(piece: Piece) -> str:
    return "\n".join(_remarks(piece, "- "))


def _remarks(piece: Piece, bullet: str) -> list[str]:
    exhibit, selected, shown = piece
    if isinstance(exhibit, Computed):
        return []
    runs = selected if shown.runs is None else shown.runs
    missing = list(shown.missing)
    there = {*runs["method"], *(["sgd+Cclip"] if clipped_alike(runs) else [])}
    if not len(runs):
        missing.insert(0, f"the runs that it needs: {exhibit.needs}")
    else:
        missing += [f"no runs of {method}" for method in exhibit.expects if method not in there]
    lines = [f"missing: {line}" for line in missing]
    if shown.text or shown.chart is not None:
        lines += [f"caution: {line}" for line in (*shown.cautions, *cautions(runs))]
    return [f"{bullet}{line}." for line in lines]


def cautions(runs: pd.DataFrame) -> list[str]:
    """What to know about selected runs before comparing them."""
    found = []
    budgets = runs.dropna(subset=["tokens"]).groupby("tokens")["method"].unique()
    if len(budgets) > 1:
        parts = [f"{', '.join(methods)} on {amount(tokens)}" for tokens, methods in budgets.items()]  # pyright: ignore[reportArgumentType] the index is of tokens
        found.append(f"unequal budgets, in tokens: {'; '.join(parts)}")
    if diverged := int(runs["diverged"].sum()):
        found.append(f"{diverged} of {len(runs)} runs diverged; they count as worst")
    if stopped := int(runs["state"].eq("interrupted").sum()):
        found.append(
            f"{stopped} of {len(runs)} runs were stopped before their end and have no "
            "final perplexity"
        )
    return found
