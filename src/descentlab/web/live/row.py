"""One line of the live view's table: where a run stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from descentlab.runs.folder import PAUSED, Attempt, Status
from descentlab.runs.identity import Run
from descentlab.runs.imported import ImportedRun
from descentlab.runs.records import last_record
from descentlab.runs.store import Store
from descentlab.web.live.naming import method_of, optimizer_of, usual_label

State = Literal[
    "pending",
    "running",
    "done",
    "diverged",
    "failed",
    "interrupted",
    "paused",
    "stopped",
    "damaged",
]
"""Paused is what waits for a race to decide; stopped is what a race decided not to train on."""


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run as the page's table has it; what is not known is left out."""

    id: str
    label: str
    state: State
    method: str = ""
    groups: tuple[str, ...] = ()
    """The experiments, or studies, that asked for it, or the sweep that it was imported with."""
    imported: bool = False
    step: int = 0
    steps: int = 0
    tokens: int = 0
    """Of the whole run."""
    loss: float | None = None
    """Of the last step on record, in nats."""
    result: float | None = None
    """On held-out text at the end, in nats."""
    rate: float | None = None
    """Tokens per second: of the last step while it runs, else of the median step."""
    left: float | None = None
    """Seconds, by the last step."""
    host: str = ""
    attempt: int = 0
    beat: float | None = None
    """When its heartbeat was last seen to move, in seconds since 1970 by this machine."""
    reason: str = ""


def damaged_row(run_id: str, why: object) -> Row:
    """A run whose files do not tell what it is, or where it stands."""
    return Row(id=run_id, label=run_id, state="damaged", reason=str(why))


def pending_row(run: Run) -> Row:
    """A run of which nothing but its spec is known."""
    training = _table(run.settings, "training")
    steps = _count(training.get("steps"))
    method = method_of(run)
    return Row(
        id=run.run_id,
        label=usual_label(method, optimizer_of(run), run.identity.get("seed")),
        method=method,
        state="pending",
        steps=steps,
        tokens=steps
        * _count(training.get("batch_size"))
        * _count(run.identity.get("sequence_length")),
    )


def row_at(pending: Row, status: Status, store: Store) -> Row:
    """Where a run stands, by its files; of one that is running, what does not change."""
    changes: dict[str, Any] = {
        "state": _state(status),
        "attempt": status.generation,
        "reason": status.reason or "",
    }
    if status.generation == 0:
        return msgspec.structs.replace(pending, **changes)
    attempt = store.folder(pending.id).attempt(status.generation)
    if status.result is not None:
        changes |= {"step": status.result.steps, "reason": status.result.reason or ""}
        changes |= {"result": number(status.result.validation_loss), **pace(attempt)}
    elif status.state != "running":
        changes |= {**last_step(attempt), **pace(attempt)}
    return msgspec.structs.replace(pending, **changes)


def last_step(attempt: Attempt) -> dict[str, Any]:
    """Step and loss of the newest record of an attempt."""
    made = last_record(attempt.metrics) or {}
    return {"step": _count(made.get("step")), "loss": number(made.get("loss"))}


def pace(attempt: Attempt) -> dict[str, Any]:
    """How fast an attempt was, if that is on record."""
    timed = last_record(attempt.timing) or {}
    return {"rate": number(timed.get("tokens_per_second"))}


def imported_row(name: str, run: ImportedRun) -> Row:
    """A run that was trained elsewhere."""
    perplexity = run.final_perplexity
    known = perplexity is not None and perplexity > 0 and not run.diverged
    return Row(
        id=name,
        label=usual_label(run.label, run.settings, run.seed),
        method=run.label,
        state="diverged" if run.diverged else "done",
        groups=(run.sweep,),
        imported=True,
        step=run.steps or 0,
        steps=run.steps or 0,
        tokens=run.tokens or 0,
        result=number(math.log(perplexity)) if known and perplexity else None,
    )


def _state(status: Status) -> State:
    if status.result is not None:
        diverged = status.result.outcome == "diverged"
        return "diverged" if diverged else "done"
    if status.state == "interrupted" and (status.reason or "").startswith(PAUSED):
        return "paused"
    return status.state


def _table(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, Mapping) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def number(value: object) -> float | None:
    """A finite number, rounded to what a page shows; None for anything else."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(f"{value:.6g}")
    return None
