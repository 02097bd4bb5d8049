"""Races on record: which runs they stopped or let go on, and the numbers that this rested on.

    races/<name>+now.json       every decision so far, with its time; replaced as more are made
    races/<name>-<hash>.json    every decision of a sweep that came to its end; never changes

The first is rewritten by rename, so that a reader sees an old one or a new one, and need not
survive the loss of power: a race that goes on makes the same decisions again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from descentlab.errors import CorruptError
from descentlab.storage import make_folder, publish, storage_errors, unfinished_name

NOW = "+now"
"""What the name of a race that may go on ends in; no study's name has a plus."""

Verdict = Literal["kept", "paused", "dropped"]
"""What is dropped is never asked again; what is paused may go on later."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a cell went on or did not, with the numbers that this rests on."""

    fraction: float
    """Of the rung."""
    cell: str
    """In a record, the id of its run."""
    verdict: Verdict
    rule: str
    score: float | None = None
    """What was compared, in nats; None if it diverged."""
    threshold: float | None = None
    """The most with which it would have been kept."""
    against: str | None = None
    """The cell that set the threshold."""


class RaceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the races of one study, or experiment, decided."""

    scheduler: str
    decisions: dict[str, list[Decision]]
    """By race, in the order in which they were made."""
    times: dict[str, list[float]] = {}
    """When each was made, in seconds since 1970; empty where that is not on record."""


@dataclass(frozen=True)
class Races:
    """The races of a store.

    Args:
        folder: ``races/`` of the store; need not be there.
        aside: a folder on the same file system for unfinished files.
    """

    folder: Path
    aside: Path

    def record(self, name: str, content: bytes) -> Path:
        """Put a race that is over on record under a study's name and its content's hash.

        Raises:
            StorageError: if the disk refuses.
        """
        self._make()
        path = self.folder / f"{name}-{hashlib.sha256(content).hexdigest()[:8]}.json"
        publish(path, content, aside=self.aside)
        return path

    def note(self, name: str, record: RaceRecord) -> None:
        """Replace what is on record of a race that may go on.

        Raises:
            StorageError: if the disk refuses.
        """
        self._make()
        path = self.folder / f"{name}{NOW}.json"
        unfinished = unfinished_name(path.name, aside=self.aside)
        with storage_errors(path):
            try:
                unfinished.write_bytes(msgspec.json.encode(record))
                unfinished.rename(path)
            finally:
                unfinished.unlink(missing_ok=True)

    def noted(self, name: str) -> RaceRecord | None:
        """What is on record of a race that may go on; None if nothing is that can be read."""
        with suppress(CorruptError):
            return read_race(self.folder / f"{name}{NOW}.json")
        return None

    def paths(self) -> Mapping[str, Path]:
        """By name, the newest record of each race, or the one that may go on.

        Raises:
            OSError: if the folder is there and cannot be read.
        """
        found: dict[str, list[tuple[bool, int, Path]]] = {}
        for path in self.folder.glob("*.json"):
            now = path.stem.endswith(NOW)
            name = path.stem.removesuffix(NOW) if now else path.stem.rpartition("-")[0]
            with suppress(FileNotFoundError):
                found.setdefault(name, []).append((now, path.stat().st_mtime_ns, path))
        return {name: max(each)[-1] for name, each in sorted(found.items())}

    def _make(self) -> None:
        if not self.folder.is_dir():
            with storage_errors(self.folder):
                make_folder(self.folder)


def read_race(path: Path) -> RaceRecord:
    """Read one record.

    Raises:
        CorruptError: if it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=RaceRecord)
    except OSError as error:
        raise CorruptError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptError(f"{path}: damaged ({error})") from None
