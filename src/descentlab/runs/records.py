"""Append-only JSON lines that survive a kill at any byte.

One writer per file, one ``write`` per record, the newline first, so that a torn record
cannot spoil the next one; each record ends in the CRC-32 of what it is without it. Numbers
that are not finite are written as the texts ``nan``, ``inf`` and ``-inf``.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from descentlab.config import seal, unseal
from descentlab.errors import StorageError
from descentlab.storage import flush, storage_errors

Value = float | int | bool | str


class RecordWriter:
    """Appends records to one file; closing it makes them durable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage_errors(path):
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            flush(path.parent)

    def write(self, record: Mapping[str, Value]) -> None:
        """Append one record.

        Raises:
            StorageError: if the disk does not take it whole.
        """
        line = encode_record(record)
        with storage_errors(self.path, len(line)):
            if os.write(self._file, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def flush(self) -> None:
        """Make the records so far durable.

        Raises:
            StorageError: if the disk refuses.
        """
        with storage_errors(self.path):
            os.fsync(self._file)

    def close(self) -> None:
        with storage_errors(self.path):
            try:
                os.fsync(self._file)
            finally:
                os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an error, that one is to be seen, and not what a failing disk says to the flush.
        with nullcontext() if error is None else suppress(StorageError):
            self.close()


class Records(NamedTuple):
    """The valid records of a file, and where its first invalid byte lies, if anywhere."""

    records: list[dict[str, Any]]
    damaged_at: int | None


def encode_record(record: Mapping[str, Value]) -> bytes:
    """Return the bytes of one record.

    >>> encode_record({"step": 1, "loss": float("inf")})
    b'\\n{"step":1,"loss":"inf","crc":"19a0bd38"}'
    """
    plain = {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    return b"\n" + seal(msgspec.json.encode(plain))


def read_records(path: Path) -> Records:
    """Read the records up to the first that is torn or damaged.

    A missing file has no records.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Records([], None)
    records: list[dict[str, Any]] = []
    offset = 0
    for line in raw.split(b"\n"):
        if line:
            if (content := unseal(line)) is None:
                return Records(records, offset)
            records.append(decode_record(content))
        offset += len(line) + 1
    return Records(records, None)


def last_record(path: Path) -> dict[str, Any] | None:
    """Return the newest valid record, reading only the end of the file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            length = 4096
            while True:
                file.seek(max(0, size - length))
                for line in reversed(file.read().split(b"\n")):
                    if (content := unseal(line)) is not None:
                        return decode_record(content)
                if length >= size:
                    return None
                length *= 8
    except FileNotFoundError:
        return None


def decode_record(content: bytes) -> dict[str, Any]:
    """Return a record from its bytes without newline and CRC."""
    record = msgspec.json.decode(content, type=dict[str, Any])
    return {
        name: float(value) if value in ("nan", "inf", "-inf") else value
        for name, value in record.items()
    }
