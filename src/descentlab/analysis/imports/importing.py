"""Files → imported runs of a store: each file once, and one that is refused stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from descentlab.analysis.imports.gate import read_table
from descentlab.analysis.imports.plain_table import (
    COLUMNS,
    LONGEST_NAME,
    plain_runs,
)
from descentlab.analysis.imports.secretsauce import (
    conditions,
    file_notes,
    released_files,
    released_runs,
)
from descentlab.analysis.imports.table import Format, Table
from descentlab.analysis.imports.wandb import history_runs
from descentlab.errors import ConfigError, DataError, nearest
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


FORMATS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
"""By the suffix of a file that holds a table."""


class Step(NamedTuple):
    """What became of one file."""

    done: Import
    runs: Sequence[ImportedRun]
    """Empty if the file had been imported before."""


def import_released(folder: Path, store: Store, tell: Callable[[Step], None]) -> None:
    """Import the paper's released files that are in a folder.

    Args:
        folder: that holds them, or a clone of the paper's repository.
        store: to import into.
        tell: told about each file that is in the store.

    Raises:
        DataError: if there are none; or if some were refused, after all others are in.
        StorageError: if the disk refuses.
    """
    import_files("secretsauce", "pickle", released_files(folder), _released, store, tell)


def _released(table: Table, path: Path) -> list[ImportedRun]:
    known = conditions(path.name)
    assert known is not None
    return released_runs(table, known)


def import_table(path: Path, store: Store) -> Step:
    """Import runs from a CSV, JSON lines or Parquet file with our own columns.

    Raises:
        ConfigError: if its suffix is another.
        DataError: if it is refused.
        StorageError: if the disk refuses.
    """
    return _import_file("table", _format(path), path, _plain, store, {})


def import_history(path: Path, store: Store, chosen: Mapping[str, float | str]) -> Step:
    """Import runs from a W&B history in CSV, JSON lines or Parquet.

    Args:
        path: of the file.
        store: to import into.
        chosen: what each of our columns is: one of the file's, or a value for all its runs.

    Raises:
        ConfigError: if its suffix is another, or ``chosen`` names no column of ours.
        DataError: if it is refused.
        StorageError: if the disk refuses.
    """
    for name in chosen:
        if name not in COLUMNS:
            raise ConfigError(f"{name[:80]}: no column of ours; {nearest(name, COLUMNS)}")
    options = {name: str(value) for name, value in sorted(chosen.items())}
    interpret = partial(_history, chosen=chosen)
    return _import_file("wandb", _format(path), path, interpret, store, options)


def _format(path: Path) -> Format:
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"{path}: the suffix tells the format; {nearest(path.suffix, FORMATS)}")
    return FORMATS[path.suffix.lower()]


def _plain(table: Table, path: Path) -> list[ImportedRun]:
    return plain_runs(table, _sweep(path))


def _history(table: Table, path: Path, *, chosen: Mapping[str, float | str]) -> list[ImportedRun]:
    return history_runs(table, _sweep(path), chosen=chosen)


def _sweep(path: Path) -> str:
    return _printable(path.stem)[:LONGEST_NAME]


def _printable(name: str) -> str:
    """A file's name with everything written out that a terminal could take for a command."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)


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
            tell(_import_file(kind, form, path, interpret, store, {}))
        except DataError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        raise DataError(f"{len(refused)} files were refused\n" + "\n".join(map(str, refused)))


def _import_file(
    kind: Kind,
    form: Format,
    path: Path,
    interpret: Interpret,
    store: Store,
    options: dict[str, str],
) -> Step:
    table, size, sha256 = read_table(path, form)
    name = _printable(path.name)
    source = Source(kind=kind, name=name, bytes=size, sha256=sha256, options=options)
    if found := find_import(store, source):
        return Step(found, [])
    try:
        runs = interpret(table, path)
    except DataError as error:
        raise DataError(f"{path}: not imported: {error}") from None
    if not runs:
        raise DataError(f"{path}: not imported: it has no runs")
    return Step(write_import(store, source, runs, notes=file_notes(runs)), runs)
