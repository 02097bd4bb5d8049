"""The store: a folder that holds studies, claims and runs, and is the only truth there is.

    studies/<name>.json, <name>+2.json, …     claims/<run_id>.<generation>     tmp/
    runs/<run_id>/spec.json, done.json
    runs/<run_id>/attempt-<generation>/ metrics.jsonl  timing.jsonl  log.txt  environment.json
                                        probes.jsonl if the run has probes
                                        checkpoints/step-<updates made>/

All paths of a run come from ``RunFolder``. Readers never write.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from descentlab.config import canonical_json, seal, unseal
from descentlab.errors import BusyError, ConfigError, CorruptError, nearest
from descentlab.runs.claims import Claims
from descentlab.runs.identity import SCHEMA, Run, make_run
from descentlab.runs.records import RecordWriter
from descentlab.runs.studies import Studies
from descentlab.storage import flush, make_folder, publish, storage_errors

S = TypeVar("S", bound=msgspec.Struct)
State = Literal["pending", "running", "done", "failed", "interrupted"]
CURE = "move the run's folder out of the store and it is trained again"
OLD = 86_400
"""Seconds after which an unfinished file in ``tmp/`` was surely left by a killed process."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended, as ``done.json`` tells it. Divergence is a result."""

    outcome: Literal["ok", "diverged"]
    generation: int
    steps: int
    tokens: int
    diverged_at: int | None = None
    reason: str | None = None
    """What was not finite, after divergence."""
    inexact_since: int | None = None
    """The step after which the run went on with another build, machine or thread count."""
    validation_loss: float | None = None
    """Mean cross-entropy of the held-out tokens in nats; None after divergence."""
    schema: int = SCHEMA


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt ended without a result."""

    reason: str


@dataclass(frozen=True)
class Status:
    """Where a run stands."""

    state: State
    result: Result | None = None
    reason: str | None = None
    generation: int = 0


@dataclass(frozen=True)
class Attempt:
    """One process's try at a run: its own folder, written by nobody else."""

    run_folder: RunFolder
    generation: int

    @cached_property
    def path(self) -> Path:
        return self.run_folder.path / f"attempt-{self.generation}"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def timing(self) -> Path:
        return self.path / "timing.jsonl"

    @property
    def probes(self) -> Path:
        return self.path / "probes.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    def begin(self, environment: Mapping[str, Any]) -> None:
        """Make the folder and put the environment on disk, before step 0.

        Raises:
            BusyError: if it is there; claims that were deleted by hand may be given twice, but
                a folder can be made only once.
        """
        with storage_errors(self.path):
            try:
                self.path.mkdir()
            except FileExistsError:
                raise BusyError(
                    f"run {self.run_folder.run_id}: another process has begun attempt "
                    f"{self.generation}; this one stops"
                ) from None
            flush(self.path.parent)
        publish(self.environment, canonical_json(dict(environment)), aside=self.run_folder.aside)

    def open_metrics(self) -> RecordWriter:
        return RecordWriter(self.metrics)

    def open_timing(self) -> RecordWriter:
        return RecordWriter(self.timing)

    def open_probes(self) -> RecordWriter:
        return RecordWriter(self.probes)

    def finish(self, result: Result) -> bool:
        """Publish the result; False if the run had one already, which then stands."""
        return publish(
            self.run_folder.done, seal(msgspec.json.encode(result)), aside=self.run_folder.aside
        )

    def end(
        self, state: Literal["failed", "interrupted"], reason: str, *, log: str | None = None
    ) -> None:
        """Put on record that this attempt ended without a result, as ``<state>.json``.

        The run may be claimed again from then on.

        Args:
            state: how it ended.
            reason: one sentence.
            log: what to keep besides in ``log.txt``.

        Raises:
            StorageError: if the disk refuses.
        """
        with storage_errors(self.path):
            self.path.mkdir(exist_ok=True)
            if log is not None:
                self.log.write_text(log, encoding="utf-8", errors="backslashreplace")
        content = seal(msgspec.json.encode(Ending(reason=reason)))
        publish(self.path / f"{state}.json", content, aside=self.run_folder.aside)

    def ending(self) -> Status | None:
        """How this attempt ended without a result, if it said so."""
        for state in ("failed", "interrupted"):
            path = self.path / f"{state}.json"
            if path.exists():
                return Status(state, reason=_read(path, Ending).reason, generation=self.generation)
        return None


@dataclass(frozen=True)
class RunFolder:
    """Where everything about one run lies."""

    path: Path
    aside: Path

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def spec(self) -> Path:
        return self.path / "spec.json"

    @property
    def done(self) -> Path:
        return self.path / "done.json"

    def attempt(self, generation: int) -> Attempt:
        return Attempt(self, generation)

    def generations(self) -> int:
        """The highest generation that has a folder, 0 if none has."""
        try:
            names = [path.name.partition("attempt-")[2] for path in self.path.iterdir()]
        except FileNotFoundError:
            return 0
        return max((int(name) for name in names if name.isdecimal()), default=0)

    def run(self) -> Run:
        """Read the spec and check that the folder's name is its hash.

        Raises:
            CorruptError: if it is damaged.
            ConfigError: if a newer version of the program wrote it.
        """
        run = _read(self.spec, Run)
        again = make_run(identity=run.identity, settings=run.settings, data_sha256=run.data_sha256)
        if not again.run_id == run.run_id == self.run_id:
            raise CorruptError(f"{self.spec}: its content does not hash to {self.run_id}")
        return run

    def result(self) -> Result | None:
        """The result, or None while there is none.

        Raises:
            CorruptError, ConfigError: as ``run`` does.
        """
        return _read(self.done, Result) if self.done.exists() else None


