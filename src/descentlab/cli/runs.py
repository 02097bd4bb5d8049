"""``descent runs`` and ``descent show``: what a store holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from descentlab.errors import CorruptError

if TYPE_CHECKING:
    from descentlab.runs.identity import Run
    from descentlab.runs.store import Attempt, Status, Store


def runs(store: Annotated[Path, tyro.conf.Positional] = Path("store")) -> None:
    """List the runs of a store with their state and result.

    Args:
        store: the folder of runs.
    """
    from descentlab.runs.store import Store

    opened = Store(store)
    found: list[tuple[str, str, str]] = []
    damaged: list[str] = []
    for run_id in opened.run_ids():
        try:
            run = opened.folder(run_id).run()
            found.append((run_id, describe(run), outcome(opened.status(run_id))))
        except CorruptError as error:
            damaged.append(f"{run_id}  {error}")
    if found:
        print(_lines(found))
    if damaged:
        raise CorruptError(f"{len(damaged)} damaged runs in {store}\n" + "\n".join(damaged))
    if not found:
        print(f"no runs in {store}")


def show(
    store: Annotated[Path, tyro.conf.Positional], run: Annotated[str, tyro.conf.Positional]
) -> None:
    """Print one run: its settings, where it stands, and its last steps.

    Args:
        store: the folder of runs.
        run: its id, or enough of its beginning.
    """
    from descentlab.config import flat
    from descentlab.runs.checkpoints import stored
    from descentlab.runs.records import last_record, read_records
    from descentlab.runs.store import Store

    opened = Store(store)
    found = opened.find(run)
    status = opened.status(found.run_id)
    print(f"run {found.run_id}: {outcome(status)}")
    for key, value in flat(found.settings):
        print(f"  {key} = {value}")
    attempt = opened.latest_attempt(found.run_id)
    if attempt is None:
        return
    for line in _earlier(attempt):
        print(f"  {line}")
    print(f"attempt {attempt.generation}: {attempt.path}")
    metrics = read_records(attempt.metrics)
    if metrics.damaged_at is not None:
        print(f"  warning: metrics are damaged from byte {metrics.damaged_at} on")
    for line in _spikes(metrics.records):
        print(f"  {line}")
    for path in stored(attempt)[:1]:
        print(f"  last good checkpoint: {path}")
    if status.result is not None and status.result.outcome == "diverged":
        print(f"  to look at that step: descent replay-step {store} {found.run_id}")
    for record in metrics.records[-5:]:
        print("  " + "  ".join(f"{name} {_number(value)}" for name, value in record.items()))
    told = [*notices(attempt), *attempt.remarks(), speed(last_record(attempt.timing))]
    for line in filter(None, told):
        print(f"  {line}")


def _earlier(attempt: Attempt) -> list[str]:
    """How the attempts before one ended."""
    lines = []
    for generation in range(1, attempt.generation):
        ending = attempt.run_folder.attempt(generation).ending()
        said = "its process died" if ending is None else f"{ending.state}: {ending.reason}"
        lines.append(f"attempt {generation}: {said}")
    return lines


def notices(attempt: Attempt) -> list[str]:
    """What deserves a word about how an attempt computes, from its environment."""
    import msgspec

    try:
        return list(msgspec.json.decode(attempt.environment.read_bytes()).get("notices", []))
    except (OSError, msgspec.MsgspecError):  # it may have ended before, or be damaged
        return []


def speed(record: Mapping[str, Any] | None) -> str | None:
    """Say how fast a run trained, from the summary that ends its timing; None without one.

    >>> speed({"summary": True, "tokens_per_second": 27350.2, "start_seconds": 12.3,
    ...     "peak_memory_bytes": 512_000_000, "mfu": 0.318, "step": 9, "seconds": 4.0,
    ...     "flops_per_second": 6.4e10, "peak_flops_per_second": 2e11})
    '27,350 tokens/s, 31.8% of 200 GFLOP/s, 512 MB at most, 12.3 s to start'
    """
    if record is None or "summary" not in record:
        return None
    parts = [f"{record['tokens_per_second']:,.0f} tokens/s"]
    if "mfu" in record:
        peak = record["peak_flops_per_second"] / 1e9
        parts.append(f"{record['mfu']:.1%} of {peak:,.0f} GFLOP/s")
    parts.append(f"{record['peak_memory_bytes'] / 1e6:,.0f} MB at most")
    parts.append(f"{record['start_seconds']:.1f} s to start")
    return ", ".join(parts)


def _spikes(records: Sequence[Mapping[str, Any]]) -> list[str]:
    from descentlab.analysis.spikes import spikes

    losses = [each for each in records if "loss" in each]
    found = spikes([each["step"] for each in losses], [each["loss"] for each in losses])
    return [
        f"spike of the loss at steps {each.first}–{each.last}, up to {each.highest:.4g}, "
        + ("then calm again" if each.recovered else "not calm since")
        for each in found
    ]


def listing(store: Store, found: Sequence[Run], labels: Mapping[str, str]) -> str:
    """One line per run: id, label, outcome."""
    ids = [run.run_id for run in found]
    return _lines([(each, labels[each], outcome(store.status(each))) for each in ids])


def _lines(rows: Sequence[tuple[str, str, str]]) -> str:
    width = max(len(label) for _, label, _ in rows)
    return "\n".join(f"{run_id}  {label:<{width}}  {said}" for run_id, label, said in rows)


def outcome(status: Status) -> str:
    """Say in a few words where a run stands, and in which attempt if there were several."""
    attempt = f", attempt {status.generation}" if status.generation > 1 else ""
    result = status.result
    if result is None:
        return status.state + (f" ({status.reason})" if status.reason else "") + attempt
    if result.validation_loss is None:
        why = f": {result.reason}" if result.reason else ""
        return f"done (diverged at step {result.diverged_at}{why}){attempt}"
    perplexity = math.exp(result.validation_loss)
    exact = result.inexact_since is None
    remark = "" if exact else f" (inexact since step {result.inexact_since})"
    said = f"done, perplexity {perplexity:.2f} after {result.tokens:,} tokens"
    return said + remark + attempt


def describe(run: Run) -> str:
    """Name a run by its method and what is usually varied."""
    from descentlab.runs.labels import method_label

    optimizer = dict(run.identity["optimizer"])
    method = str(optimizer.pop("method"))
    parts = [method_label(method, optimizer) if method == "class" else method]
    for name in ("lr", "beta", "beta1", "beta2"):
        if optimizer.get(name) is not None:
            parts.append(f"{name}={optimizer[name]:g}")
    return " ".join([*parts, f"seed={run.identity['seed']}"])


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
