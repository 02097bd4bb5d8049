"""How long the steps of planned runs take, and how much memory they hold: timed, never guessed.

Runs of the same model, batch, length, precision and way of computing go at one pace. It comes
from finished runs of a store where there are any; else from this machine's own steps, timed in
a process of their own and remembered in the cache. Free of torch until something is timed.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from descentlab import __version__
from descentlab.config import cache_folder, canonical_json, digest, seal, unseal
from descentlab.errors import ConfigError, CorruptError, DescentError, StorageError
from descentlab.processes import usable_cores
from descentlab.runs.records import last_record
from descentlab.runs.store import Store
from descentlab.storage import publish, storage_errors
from descentlab.train.spec import RunSpec, run_spec

Settings = Mapping[str, Any]
"""Of a run, whole, as a store has them."""

ROUNDS, TURN_SECONDS = 3, 0.5
AT_ONCE = {"cpu": 2e11, "cuda": 1e14}
"""Operations of a step that is timed; of a larger batch, only so many sequences are."""
TOO_MANY = {"cpu": 5e12, "cuda": 1e15}
"""Operations of one sequence beyond which nothing is timed: a minute and more."""
FORWARD = 1 / 3
"""Share of a training token's operations that an evaluated one takes."""
NOT_COMPUTED = (
    "checkpoint_every",
    "checkpoint_minutes",
    "final_checkpoint",
    "resume",
    "takeover_after",
    "hang_after",
)
"""Settings of the execution that do not make steps faster."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast runs of one kind go, one at a time to a worker."""

    step_seconds: float
    """The median step's."""
    start_seconds: float
    """What the first step takes beyond that: compiling above all."""
    peak_memory: int | None
    """Bytes; None where only a part of the batch was timed."""
    source: str
    """Where that is known from, for people."""

    def seconds(self, settings: Settings, held_out_tokens: int) -> float:
        """The time of a whole run.

            start + steps · step + evaluations · ⅓ · held-out tokens / tokens of a step · step

        An evaluation has no backward pass, which is two thirds of the operations.
        """
        training = settings["training"]
        every = training["evaluate_every"]
        evaluations = -(-training["steps"] // every) if every else 1
        tokens = training["batch_size"] * settings["data"]["sequence_length"]
        evaluating = evaluations * FORWARD * held_out_tokens / tokens
        return self.start_seconds + (training["steps"] + evaluating) * self.step_seconds


def kind(settings: Settings) -> str:
    """What runs of one pace have in common, as a hash."""
    how = {name: each for name, each in settings["execution"].items() if name not in NOT_COMPUTED}
    batch = (settings["training"]["batch_size"], settings["data"]["sequence_length"])
    probes = settings.get("probes")
    whole = [settings["model"], batch, settings["precision"], how, probes]
    return _digest(msgspec.json.encode(whole, order="sorted"))


@cache  # a study's thousands of runs are of a few kinds
def _digest(whole: bytes) -> str:
    return digest(msgspec.json.decode(whole))


def finished_paces(store: Store, runs: Mapping[str, Settings]) -> dict[str, Pace]:
    """The paces of runs that have ended in a store, by kind.

    Args:
        store: where they lie.
        runs: their settings by run id; those without timings, or damaged, are passed over.
    """
    found: dict[str, list[tuple[float, float, int]]] = {}
    for run_id, settings in runs.items():
        attempt = None
        with suppress(CorruptError, ConfigError):  # of a run that is damaged, or written newer
            attempt = store.latest_attempt(run_id)
        record = last_record(attempt.timing) if attempt is not None else None
        if record is None or "summary" not in record:
            continue
        tokens = settings["training"]["batch_size"] * settings["data"]["sequence_length"]
        found.setdefault(kind(settings), []).append(
            (
                tokens / float(record["tokens_per_second"]),
                float(record["start_seconds"]),
                int(record["peak_memory_bytes"]),
            )
        )
    paces: dict[str, Pace] = {}
    for each, timed in found.items():
        steps, starts, memory = zip(*timed, strict=True)
        paces[each] = Pace(
            step_seconds=statistics.median(steps),
            start_seconds=statistics.median(starts),
            peak_memory=max(memory),
            source=f"{len(timed):,} finished run{'s' * (len(timed) > 1)} in {store.root}",
        )
    return paces


def remembered(settings: Settings) -> Pace | None:
    """What was timed on this machine before, with the same torch and program."""
    try:
        content = unseal(_memory(settings).read_bytes())
        return None if content is None else msgspec.json.decode(content, type=Pace)
    except (OSError, msgspec.MsgspecError):
        return None  # it is timed again


def time_steps(settings: Settings, tell: Callable[[str], None] = lambda line: None) -> Pace | str:
    """Time a few steps of a run here, in a process of their own, and remember the result.

    Args:
        settings: of the longest run of its kind, which is compiled if any is.
        tell: told what is happening.

    Returns:
        The pace; or the reason, where it could not be had.
    """
    from descentlab.train.computation import computation
    from descentlab.train.loop import pick_device
    from descentlab.train.rehearsal import Rehearsal
    from descentlab.train.turns import take_turns

    spec = run_spec(settings, where="plan")
    try:
        device = pick_device(spec)
        compiled = computation(spec, device).compiled
    except DescentError as error:
        return str(error)
    sequences = sequences_to_time(spec, device.type)
    if sequences == 0:
        return "one sequence asks for more operations than are timed here; time it where it trains"
    timed = msgspec.to_builtins(spec)
    timed["execution"]["compile"] = "always" if compiled else "never"
    timed["training"]["batch_size"] = sequences
    times = take_turns(
        {"steps": Rehearsal(timed)},
        device=device.type,
        rounds=ROUNDS,
        turn_seconds=TURN_SECONDS,
        tell=tell,
    )["steps"]
    if isinstance(times, str):
        return times
    share = spec.training.batch_size / sequences
    part = f", on {sequences} of {spec.training.batch_size} sequences" if share > 1 else ""
    pace = Pace(
        step_seconds=times.step * share,
        start_seconds=max(0.0, times.start - times.step),
        peak_memory=times.peak_memory if share == 1 else None,
        source=f"timed on this machine{part}",
    )
    _remember(settings, pace)
    return pace


def sequences_to_time(spec: RunSpec, device: str) -> int:
    """How many sequences of a batch are timed; 0 if one is too many already.

    Args:
        spec: the run.
        device: ``cpu`` or ``cuda``.
    """
    length = spec.data.sequence_length
    operations = length * spec.model.training_flops(length)
    if operations > TOO_MANY[device]:
        return 0
    return min(spec.training.batch_size, max(1, int(AT_ONCE[device] / operations)))


def longest_of_each_kind(runs: Sequence[Settings]) -> dict[str, Settings]:
    """By kind, the run with the most steps."""
    longest: dict[str, Settings] = {}
    for settings in sorted(runs, key=lambda each: each["training"]["steps"]):
        longest[kind(settings)] = settings
    return longest


def _memory(settings: Settings) -> Path:
    machine = [platform.node(), platform.machine(), usable_cores(), version("torch"), __version__]
    return cache_folder() / "paces" / f"{digest([machine, kind(settings)])[:32]}.json"


def _remember(settings: Settings, pace: Pace) -> None:
    """Keep a pace; a cache that cannot be written costs only time."""
    path = _memory(settings)
    kept = {**msgspec.to_builtins(pace), "source": f"{pace.source} before"}
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a damaged one
        publish(path, seal(canonical_json(kept)), aside=path.parent)
    except (StorageError, OSError):
        return
