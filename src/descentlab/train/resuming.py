"""When a run's state is saved, and where a run goes on."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from descentlab.errors import BusyError, ConfigError
from descentlab.runs import checkpoints
from descentlab.runs.checkpoints import Checkpoint
from descentlab.runs.folder import Attempt, RunFolder
from descentlab.runs.records import RecordWriter
from descentlab.runs.store import Store
from descentlab.train import checkpoint
from descentlab.train.environment import fingerprint
from descentlab.train.loop import Training
from descentlab.train.spec import RunSpec
from descentlab.train.state import Snapshot
from descentlab.train.world import World


@dataclass(frozen=True)
class Beginning:
    """Where an attempt begins, and how."""

    spec: RunSpec
    """With what was measured when the run began, so that it goes on as it began."""
    fingerprint: Mapping[str, Any]
    """Of this process, computing that spec."""
    checkpoint: Checkpoint | None = None
    """None for the first step."""

    def copied_into(self, attempt: Attempt) -> Beginning:
        """The same, with the checkpoint and the records up to it in an attempt's own folder."""
        if self.checkpoint is None:
            return self
        return dataclasses.replace(self, checkpoint=checkpoints.adopt(self.checkpoint, attempt))

    @property
    def step(self) -> int:
        """Updates made by then."""
        return 0 if self.checkpoint is None else self.checkpoint.manifest.step

    @property
    def snapshot(self) -> Snapshot | None:
        """The state to go on from."""
        return None if self.checkpoint is None else checkpoint.read(self.checkpoint.path)

    @property
    def inexact_since(self) -> int | None:
        """The step from which on the bits are not those of one machine, if there is one."""
        if self.checkpoint is None:
            return None
        manifest = self.checkpoint.manifest
        if manifest.inexact_since is not None:
            return manifest.inexact_since
        return manifest.step if differences(self.checkpoint, self.fingerprint) else None


def beginning(
    folder: RunFolder, spec: RunSpec, processes: int, warn: Callable[[str], None]
) -> Beginning:
    """Find where a run goes on.

    Raises:
        CorruptError: if the run had checkpoints and none is valid.
        ConfigError: if this process cannot give the bits of the one that saved it.
    """
    resume = spec.execution.resume
    found = None if resume == "restart" else checkpoints.newest(folder, warn)
    if found is None:
        known = fingerprint(spec, processes)
        return Beginning(_as_measured(spec, known), known)
    spec = _as_measured(spec, found.manifest.fingerprint)
    known = fingerprint(spec, processes)
    if resume == "exact" and (changed := differences(found, known)):
        raise ConfigError(
            f"run {folder.run_id}: stopped after step {found.manifest.step} where "
            f"{changed}, so the same bits cannot be promised here; go on there, or set "
            'execution.resume to "inexact", which the result will tell, or to "restart"'
        )
    return Beginning(spec, known, found)


def _as_measured(spec: RunSpec, known: Mapping[str, Any]) -> RunSpec:
    """Make a choice of what was measured: it may come out otherwise later, or beside this process.

    Args:
        spec: of the run.
        known: the fingerprint of the process that measured.
    """
    measured = known.get("projection")
    if spec.execution.projection != "auto" or measured not in ("torch", "onednn"):
        return spec
    return replace(spec, execution=replace(spec.execution, projection=measured))


def differences(found: Checkpoint, fingerprint: Mapping[str, Any]) -> str:
    """Say in which of a fingerprint's entries this process is not the one that saved."""
    before = found.manifest.fingerprint
    return ", ".join(
        f"{name} was {before.get(name)!r}, not {fingerprint.get(name)!r}"
        for name in sorted({*before, *fingerprint})
        if before.get(name) != fingerprint.get(name)
    )


def taken_over(attempt: Attempt) -> BusyError:
    """What a process stops with that finds its run taken from it, or free to be taken."""
    return BusyError(
        f"run {attempt.run_folder.run_id}: another process has taken it over since attempt "
        f"{attempt.generation} began; this one stops"
    )


class Saver:
    """Saves the state of an attempt as often as its settings say.

    Args:
        store: of the attempt.
        attempt: of this process.
        begun: where it began.
        records: files that must reach the disk before the state does.
        here: this process; the first one writes.
    """

    def __init__(
        self,
        store: Store,
        attempt: Attempt,
        begun: Beginning,
        records: list[RecordWriter],
        here: World,
    ) -> None:
        self._store, self.attempt, self._begun = store, attempt, begun
        self._records, self._here = records, here
        self._execution = begun.spec.execution
        self._saved = begun.step
        self._saved_at = time.monotonic()

    def due(self, training: Training) -> bool:
        """Whether the state is to be saved now."""
        every, minutes = self._execution.checkpoint_every, self._execution.checkpoint_minutes
        by_steps = every > 0 and training.step % every == 0
        by_time = minutes > 0 and time.monotonic() - self._saved_at >= 60 * minutes
        return by_steps or by_time

    def save(self, training: Training) -> None:
        """Save the state, unless it is on disk already; every process must call it.

        Raises:
            BusyError: if another process has taken the run over; nothing is written then.
            StorageError: if the disk refuses.
        """
        if training.step in (0, self._saved):
            return
        snapshot = training.snapshot()
        self._here.by_first(lambda: self._write(training.step, snapshot))
        self._saved, self._saved_at = training.step, time.monotonic()

    def _write(self, step: int, snapshot: Snapshot) -> None:
        if not self._store.owns(self.attempt):
            raise taken_over(self.attempt)
        for writer in self._records:
            writer.flush()
        checkpoints.save(
            self.attempt,
            step,
            lambda folder: checkpoint.write(folder, snapshot),
            size=snapshot.size,
            fingerprint=self._begun.fingerprint,
            inexact_since=self._begun.inexact_since,
        )
        checkpoints.discard_older(self.attempt)
