"""Draws the paper's tables and figures from runs that are there, showing how far it is."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from descentlab.cli.progress import Display, Screen, duration
from descentlab.errors import DataError


def draw_released(name: str, folder: Path, store: Path | None, out: Path) -> None:
    """Import the released files of a folder, and draw from them.

    Args:
        name: of a table or figure, or all.
        folder: a clone of the paper's repository, or a folder with its files.
        store: to import into; a temporary one if left out.
        out: where to write.

    Raises:
        DataError: if there are none; or if some were refused, after all is drawn from the others.
    """
    from descentlab.analysis.imports.importing import import_released
    from descentlab.analysis.imports.secretsauce import released_files
    from descentlab.paper.exhibits import chosen
    from descentlab.runs.imported import imports
    from descentlab.runs.store import Store

    chosen(name)  # refused before anything is read
    files = released_files(folder)
    screen = Screen()
    refused: DataError | None = None
    with _store_or_temporary(store) as place:
        opened = Store(place, create=True)
        with Steps(screen, "importing", len(files)) as progress:
            try:
                import_released(folder, opened, lambda step: progress.step(step.done.source.name))
            except DataError as error:
                refused = error
        if refused is not None and not imports(opened):
            raise refused
        draw(name, place, None, out, source=folder.name or str(folder), screen=screen)
    if refused is not None:
        raise refused


def draw(
    name: str,
    store: Path,
    study: str | None,
    out: Path,
    *,
    source: str | None = None,
    screen: Screen | None = None,
) -> None:
    """Draw from a store's runs, and print the index.

    Args:
        name: of a table or figure, or all.
        store: the folder of runs.
        study: whose runs alone to take; all if left out.
        out: where to write.
        source: what the runs are from, for the index; the store's name if left out.
        screen: to show progress on.

    Raises:
        ConfigError: for an unknown name, store or study, or a store without runs.
    """
    from descentlab.paper.exhibit import Material
    from descentlab.paper.exhibits import chosen
    from descentlab.paper.gallery import write

    exhibits = chosen(name)
    screen = screen or Screen()
    began = time.monotonic()
    said = source or (f"study {study} of {store.name}" if study else store.name)
    with Steps(screen, "drawing", len(exhibits)) as progress:
        material = Material(store, study)
        text = write(exhibits, material, out, source=said, observe=progress.show)
    print(text, end="")
    took = duration(time.monotonic() - began)
    screen.tell(f"written to {out}; start with {out / 'index.md'}; took {took}")


class Steps(Display):
    """A bar with an estimate of the time left.

    Args:
        screen: to draw on.
        title: what is being done.
        total: how many steps there are.
    """

    def __init__(self, screen: Screen, title: str, total: int) -> None:
        super().__init__(title, screen)
        self._total = total
        self._done = 0
        self._began = time.monotonic()

    def step(self, name: str) -> None:
        """One more is done."""
        self._done += 1
        self.show(self._done, self._total, name)

    def show(self, done: int, total: int, name: str) -> None:
        """So many are done, and this is at hand."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        spent = time.monotonic() - self._began
        left = duration(spent / done * (total - done) if done else None)
        line = f"{done}/{total}, {left} left: {name}"
        bar = Table.grid(padding=(0, 1))
        share = ProgressBar(total=total, completed=done, width=30)
        bar.add_row(Text(self._title, style="bold"), share, Text(line))
        self._screen.draw(bar, f"{self._title}: {line}")


@contextmanager
def _store_or_temporary(store: Path | None) -> Iterator[Path]:
    if store is not None:
        yield store
        return
    with tempfile.TemporaryDirectory(prefix="descentlab-") as folder:
        yield Path(folder) / "store"
