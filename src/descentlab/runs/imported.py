"""Runs that were trained elsewhere: read once through a gate, kept apart from our own.

    imported/<id>/runs.jsonl      one run a line
                  manifest.json   which file they are from, counts, and the hash of runs.jsonl

There is one folder for each imported file, named by the hash of the file's content, its name
and how it was read. It appears whole, by renaming, and never changes; to import a file again
does nothing. Numbers that are not finite are written as the texts ``nan``, ``inf`` and ``-inf``.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from descentlab.config import NonNegativeInt, PositiveInt, digest, seal, unseal
from descentlab.errors import CorruptError
from descentlab.runs.folder import refuse_newer
from descentlab.runs.identity import ID_LENGTH, SCHEMA
from descentlab.runs.labels import method_label
from descentlab.runs.store import Store
from descentlab.storage import flush, make_folder, storage_errors, unfinished_name

READING = 2
"""Raised when the same file would be read differently; what an older one read is passed over."""

MANIFEST, RUNS = "manifest.json", "runs.jsonl"

Kind = Literal["secretsauce", "wandb", "table"]
"""What was read: the paper's released files, a W&B history, or a table in our own columns."""

Array = np.ndarray[Any, Any]


class ImportedRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """One run that was trained elsewhere, with what is truly known about it.

    What is not known is None. ``settings`` has the names that a spec's ``optimizer`` table has,
    so that ``{"method": method, **settings}`` is one.
    """

    sweep: str
    """The runs that were made together: a file's name, or what a table says."""
    row: NonNegativeInt
    """Its place in the file, from 0."""
    method: str
    """What was really run, under our name for it: adam, rmsprop, signum, signsgd, sgd, …"""
    settings: dict[str, float | str]
    """lr, beta or beta1 and beta2, weight_decay, clip_norm, coordinate_clip ("none" for none)."""
    curve: Array
    """Perplexities in training, in order, float64 ``[points]``; empty if there are none."""
    curve_steps: Array | None = None
    """The step of each point, int64 ``[points]``; None where it is not on record."""
    position_error: float = 0.0
    """By which fraction of the run a point of the curve may lie elsewhere than ``fractions``."""
    final_perplexity: float | None = None
    """On held-out text; None after divergence."""
    train_perplexity: float | None = None
    """Of the end of training, as the source tells it beside the curve."""
    diverged: bool = False
    seed: int | None = None
    batch_size: PositiveInt | None = None
    """Sequences per step, over all devices."""
    sequence_length: PositiveInt | None = None
    steps: PositiveInt | None = None
    dataset: str | None = None
    model: str | None = None
    reported: dict[str, float] = {}
    """What the source says instead: ``final_perplexity`` of a run that diverged, ``batch_size``."""
    duplicate_of: NonNegativeInt | None = None
    """The first row of the sweep with the same settings, if this is a later one."""
    notes: tuple[str, ...] = ()
    """Where the file says something else than what is told here, and why."""

    @property
    def tokens(self) -> int | None:
        """Tokens that it was trained on."""
        if self.batch_size is None or self.sequence_length is None or self.steps is None:
            return None
        return self.batch_size * self.sequence_length * self.steps

    @property
    def label(self) -> str:
        """The method as tables name it."""
        return method_label(self.method, self.settings)

    @property
    def positions_uncertain(self) -> bool:
        """Whether the steps of the curve's points are not on record."""
        return self.position_error > 0

    @property
    def fractions(self) -> NDArray[np.float64]:
        """Where in the run each point of the curve lies, from 0 to 1.

        Points without a step were drawn at random and put in order, so the i-th of n is
        expected at i/(n+1).
        """
        if self.curve_steps is not None and len(self.curve):
            return self.curve_steps / float(self.steps or self.curve_steps[-1])
        return np.arange(1, len(self.curve) + 1) / (len(self.curve) + 1)


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file that runs were imported from."""

    kind: Kind
    name: str
    """Without its folder."""
    bytes: NonNegativeInt
    sha256: str
    options: dict[str, str] = {}
    """What the user said about how to read it."""
    reading: int = READING

    @property
    def import_id(self) -> str:
        """The name of its folder: a hash of what the file is."""
        return digest(self)[:ID_LENGTH]


class Import(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``manifest.json`` tells about one imported file."""

    source: Source
    sweeps: tuple[str, ...]
    runs: NonNegativeInt
    diverged: NonNegativeInt
    duplicates: NonNegativeInt
    runs_sha256: str
    notes: tuple[str, ...] = ()
    """What holds for the file as a whole."""
    schema: int = SCHEMA


def load_imported(store: Store) -> list[ImportedRun]:
    """Read every imported run of a store, ordered by sweep and row.

    Raises:
        CorruptError: if a file has changed since it was written.
        ConfigError: if a newer version of the program wrote it.
    """
    runs = [run for found in imports(store) for run in read_runs(store, found)]
    return sorted(runs, key=lambda run: (run.sweep, run.row))


