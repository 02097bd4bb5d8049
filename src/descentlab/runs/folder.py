"""One run on disk: its spec, its attempts and its result. All paths of a run come from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from descentlab.config import canonical_json, seal, unseal
from descentlab.errors import BusyError, ConfigError, CorruptError
from descentlab.runs.identity import SCHEMA, Run, make_run
from descentlab.runs.records import RecordWriter
from descentlab.storage import flush, publish, storage_errors

S = TypeVar("S", bound=msgspec.Struct)
State = Literal["pending", "running", "done", "failed", "interrupted"]
WARNING = "warning: "
"""What a line of an attempt's log begins with that tells of no failure."""
PAUSED = "paused after step"
"""What the reason of an attempt begins with that was asked to stop at a step, as racing asks."""
LOST = "lost: "
"""What the reason begins with of a run whose process fell silent, and may yet be alive."""
CURE = "move the run's folder out of the store and it is trained again"


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
    passing: bool = False
    """Whether the same may go well at another try."""


@dataclass(frozen=True)
class Status:
    """Where a run stands."""

    state: State
    result: Result | None = None
    reason: str | None = None
    generation: int = 0
    passing: bool = False
    """Of a failed run: whether another try may go well."""


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
        """A record of each step and evaluation."""
        return self.path / "metrics.jsonl"

    @property
    def timing(self) -> Path:
        """What varies with the clock, by step."""
        return self.path / "timing.jsonl"

    @property
    def probes(self) -> Path:
        """Records of the run's probes; there only if it has some."""
        return self.path / "probes.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """What the process said, tracebacks included."""
        return self.path / "log.txt"

    @property
    def environment(self) -> Path:
        """Machine, versions and how the run is computed."""
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
        self,
        state: Literal["failed", "interrupted"],
        reason: str,
        *,
        log: str | None = None,
        passing: bool = False,
    ) -> None:
        """Put on record that this attempt ended without a result, as ``<state>.json``.

        The run may be claimed again from then on. It is said by the process itself, or by one
        that found it dead or silent; this file alone may come from another process.

        Args:
            state: how it ended.
            reason: one sentence.
            log: what to keep besides in ``log.txt``.
            passing: whether the same may go well at another try.

        Raises:
            StorageError: if the disk refuses.
        """
        with storage_errors(self.path):
            self.path.mkdir(exist_ok=True)
            if log is not None:
                self._append(log)
        content = seal(msgspec.json.encode(Ending(reason=reason, passing=passing)))
        publish(self.path / f"{state}.json", content, aside=self.run_folder.aside)

    def remark(self, line: str) -> None:
        """Put a warning on record, in the attempt's log.

        Raises:
            StorageError: if the disk refuses.
        """
        with storage_errors(self.log):
            self._append(f"{WARNING}{line}\n")

    def remarks(self) -> list[str]:
        """The warnings on record; none where the log cannot be read."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [line.removeprefix(WARNING) for line in lines if line.startswith(WARNING)]

    def _append(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(text)

    def ending(self) -> Status | None:
        """How this attempt ended without a result, if it said so."""
        for state in ("failed", "interrupted"):
            path = self.path / f"{state}.json"
            if path.exists():
                said = _read(path, Ending)
                return Status(
                    state, reason=said.reason, generation=self.generation, passing=said.passing
                )
        return None


@dataclass(frozen=True)
class RunFolder:
    """Where everything about one run lies."""

    path: Path
    aside: Path

    @property
    def run_id(self) -> str:
        """The run's id, which is the folder's name."""
        return self.path.name

    @property
    def spec(self) -> Path:
        """What the run is: identity, settings, hash of the tokens."""
        return self.path / "spec.json"

    @property
    def done(self) -> Path:
        """Its result, if it has one."""
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
