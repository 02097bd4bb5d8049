"""When a run's state is saved, and where a run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from descentlab.errors import BusyError, ConfigError
from descentlab.runs import checkpoints
from descentlab.runs.checkpoints import Checkpoint
from descentlab.runs.records import RecordWriter
from descentlab.runs.store import Attempt, Store
from descentlab.train import checkpoint
from descentlab.train.loop import Training
from descentlab.train.spec import Execution
from descentlab.train.state import Snapshot


class Saver:
    """Saves the state of an attempt as often as its settings say.

    Args:
        store: of the attempt.
        attempt: of this process.
        execution: says how often.
        fingerprint: of this process.
        records: files that must reach the disk before the state does.
        begun: the checkpoint that the attempt goes on from, if any.
        inexact_since: see ``runs.checkpoints.Manifest``.
    """

    def __init__(
        self,
        store: Store,
        attempt: Attempt,
        execution: Execution,
        *,
        fingerprint: Mapping[str, Any],
        records: list[RecordWriter],
        begun: Checkpoint | None,
        inexact_since: int | None,
    ) -> None:
        self._store, self._attempt, self._execution = store, attempt, execution
        self._fingerprint, self._records = fingerprint, records
        self._inexact_since = inexact_since
        self._saved = begun.manifest.step if begun else 0
        self._saved_at = time.monotonic()

    def due(self, training: Training) -> bool:
        """Whether the state is to be saved now."""
        every, minutes = self._execution.checkpoint_every, self._execution.checkpoint_minutes
        by_steps = every > 0 and training.step % every == 0
        by_time = minutes > 0 and time.monotonic() - self._saved_at >= 60 * minutes
        return by_steps or by_time

    def save(self, training: Training) -> None:
        """Save the state, unless it is on disk already.

        Raises:
            BusyError: if another process has taken the run over; nothing is written then.
            StorageError: if the disk refuses.
        """
        if training.step in (0, self._saved):
            return
        if not self._store.owns(self._attempt):
            raise BusyError(
                f"run {self._attempt.run_folder.run_id}: another process has taken it over since "
                f"attempt {self._attempt.generation} began; this one stops"
            )
        for writer in self._records:
            writer.flush()
        snapshot = training.snapshot()
        checkpoints.save(
            self._attempt,
            training.step,
            lambda folder: checkpoint.write(folder, snapshot),
            size=snapshot.size,
            fingerprint=self._fingerprint,
            inexact_since=self._inexact_since,
        )
        checkpoints.discard_older(self._attempt)
        self._saved, self._saved_at = training.step, time.monotonic()


def found_for(
    attempt: Attempt,
    execution: Execution,
    fingerprint: Mapping[str, Any],
    warn: Callable[[str], None],
) -> Checkpoint | None:
    """Find where an attempt goes on, and copy it there; None to begin at the first step.

    Raises:
        CorruptError: if the run had checkpoints and none is valid.
        ConfigError: if this process cannot give the bits of the one that saved it.
    """
    if execution.resume == "restart":
        return None
    found = checkpoints.newest(attempt.run_folder, warn)
    if found is None:
        return None
    if execution.resume == "exact" and (changed := differences(found, fingerprint)):
        raise ConfigError(
            f"run {attempt.run_folder.run_id}: stopped after step {found.manifest.step} where "
            f"{changed}, so the same bits cannot be promised here; go on there, or set "
            'execution.resume to "inexact", which the result will tell, or to "restart"'
        )
    return checkpoints.adopt(found, attempt)


def differences(found: Checkpoint, fingerprint: Mapping[str, Any]) -> str:
    """Say in which of a fingerprint's entries this process is not the one that saved."""
    before = found.manifest.fingerprint
    return ", ".join(
        f"{name} was {before.get(name)!r}, not {fingerprint.get(name)!r}"
        for name in sorted({*before, *fingerprint})
        if before.get(name) != fingerprint.get(name)
    )


def inexact_since(begun: Checkpoint | None, fingerprint: Mapping[str, Any]) -> int | None:
    """The step from which on a run's bits are no longer those of one machine, if there is one."""
    if begun is None:
        return None
    if begun.manifest.inexact_since is not None:
        return begun.manifest.inexact_since
    return begun.manifest.step if differences(begun, fingerprint) else None


def snapshot_of(begun: Checkpoint | None) -> Snapshot | None:
    """Read the state to go on from."""
    return None if begun is None else checkpoint.read(begun.path)
