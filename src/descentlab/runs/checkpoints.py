"""Checkpoints on disk: complete or detectably corrupt, durable once acknowledged, two kept.

    attempt-<generation>/checkpoints/step-00000120/ … files …  manifest.json

A checkpoint is written aside, flushed, given a manifest with the size and the SHA-256 of
every file, and renamed into place. The manifest also says how long the attempt's records
were by then, so that a later attempt goes on with exactly these.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from descentlab.config import seal, unseal
from descentlab.errors import CorruptError, StorageError
from descentlab.runs.folder import Attempt, RunFolder, refuse_newer
from descentlab.runs.identity import SCHEMA
from descentlab.storage import flush, make_folder, storage_errors, unfinished_name

KEEP = 2
"""Checkpoints of an attempt."""
MANIFEST = "manifest.json"
RECORDS = ("metrics.jsonl", "probes.jsonl", "timing.jsonl")
CORRUPT = "corrupt-"
"""What the name of a quarantined checkpoint begins with."""


class Content(msgspec.Struct, frozen=True):
    """A file, or the beginning of one."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint says about itself."""

    step: int
    """Updates made."""
    files: dict[str, Content]
    records: dict[str, Content]
    """How far the attempt's files of records went."""
    fingerprint: dict[str, Any]
    """What equal bits need: a later process goes on exactly only where it is the same."""
    inexact_since: int | None = None
    """The step after which the run went on with another fingerprint, if it did."""
    schema: int = SCHEMA


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found whole."""

    attempt: Attempt
    path: Path
    manifest: Manifest


class Damage(Exception):
    """What is wrong with a checkpoint."""


def stored(attempt: Attempt) -> list[Path]:
    """The folders of an attempt's checkpoints, quarantined ones left out, newest first.

    Raises:
        StorageError: if they cannot be listed, which is not to have none.
    """
    try:
        found = list(attempt.checkpoints.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(attempt.checkpoints, error) from error
    return sorted((each for each in found if each.name.startswith("step-")), reverse=True)


def save(
    attempt: Attempt,
    step: int,
    write: Callable[[Path], None],
    *,
    size: int,
    fingerprint: Mapping[str, Any],
    inexact_since: int | None = None,
) -> Path:
    """Make a checkpoint durable, then drop all but the newest two of the attempt.

    Args:
        attempt: of this process; its records must be flushed.
        step: updates made.
        write: puts the files into an empty folder.
        size: bytes that they take, about.
        fingerprint: of this process.
        inexact_since: see ``Manifest``.

    Raises:
        StorageError: if the disk refuses; older checkpoints stay as they are.
    """
    aside = _aside(attempt, step)
    final = attempt.checkpoints / f"step-{step:08}"
    with storage_errors(final, size):
        try:
            aside.mkdir()
            write(aside)
            manifest = Manifest(
                step=step,
                files={each.name: _flushed(each) for each in sorted(aside.iterdir())},
                records={
                    name: _beginning(attempt.path / name)
                    for name in RECORDS
                    if (attempt.path / name).exists()
                },
                fingerprint=dict(fingerprint),
                inexact_since=inexact_since,
            )
            _publish(aside, manifest, final)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    for old in stored(attempt)[KEEP:]:
        remove(attempt.run_folder, old)
    return final


def newest(run_folder: RunFolder, warn: Callable[[str], None]) -> Checkpoint | None:
    """Find the newest valid checkpoint of a run; those that are damaged are quarantined.

    A later attempt goes before an earlier one, even if that had come further: it began with
    the newest there was, or was told to begin again.

    Args:
        run_folder: of the run.
        warn: told about each damaged one.

    Raises:
        CorruptError: if the run had checkpoints and none of them is valid.
        ConfigError: if a newer version of the program wrote one.
        StorageError: if one may not be read; whether it is valid cannot be told then.
    """
    attempts = [run_folder.attempt(n) for n in range(run_folder.generations(), 0, -1)]
    for attempt, path in [(each, path) for each in attempts for path in stored(each)]:
        try:
            return Checkpoint(attempt, path, verified(path, attempt))
        except Damage as damage:
            warn(f"{path}: {damage}; it is set aside and an older checkpoint is tried")
            with storage_errors(path):
                path.rename(path.with_name(CORRUPT + path.name))
    if any(True for each in attempts for _ in each.checkpoints.glob(f"{CORRUPT}*")):
        raise CorruptError(
            f"run {run_folder.run_id}: every checkpoint is damaged; to train it again from its "
            'first step, set execution.resume to "restart"'
        )
    return None


class Saved(NamedTuple):
    """Where a run would go on."""

    attempt: Attempt
    step: int
    """Updates made by then."""


def saved(run_folder: RunFolder) -> Saved | None:
    """Where a run would go on, by the names of its checkpoints.

    Nothing is read or checked, so it is quick, and no promise.
    """
    for generation in range(run_folder.generations(), 0, -1):
        attempt = run_folder.attempt(generation)
        if found := stored(attempt):
            return Saved(attempt, int(found[0].name.removeprefix("step-")))
    return None


def verified(path: Path, attempt: Attempt) -> Manifest:
    """Check every byte of a checkpoint, and of the records that belong to it.

    Raises:
        Damage: saying what is wrong.
        ConfigError: if a newer version of the program wrote it.
        StorageError: if it may not be read.
    """
    try:
        sealed = (path / MANIFEST).read_bytes()
        content = msgspec.json.decode(sealed)
        whole = unseal(sealed) is not None
        refuse_newer(path, content, whole=whole)
        if not whole:
            raise Damage(f"its {MANIFEST} has changed since it was written")
        manifest = msgspec.convert(content, Manifest)
        present = {each.name for each in path.iterdir()} - {MANIFEST}
        if present != manifest.files.keys():
            odd = min(present ^ manifest.files.keys())
            raise Damage(f"{odd} {'is missing' if odd in manifest.files else 'does not belong'}")
        for name, expected in manifest.files.items():
            _compare(path / name, expected, whole=True)
        for name, expected in manifest.records.items():
            _compare(attempt.path / name, expected, whole=False)
    except PermissionError as error:
        raise _unreadable(error.filename, error) from error
    except OSError as error:
        raise Damage(f"cannot be read ({error.strerror}: {error.filename})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damage(f"its {MANIFEST} is damaged ({error})") from None
    return manifest


def adopt(found: Checkpoint, attempt: Attempt) -> Checkpoint:
    """Copy an older attempt's checkpoint, and its records so far, into a new attempt.

    Raises:
        StorageError: if the disk refuses.
        CorruptError: if what was copied is not what was found.
    """
    size = sum(each.bytes for each in found.manifest.files.values())
    final = attempt.checkpoints / found.path.name
    aside = _aside(attempt, found.manifest.step)
    with storage_errors(final, size):
        for name, content in found.manifest.records.items():
            with (found.attempt.path / name).open("rb") as old:
                (attempt.path / name).write_bytes(old.read(content.bytes))
            flush(attempt.path / name)
        try:
            aside.mkdir()  # not by copytree, whose copy is as old as what it copied
            for name in found.manifest.files:
                shutil.copyfile(found.path / name, aside / name)
                flush(aside / name)
            _publish(aside, found.manifest, final)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    try:
        return Checkpoint(attempt, final, verified(final, attempt))
    except Damage as damage:
        raise CorruptError(f"{final}: {damage}, though it was copied a moment ago") from None


def discard_older(attempt: Attempt) -> None:
    """Drop the checkpoints of earlier attempts, once this one has as many as are kept."""
    if len(stored(attempt)) >= KEEP:
        for generation in range(1, attempt.generation):
            for path in stored(attempt.run_folder.attempt(generation)):
                remove(attempt.run_folder, path)


def discard_all(run_folder: RunFolder, *, but: int = 0) -> None:
    """Drop the checkpoints of a finished run, but for so many as ``newest`` would find first."""
    attempts = [run_folder.attempt(n) for n in range(run_folder.generations(), 0, -1)]
    found = [path for each in attempts for path in stored(each)]
    for path in found[but:]:
        remove(run_folder, path)


def remove(run_folder: RunFolder, path: Path) -> None:
    """Drop a checkpoint: it goes from its place at once, and from the disk thereafter."""
    away = unfinished_name(f"{run_folder.run_id}.{path.name}.old", aside=run_folder.aside)
    with storage_errors(path), suppress(FileNotFoundError):  # another process has dropped it
        path.rename(away)
    shutil.rmtree(away, ignore_errors=True)


def _unreadable(path: object, error: OSError) -> StorageError:
    return StorageError(
        f"{path}: cannot be read ({error.strerror}); the run goes on from its checkpoints, so see "
        "to it that they can be read"
    )


def _publish(aside: Path, manifest: Manifest, final: Path) -> None:
    path = aside / MANIFEST
    path.write_bytes(seal(msgspec.json.encode(manifest, order="sorted")))
    flush(path)
    flush(aside)
    make_folder(final.parent)
    aside.rename(final)
    flush(final.parent)


def _aside(attempt: Attempt, step: int) -> Path:
    run_folder = attempt.run_folder
    return unfinished_name(f"{run_folder.run_id}.step-{step:08}", aside=run_folder.aside)


def _flushed(path: Path) -> Content:
    flush(path)
    return _beginning(path)


def _beginning(path: Path, length: int | None = None) -> Content:
    """The size and hash of a file, or of its first ``length`` bytes."""
    with path.open("rb") as file:
        if length is None:
            digest = hashlib.file_digest(file, "sha256")
            return Content(file.tell(), digest.hexdigest())
        whole = hashlib.sha256()
        left = length
        while left and (piece := file.read(min(left, 2**20))):
            whole.update(piece)
            left -= len(piece)
        return Content(length - left, whole.hexdigest())


def _compare(path: Path, expected: Content, *, whole: bool) -> None:
    size = path.stat().st_size
    if size < expected.bytes or (whole and size != expected.bytes):
        raise Damage(f"{path.name} has {size:,} bytes instead of {expected.bytes:,}")
    if _beginning(path, expected.bytes) != expected:
        raise Damage(f"{path.name} has changed since it was written")
