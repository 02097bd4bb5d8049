"""Where the documents of a large corpus come from: one after another, from any position on.

A source says what it is, so that a preparation that goes on can tell whether it is still the
same, and where it is, so that nothing is read twice. Local files are read here; a hub's and
saved datasets in ``hub.py``.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from descentlab.data.spec import PreparationSpec
from descentlab.data.text_files import TextFile, text_files
from descentlab.data.text_policy import Cleaning
from descentlab.errors import DataError

Position = dict[str, Any]
"""Where a source goes on, in its own terms; plain data."""

SAMPLES, SAMPLE_BYTES = 64, 4096


class Source(ABC):
    """A corpus that need not fit into memory. It is read once, by one process."""

    name: str
    """What a user calls it."""
    identity: dict[str, Any]
    """Plain data that is equal as long as the documents are."""
    cleaning: Cleaning
    """What had to be changed while reading, since it was last taken."""

    @abstractmethod
    def documents(self, start: Position | None) -> Iterator[str]:
        """Yield documents in their order, from the beginning or from a position on.

        Raises:
            DataError: if something cannot be read.
        """

    @abstractmethod
    def position(self) -> Position:
        """Where the document after the last one that was yielded is."""

    @abstractmethod
    def share(self) -> float | None:
        """How much of the corpus was read, from 0 to 1; None if that is not known."""


class LocalFiles(Source):
    """A text, JSONL or Parquet file, or the sorted files of a folder."""

    def __init__(self, path: Path, spec: PreparationSpec) -> None:
        self.name = str(path)
        self.cleaning = Cleaning()
        self._spec = spec
        self._files = text_files(path)
        self._sizes = [file.stat().st_size for file in self._files]
        self.identity = {"files": fingerprints(path, self._files)}
        self._file = 0
        self._document = 0
        self._share = 0.0

    def documents(self, start: Position | None) -> Iterator[str]:
        first, read = (start["file"], start["document"]) if start else (0, 0)
        for number in range(first, len(self._files)):
            self._file = number
            file = TextFile(
                self._files[number],
                text_field=self._spec.text_field or "text",
                separator=self._spec.separator,
                cleaning=self.cleaning,
            )
            documents = file.documents()
            self._document = sum(1 for _ in islice(documents, read))
            if read:
                self.cleaning.take()  # what was read before was counted before
            for document in documents:
                self._document += 1
                self._share = file.share
                yield document
            read = 0

    def position(self) -> Position:
        return {"file": self._file, "document": self._document}

    def share(self) -> float | None:
        read = sum(self._sizes[: self._file]) + self._share * self._sizes[self._file]
        return read / max(1, sum(self._sizes))


def source_for(spec: PreparationSpec, *, revision: str | None = None) -> Source:
    """Find what the spec names: a preset, ``hf:`` and a repository, or a path.

    Args:
        spec: says where the documents are.
        revision: the revision of a repository that an earlier preparation has settled on.

    Raises:
        ConfigError: if the name is none of these.
        DataError: if it cannot be found or reached.
    """
    from descentlab.data import hub

    if (repository := hub.repository(spec)) is not None:
        return hub.from_repository(repository, revision=revision)
    path = _existing(spec.source)
    if hub.is_saved_dataset(path):
        return hub.from_folder(path, spec)
    return LocalFiles(path, spec)


def _existing(name: str) -> Path:
    from descentlab.data.hub import PRESETS

    try:
        path = Path(name).expanduser()
        if path.exists():
            return path
    except (OSError, RuntimeError, ValueError):  # too long, of no user, with a NUL
        pass
    raise DataError(
        f"{name}: no such file or folder; a source is {' or '.join(PRESETS)}, hf:owner/name, or "
        "the path of a text, JSONL or Parquet file, of a folder of them, or of a saved dataset"
    )


def fingerprints(root: Path, files: list[Path]) -> list[list[str | int]]:
    """Name, size and a hash of evenly spaced samples of each file, whatever their times are.

    A file up to 256 KiB is hashed whole.
    """
    return [[_name(root, file), *_fingerprint(file)] for file in files]


def _name(root: Path, file: Path) -> str:
    return file.name if file == root else file.relative_to(root).as_posix()


def _fingerprint(path: Path) -> tuple[int, str]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if size <= SAMPLES * SAMPLE_BYTES:
                return size, hashlib.sha256(file.read()).hexdigest()
            sample = hashlib.sha256()
            for place in range(SAMPLES):
                file.seek(place * (size - SAMPLE_BYTES) // (SAMPLES - 1))
                sample.update(file.read(SAMPLE_BYTES))
            return size, sample.hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