def _read(path: Path, kind: type[S]) -> S:
    try:
        raw = path.read_bytes()
        content = msgspec.json.decode(raw)
        whole = unseal(raw) is not None
        refuse_newer(path, content, whole=whole)
        if not whole:
            raise CorruptError(f"{path}: its content has changed since it was written; {CURE}")
        return msgspec.convert(content, kind)
    except OSError as error:
        raise CorruptError(f"{path}: cannot be read ({error.strerror}); {CURE}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptError(f"{path}: damaged ({error}); {CURE}") from None


def refuse_newer(path: Path, content: object, *, whole: bool) -> None:
    """Refuse what a newer version of the program wrote, before anything is done to it.

    Args:
        path: of the file.
        content: of the file, decoded.
        whole: whether its seal fits; where it does not, the schema may be what was damaged.

    Raises:
        ConfigError: if it is of a newer version.
    """
    if not isinstance(content, dict) or not (whole or "crc" not in content):
        return
    schema = content.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise ConfigError(
            f"{path}: written by a newer version (schema {schema}, this one reads up to "
            f"{SCHEMA}); update descentlab"
        )


class Store:
    """A folder of runs that any number of processes may work on.

    Args:
        root: the folder.
        create: make it if it is not there.

    Raises:
        ConfigError: if it is not there, or is not a store.
        StorageError: if it cannot be made or written.
    """

    def __init__(self, root: Path, *, create: bool = False) -> None:
        self.root = root
        self.studies = root / "studies"
        self.aside = root / "tmp"
        self._runs = root / "runs"
        claims = root / "claims"
        if create:
            with storage_errors(root):
                for folder in (self.studies, self.aside, self._runs, claims):
                    make_folder(folder)
                self._sweep_aside()
        elif not self._runs.is_dir():
            raise ConfigError(f"{root}: not a store; give the folder that a run was trained into")
        self.claims = Claims(claims, self.aside)

    def _sweep_aside(self) -> None:
        """Prove that the store can be written, and drop what killed processes left."""
        probe = self.aside / ".writable"
        probe.touch()
        now = probe.stat().st_mtime  # by the clock that dates the leftovers, maybe a server's
        for leftover in self.aside.iterdir():
            with suppress(FileNotFoundError):  # another process has finished with it
                if now - leftover.stat().st_mtime > OLD:
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()

    def folder(self, run_id: str) -> RunFolder:
        return RunFolder(self._runs / run_id, self.aside)

    def register(self, run: Run) -> RunFolder:
        """Put a run's spec on disk if it is not there; the first spelling stays."""
        folder = self.folder(run.run_id)
        if not folder.spec.exists():
            with storage_errors(folder.path):
                make_folder(folder.path)
            publish(folder.spec, seal(canonical_json(run)), aside=self.aside)
        return folder

    def register_study(self, name: str, content: Mapping[str, Any]) -> None:
        """Put a study on disk; a study of that name may only have gained runs (``studies``).

        Raises:
            ConfigError: if another study has the name.
        """
        Studies(self.studies, self.aside).register(name, content)

    def claim(self, run_id: str) -> Attempt:
        """Make this process the owner of a registered run.

        Raises:
            BusyError: if another process has it.
        """
        folder = self.folder(run_id)
        generation = self.generation(run_id)
        ended = folder.attempt(generation).ending() is not None
        released = generation if ended else 0
        tried = folder.generations()
        return folder.attempt(self.claims.claim(run_id, released=released, tried=tried))

    def generation(self, run_id: str) -> int:
        """The newest generation that claimed the run, 0 if none did."""
        return self.claims.generation(run_id, tried=self.folder(run_id).generations())

    def owns(self, attempt: Attempt) -> bool:
        """Whether no later attempt at the run has been claimed."""
        return self.generation(attempt.run_folder.run_id) == attempt.generation

    def latest_attempt(self, run_id: str) -> Attempt | None:
        """The newest attempt, or the one that finished the run."""
        folder = self.folder(run_id)
        result = folder.result()
        generation = result.generation if result else self.generation(run_id)
        return folder.attempt(generation) if generation else None

    def status(self, run_id: str) -> Status:
        """Where a run stands, from its files and the life of its owner."""
        folder = self.folder(run_id)
        result = folder.result()
        if result is not None:
            return Status("done", result=result, generation=result.generation)
        generation = self.generation(run_id)
        if generation == 0:
            return Status("pending")
        if (ending := folder.attempt(generation).ending()) is not None:
            return ending
        holder = self.claims.holder(run_id, generation)
        if holder is not None and holder.alive():
            return Status("running", generation=generation)
        return Status("interrupted", generation=generation)

    def runs(self) -> Iterator[Run]:
        """Every registered run, ordered by id."""
        for run_id in self.run_ids():
            yield self.folder(run_id).run()

    def run_ids(self) -> list[str]:
        """The id of every registered run, in order."""
        return sorted(path.parent.name for path in self._runs.glob("*/spec.json"))

    def find(self, prefix: str) -> Run:
        """The run whose id starts with ``prefix``.

        Raises:
            ConfigError: if none or several do.
        """
        names = self.run_ids()
        matches = [name for name in names if prefix and name.startswith(prefix)]
        if len(matches) == 1:
            return self.folder(matches[0]).run()
        if matches:
            raise ConfigError(f"run {prefix!r}: {len(matches)} runs start so; give more of the id")
        hint = (
            nearest(prefix, names) if len(names) <= 12 else f"descent runs {self.root} lists them"
        )
        raise ConfigError(f"run {prefix!r}: not in {self.root}; {hint}")
