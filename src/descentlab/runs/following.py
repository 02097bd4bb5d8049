"""Follows a file of records while its writer appends to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from descentlab.config import unseal
from descentlab.runs.records import decode_record

MOST_BYTES = 2**20
"""Read in one go, so that a reader that comes late to a long run is not held up."""


class News(NamedTuple):
    """What a look at a file brought."""

    records: list[dict[str, Any]]
    anew: bool = False
    """Whether the file is another than before, and these are its first records."""
    more: bool = False
    """Whether the file has more that can be read at once."""


NOTHING = News([])


class FollowedRecords:
    """Reads the records of a file once each, whatever is at its end at the moment.

    A last record that is torn, or still being written, waits until it is whole. As with
    ``read_records``, nothing after a damaged record is read.

    Args:
        path: need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._inode: int | None = None
        self._size = 0
        """Up to where it was read, a torn end included."""
        self.damaged_at: int | None = None
        """Where the first damaged record lies, if one does."""

    def look(self, most: int = MOST_BYTES) -> News:
        """Return the records that are new since the last look.

        Args:
            most: bytes to read; more than the longest record.

        Raises:
            OSError: if the file is there and cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                anew = self._inode not in (None, found.st_ino) or found.st_size < self._size
                if anew:
                    self._offset, self._size, self.damaged_at = 0, 0, None
                self._inode = found.st_ino
                if self.damaged_at is not None or found.st_size == self._size:
                    return News([], anew)
                file.seek(self._offset)
                raw = file.read(most)
        except FileNotFoundError:
            return NOTHING
        self._size = self._offset + len(raw)
        records = self._taken(raw)
        return News(records, anew, more=len(raw) == most and self.damaged_at is None)

    def _taken(self, raw: bytes) -> list[dict[str, Any]]:
        records = []
        *whole, last = raw.split(b"\n")
        for line in whole:
            if line:
                if (content := unseal(line)) is None:
                    self.damaged_at = self._offset
                    return records
                records.append(decode_record(content))
            self._offset += len(line) + 1
        if last and (content := unseal(last)) is not None:
            records.append(decode_record(content))
            self._offset += len(last)
        return records
