"""Files → imported runs of a store: each file once, and one that is refused stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from descentlab.analysis.imports.gate import read_table
from descentlab.analysis.imports.secretsauce import (
    conditions,
    file_notes,
    released_runs,
)
from descentlab.analysis.imports.table import Format, Table
from descentlab.errors import DataError
from descentlab.runs.imported import (
    Import,
    ImportedRun,
    Kind,
    Source,
    find_import,
    write_import,
)
from descentlab.runs.store import Store

Interpret = Callable[[Table, Path], Sequence[ImportedRun]]
"""From a file's table, and the file's path, to its runs."""


class Step(NamedTuple):
    """What became of one file."""

    done: Import
    runs: Sequence[ImportedRun]
    """Empty if the file had been imported before."""


def import_released(paths: Iterable[Path], store: Store, tell: Callable[[Step], None]) -> None:
    """Import released files of the paper, as ``released_files`` finds them.

    Args:
        paths: of the files.
        store: to import into.
        tell: told about each file that is in the store.

    Raises:
        DataError: if some were refused, after all others are in.
        StorageError: if the disk refuses.
    """
    import_files("secretsauce", "pickle", paths, _released, store, tell)


def _released(table: Table, path: Path) -> list[ImportedRun]:
    known = conditions(path.name)
    assert known is not None
    return released_runs(table, known)


def import_files(
    kind: Kind,
    form: Format,
    paths: Iterable[Path],
    interpret: Interpret,
    store: Store,
    tell: Callable[[Step], None],
) -> None:
    """Import files one by one.

    Raises:
        DataError: after all others are in, if some were refused.
        StorageError: if the disk refuses.
    """
    refused: list[DataError] = []
    for path in paths:
        try:
            tell(_import_file(kind, form, path, interpret, store))
        except DataError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        raise DataError(f"{len(refused)} files were refused\n" + "\n".join(map(str, refused)))


def _import_file(kind: Kind, form: Format, path: Path, interpret: Interpret, store: Store) -> Step:
    table, size, sha256 = read_table(path, form)
    source = Source(kind=kind, name=path.name, bytes=size, sha256=sha256)
    if found := find_import(store, source):
        return Step(found, [])
    try:
        runs = interpret(table, path)
    except DataError as error:
        raise DataError(f"{path}: not imported: {error}") from None
    if not runs:
        raise DataError(f"{path}: not imported: it has no runs")
    return Step(write_import(store, source, runs, notes=file_notes(runs)), runs)
