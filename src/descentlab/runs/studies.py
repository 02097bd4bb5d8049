"""Studies on record: what was asked for, in files that never change, and how a study grows.

    studies/<name>.json  <name>+2.json  <name>+3.json …

A study that has gained runs is put whole into a further file; those before stay. So every
run of an earlier file is in the later ones as well, and a study of that name that lacks one,
as with another fixed setting, is another study.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from descentlab.config import canonical_json, shown
from descentlab.errors import ConfigError, CorruptError, nearest
from descentlab.storage import publish

RUNS = "runs"
"""The entry of a study that lists its runs; it alone decides what a study has gained."""
SHOWN = 3
"""Differences that an error tells."""
Content = dict[str, Any]


class Entry(NamedTuple):
    """The part that a run plays in a study."""

    study: str
    experiment: str
    """That the study is a stage of; the study itself if it is none."""
    method: str
    """What the study calls the run's method; empty if it lists its runs alone."""


@dataclass(frozen=True)
class Studies:
    """The studies of a store.

    Args:
        folder: where they lie; need not be there.
        aside: for unfinished files.
    """

    folder: Path
    aside: Path

    def register(self, name: str, content: Mapping[str, Any]) -> None:
        """Put a study on record, unless it is; one that has gained runs gets a further file.

        Raises:
            ConfigError: if the study on record has runs that this one lacks.
            CorruptError: if a file on record is damaged.
            StorageError: if the disk refuses.
        """
        encoded = canonical_json(dict(content))
        while True:
            versions = self.versions(name)
            if self._known(versions, name, msgspec.json.decode(encoded)):
                return
            path = self.path(name, len(versions) + 1)
            if publish(path, encoded, aside=self.aside):
                return  # otherwise another process has added to it meanwhile

    def check(self, name: str, content: Mapping[str, Any]) -> bool:
        """Whether a study is on record as it is; False if it is new or has gained runs.

        Raises:
            ConfigError, CorruptError: as ``register`` does.
        """
        now: Content = msgspec.json.decode(canonical_json(dict(content)))
        return self._known(self.versions(name), name, now)

    def _known(self, versions: list[Content], name: str, now: Content) -> bool:
        if not versions or now in versions:
            return bool(versions)
        newest = versions[-1]
        differs = _what_differs(newest, now)
        if RUNS not in now:
            raise ConfigError(
                f"study {name!r}: another study of that name is in {self.folder.parent}; "
                f"{differs}; choose another name"
            )
        if missing := len(_runs(newest) - _runs(now)):
            raise ConfigError(
                f"study {name!r}: lacks {missing:,} of the {len(_runs(newest)):,} runs that "
                f"{self.path(name, len(versions))} has; {differs}; a study can only gain runs, "
                "so choose another name"
            )
        return False

    def runs(self, name: str) -> list[str]:
        """The ids of all runs that a study on record has by now.

        Raises:
            ConfigError: if none has the name.
            CorruptError: if a file is damaged.
        """
        if versions := self.versions(name):
            listed = versions[-1][RUNS]  # ids, or an experiment's points with their ids
            return [each if isinstance(each, str) else each["run_id"] for each in listed]
        raise ConfigError(
            f"study {name!r}: not in {self.folder.parent}; {nearest(name, self.names())}"
        )

    def entries(self, name: str) -> Iterator[tuple[str, Entry]]:
        """The id of every run that a study on record asks for, and in what part.

        Raises:
            CorruptError: if a file is damaged.
        """
        newest = self.versions(name)[-1]
        experiment = str(newest.get("experiment", name))
        for each in newest.get(RUNS, []):
            point = {"run_id": each} if isinstance(each, str) else each
            yield point["run_id"], Entry(name, experiment, str(point.get("method", "")))

    def names(self) -> list[str]:
        """Of all studies on record, in order."""
        return sorted({path.stem.partition("+")[0] for path in self.folder.glob("*.json")})

    def versions(self, name: str) -> list[Content]:
        """Everything on record under a name, the oldest first.

        Raises:
            CorruptError: if a file is damaged.
        """
        return [*self._versions(name)]

    def path(self, name: str, version: int) -> Path:
        """Where a version lies, counted from 1; no study's name has a plus."""
        return self.folder / (f"{name}.json" if version == 1 else f"{name}+{version}.json")

    def _versions(self, name: str) -> Iterator[Content]:
        version = 1
        while True:
            path = self.path(name, version)
            try:
                content = msgspec.json.decode(path.read_bytes(), type=Content)
            except FileNotFoundError:
                return
            except OSError as error:
                raise CorruptError(f"{path}: cannot be read ({error.strerror})") from None
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise CorruptError(
                    f"{path}: damaged ({error}); move it out of the store, and the study is put "
                    "on record again"
                ) from None
            yield content
            version += 1


def _runs(content: Content) -> set[bytes]:
    return {canonical_json(each) for each in content.get(RUNS, [])}


def _what_differs(before: Content, now: Content) -> str:
    """Say in which settings two studies differ."""
    old, new = _flat(before), _flat(now)
    keys = [key for key in [*old, *new] if old.get(key, old) != new.get(key, new)]
    lines = [
        f"{key} was {shown(old[key])}, is {shown(new[key])}"
        if key in old and key in new
        else f"{key} was {shown(old[key])}, is gone"
        if key in old
        else f"{key} is new"
        for key in dict.fromkeys(keys)
    ]
    if not lines:
        return "its settings are the same, so the text of its corpus has changed"
    more = f", and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return ", ".join(lines[:SHOWN]) + more


def _flat(content: Content, prefix: str = "") -> dict[str, Any]:
    """Settings by dotted key, the runs left out."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif prefix or name != RUNS:
            flat[f"{prefix}{name}"] = value
    return flat
