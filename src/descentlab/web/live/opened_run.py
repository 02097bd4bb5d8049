"""Everything about one run, for a page on which it was opened; and whole curves."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from descentlab.config import flat
from descentlab.errors import DescentError
from descentlab.runs.folder import Attempt
from descentlab.runs.following import FollowedRecords
from descentlab.runs.imported import ImportedRun
from descentlab.runs.store import Store
from descentlab.web.live.curve import GrowingCurve, Part

LOG_BYTES = 6000
"""Of the end of a log."""


class OpenedAttempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process's try at a run."""

    generation: int
    ended: str
    """How, and why."""
    host: str = ""
    began: str = ""
    """UTC, by the clock of the file system."""
    log: str = ""
    """Its end."""
    notices: list[str] = []
    """What deserves a word about how it computes."""


class OpenedRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a page shows of a run that was opened."""

    id: str
    settings: list[tuple[str, str]]
    """By dotted key, as text."""
    attempts: list[OpenedAttempt]
    """The newest first."""
    curve: Part
    remarks: list[str] = []


def open_run(store: Store, run_id: str) -> OpenedRun:
    """Read everything about a run; what is damaged is a remark."""
    folder = store.folder(run_id)
    remarks: list[str] = []
    settings: list[tuple[str, str]] = []
    try:
        run = folder.run()
        settings = [(key, _shown(value)) for key, value in flat(run.settings)]
        settings.append(("data_sha256", run.data_sha256))
    except DescentError as error:
        remarks.append(str(error))
    newest = store.generation(run_id)
    with suppress(DescentError):
        if (result := folder.result()) is not None and result.inexact_since is not None:
            remarks.append(f"inexact since step {result.inexact_since}")
    attempts = [_attempt(store, folder.attempt(n)) for n in range(newest, 0, -1)]
    curve, damaged_at = read_curve(store, run_id)
    if damaged_at is not None:
        remarks.append(f"metrics are damaged from byte {damaged_at} on; the curve ends before it")
    return OpenedRun(
        id=run_id,
        settings=settings,
        attempts=attempts,
        curve=curve,
        remarks=list(dict.fromkeys(remarks)),
    )


def read_curve(store: Store, run_id: str) -> tuple[Part, int | None]:
    """The whole curve of a run's newest attempt, or of the one that finished it.

    Returns:
        The curve and where its file is damaged, if it is.
    """
    curve = GrowingCurve()
    try:
        attempt = store.latest_attempt(run_id)
    except DescentError:  # its result is damaged; the records need not be
        attempt = store.folder(run_id).attempt(store.generation(run_id))
    if attempt is None:
        return curve.since(), None
    followed = FollowedRecords(attempt.metrics)
    with suppress(OSError, TypeError, ValueError):  # the last two for what no trainer writes
        while (news := followed.look()).records or news.more:
            curve.add(news.records)
    return curve.since(), followed.damaged_at


def imported_curve(run: ImportedRun) -> Part:
    """The curve of a run that was trained elsewhere, its perplexities as losses."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        losses = np.log(run.curve)
    steps = np.rint(run.fractions * (run.steps or 1)).astype(int)
    curve = GrowingCurve()
    curve.add(
        {"step": int(step), "loss": float(loss)} for step, loss in zip(steps, losses, strict=True)
    )
    return curve.since()


def open_imported(name: str, run: ImportedRun) -> OpenedRun:
    """Everything about a run that was trained elsewhere."""
    known = {
        "optimizer.method": run.method,
        **{f"optimizer.{key}": value for key, value in run.settings.items()},
        **{
            key: getattr(run, key)
            for key in ("batch_size", "sequence_length", "steps", "dataset", "model", "seed")
        },
    }
    settings = [(key, _shown(value)) for key, value in known.items() if value is not None]
    return OpenedRun(
        id=name,
        settings=settings,
        attempts=[],
        curve=imported_curve(run),
        remarks=[f"imported from sweep {run.sweep}, row {run.row}", *run.notes],
    )


def _attempt(store: Store, attempt: Attempt) -> OpenedAttempt:
    run_id = attempt.run_folder.run_id
    holder = store.claims.holder(run_id, attempt.generation)
    return OpenedAttempt(
        generation=attempt.generation,
        ended=_ended(attempt),
        host="" if holder is None else f"process {holder.pid} on {holder.host}",
        began=_began(attempt.environment),
        log=tail(attempt.log),
        notices=_notices(attempt),
    )


def _ended(attempt: Attempt) -> str:
    try:
        ending = attempt.ending()
        if ending is not None:
            return f"{ending.state}: {ending.reason}"
        result = attempt.run_folder.result()
        if result is not None and result.generation == attempt.generation:
            return "finished the run"
    except DescentError as error:
        return str(error)
    return ""


def _began(path: Path) -> str:
    with suppress(OSError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return ""


def _notices(attempt: Attempt) -> list[str]:
    try:
        found = msgspec.json.decode(attempt.environment.read_bytes())
        return [str(each) for each in found.get("notices", [])]
    except (OSError, ValueError, AttributeError):  # it may have ended before, or be damaged
        return []


def tail(path: Path) -> str:
    """The end of a text file, whatever its bytes; empty if there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read(LOG_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
    return text if size <= LOG_BYTES else "…" + text.partition("\n")[2]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