def imports(store: Store) -> list[Import]:
    """What was imported into a store, ordered by the files' names.

    Raises:
        CorruptError, ConfigError: as ``load_imported`` does.
    """
    found = map(_read_manifest, sorted(_root(store).glob(f"*/{MANIFEST}")))
    ours = [each for each in found if each.source.reading == READING]
    return sorted(ours, key=lambda each: each.source.name)


def passed_over(store: Store) -> list[str]:
    """The files that an older version imported and that have to be imported again.

    Raises:
        CorruptError, ConfigError: as ``load_imported`` does.
    """
    found = [_read_manifest(path).source for path in sorted(_root(store).glob(f"*/{MANIFEST}"))]
    current = {(each.sha256, each.name) for each in found if each.reading == READING}
    names = [each.name for each in found if (each.sha256, each.name) not in current]
    return sorted(set(names))


def find_import(store: Store, source: Source) -> Import | None:
    """What was imported from a source, if it was.

    Raises:
        CorruptError, ConfigError: as ``load_imported`` does.
    """
    path = _root(store) / source.import_id / MANIFEST
    return _read_manifest(path) if path.exists() else None


def read_runs(store: Store, found: Import) -> list[ImportedRun]:
    """Read the runs of one imported file, by row.

    Raises:
        CorruptError: if the file has changed since it was written.
    """
    path = _root(store) / found.source.import_id / RUNS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorruptError(f"{path}: cannot be read ({error.strerror}); {_cure(path)}") from None
    if hashlib.sha256(content).hexdigest() != found.runs_sha256:
        raise CorruptError(f"{path}: has changed since it was written; {_cure(path)}")
    return [_decode(line) for line in content.splitlines()]


def write_import(
    store: Store, source: Source, runs: Sequence[ImportedRun], *, notes: Sequence[str] = ()
) -> Import:
    """Put the runs of one file into a store; what was imported before stays as it is.

    Raises:
        StorageError: if the disk refuses; nothing is there then.
    """
    content = b"".join(map(_encode, runs))
    made = Import(
        source=source,
        sweeps=tuple(dict.fromkeys(run.sweep for run in runs)),
        runs=len(runs),
        diverged=sum(run.diverged for run in runs),
        duplicates=sum(run.duplicate_of is not None for run in runs),
        runs_sha256=hashlib.sha256(content).hexdigest(),
        notes=tuple(notes),
    )
    final = _root(store) / source.import_id
    aside = unfinished_name(f"imported.{source.import_id}", aside=store.aside)
    with storage_errors(final, len(content)):
        try:
            aside.mkdir()
            for name, data in ((RUNS, content), (MANIFEST, seal(msgspec.json.encode(made)))):
                (aside / name).write_bytes(data)
                flush(aside / name)
            flush(aside)
            make_folder(final.parent)
            try:
                aside.rename(final)
            except OSError:
                if not (final / MANIFEST).exists():  # else another process was quicker
                    raise
            flush(final.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return made


def _root(store: Store) -> Path:
    return store.root / "imported"


def _cure(path: Path) -> str:
    return f"move {path.parent} away and import the file again"


def _read_manifest(path: Path) -> Import:
    try:
        raw = path.read_bytes()
        content = msgspec.json.decode(raw)
        whole = unseal(raw) is not None
        refuse_newer(path, content, whole=whole)
        if not whole:
            raise CorruptError(f"{path}: has changed since it was written; {_cure(path)}")
        content.pop("crc")
        found = msgspec.convert(content, Import)
        if path.parent.name != found.source.import_id:
            raise CorruptError(f"{path}: its content does not belong in this folder; {_cure(path)}")
        return found
    except OSError as error:
        raise CorruptError(f"{path}: cannot be read ({error.strerror}); {_cure(path)}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptError(f"{path}: damaged ({error}); {_cure(path)}") from None


def _encode(run: ImportedRun) -> bytes:
    return msgspec.json.encode(_spelled(msgspec.structs.asdict(run))) + b"\n"


def _spelled(value: Any) -> Any:
    """Write numbers that are not finite as texts, which JSON can hold."""
    if isinstance(value, dict):
        return {name: _spelled(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return [_spelled(inner) for inner in value.tolist()]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _decode(line: bytes) -> ImportedRun:
    content = msgspec.json.decode(line)
    for name in ("final_perplexity", "train_perplexity"):
        if isinstance(content[name], str):
            content[name] = float(content[name])
    content["reported"] = {name: float(each) for name, each in content["reported"].items()}
    return msgspec.convert(content, ImportedRun, dec_hook=_array)


def _array(kind: type, values: list[Any]) -> NDArray[Any]:
    numbers = [float(each) if isinstance(each, str) else each for each in values]
    return np.array(numbers, dtype=None if numbers else np.float64)
