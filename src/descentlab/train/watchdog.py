"""Ends a process whose run makes no step any more, and leaves on record where it stood."""

from __future__ import annotations

import faulthandler
import os
import sys
from contextlib import suppress

from descentlab.errors import FailedRuns, StorageError
from descentlab.runs.heartbeats import Heart
from descentlab.runs.store import Attempt, Store
from descentlab.train.spec import RunSpec


def heart_of(store: Store, attempt: Attempt, spec: RunSpec) -> Heart:
    """The heart of a process that trains a run, as its settings want it."""

    def hung(step: int, seconds: float) -> None:
        end_hung(attempt, f"hung: no step after step {step} for {seconds:,.1f} s")

    execution = spec.execution
    return store.heart(
        attempt, ttl=execution.takeover_after, hang_after=execution.hang_after, hung=hung
    )


def end_hung(attempt: Attempt, reason: str) -> None:
    """Put on record that a run hung, and where every thread stood, and end the process.

    The main thread may be in a call that never returns, so nobody can be asked to end in order.
    """
    with suppress(StorageError, OSError):
        with attempt.log.open("a", encoding="utf-8") as log:
            faulthandler.dump_traceback(log)
        attempt.end("failed", reason, passing=True)
    print(f"error: run {attempt.run_folder.run_id}: {reason}", file=sys.stderr, flush=True)
    os._exit(FailedRuns.exit_code)
