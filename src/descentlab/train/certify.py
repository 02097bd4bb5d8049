"""A certificate that a run may be killed at any moment and still comes to the same bits.

The run is trained twice from its first step, each time in processes of its own: once
undisturbed, once killed again and again at random and started anew. Then weights,
optimizer state, generators, batches and records are compared byte by byte.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor

from descentlab.errors import ConfigError, DescentError
from descentlab.runs import checkpoints
from descentlab.runs.identity import Run
from descentlab.runs.records import last_record, read_records
from descentlab.runs.store import Attempt, RunFolder, Store
from descentlab.train import checkpoint
from descentlab.train.state import Snapshot

POLL_SECONDS = 0.002
Way = Literal["killed after step", "killed while saving after step", "terminated after step"]
WAYS: tuple[Way, ...] = (
    "killed after step",
    "killed while saving after step",
    "terminated after step",
)
WORK = """
import os, sys, threading
from descentlab.train.work import work

def die_with_parent():
    os.read(0, 1)  # nothing ever comes; it returns when the other end is closed
    os._exit(1)

threading.Thread(target=die_with_parent, daemon=True).start()
work(*sys.argv[1:])
"""

Progress = Callable[[str, int], None]
"""Told what is being done, and the step that it has come to."""


@dataclass(frozen=True)
class Blow:
    """What was done to a run, and where the next process went on."""

    way: Way
    step: int
    resumed_after: int


@dataclass(frozen=True)
class Comparison:
    """One part of the two runs."""

    part: str
    sha256: str
    """Of the undisturbed run's part."""
    difference: str | None
    """The first difference; None if they are the same bytes."""


@dataclass(frozen=True)
class Certificate:
    """What was done and found."""

    run_id: str
    seed: int
    blows: list[Blow]
    comparisons: list[Comparison]
    environment: dict[str, Any]

    @property
    def exact(self) -> bool:
        """Whether everything that was compared came out the same to the bit."""
        return all(each.difference is None for each in self.comparisons)


def certify(
    run: Run, folder: Path, *, kills: int, seed: int, progress: Progress = lambda what, step: None
) -> Certificate:
    """Train a run undisturbed and killed, and compare.

    Args:
        run: any; it is not looked up in a store.
        folder: an empty one, for the two stores.
        kills: how often to disturb it, 1 or more.
        seed: chooses when and how.
        progress: told how far each of the two is.

    Raises:
        ConfigError: for a run too short to be disturbed so often, or at all.
        DescentError: if the run itself fails.
    """
    steps = int(run.settings["training"]["steps"])
    if not 1 <= kills < steps:
        raise ConfigError(
            f"kills: got {kills}; a run of {steps} steps can be disturbed 1 to {steps - 1} times"
        )
    run = _with_checkpoints(run, steps)
    whole = _Trial(run, Store(folder / "undisturbed", create=True), progress, "undisturbed")
    whole.finish()
    broken = _Trial(run, Store(folder / "killed", create=True), progress, "killed and resumed")
    chosen = random.Random(seed)
    moments = sorted(chosen.sample(range(1, steps), kills))
    ways: list[Way] = [WAYS[n % len(WAYS)] for n in range(kills)]
    chosen.shuffle(ways)
    struck = [broken.strike(way, step) for way, step in zip(ways, moments, strict=True)]
    blows = [each for each in struck if each is not None]
    if not blows:
        raise ConfigError(
            f"kills: a run of {steps} steps was over before it could be disturbed; give it more"
        )
    broken.finish()
    attempt = whole.attempt()
    return Certificate(
        run_id=run.run_id,
        seed=seed,
        blows=blows,
        comparisons=_compare(whole.folder, broken.folder),
        environment=msgspec.json.decode(attempt.environment.read_bytes()),
    )


def _with_checkpoints(run: Run, steps: int) -> Run:
    """The run with its last state kept, and checkpoints at least every tenth to go on from.

    Nobody else is shown a run that is killed on purpose.
    """
    execution = {**run.settings.get("execution", {}), "resume": "exact", "loggers": []}
    execution["checkpoint_every"] = execution.get("checkpoint_every") or max(1, steps // 10)
    execution["final_checkpoint"] = True
    return msgspec.structs.replace(run, settings={**run.settings, "execution": execution})


class _Trial:
    """One of the two trainings."""

    def __init__(self, run: Run, store: Store, progress: Progress, name: str) -> None:
        self._run, self._store, self._progress, self._name = run, store, progress, name
        self.folder = store.register(run)

    def attempt(self) -> Attempt:
        latest = self._store.latest_attempt(self._run.run_id)
        assert latest is not None
        return latest

    def finish(self) -> None:
        with self._started() as process:
            while process.poll() is None:
                self._progress(self._name, self._step())
                time.sleep(0.1)
        self._refuse_failure(process)

    def strike(self, way: Way, step: int) -> Blow | None:
        """Start the run and disturb it; None if it was over before."""
        with self._started() as process:
            while process.poll() is None:
                self._progress(self._name, self._step())
                if self._step() >= step and (way != WAYS[1] or self._saves()):
                    process.send_signal(signal.SIGTERM if way == WAYS[2] else signal.SIGKILL)
                    break
                time.sleep(POLL_SECONDS)
            code = process.wait()
        if code == 0:
            return None
        if code not in (-signal.SIGKILL, 75):
            self._refuse_failure(process)
        reached = self._step()
        found = checkpoints.newest(self.folder, lambda line: None)
        return Blow(way, reached, found.manifest.step if found else 0)

    @contextmanager
    def _started(self) -> Iterator[subprocess.Popen[bytes]]:
        """A process that trains the run, and that is gone after the block."""
        self._ended = self.folder.generations()
        arguments = [str(self._store.root), msgspec.json.encode(self._run).decode()]
        command = [sys.executable, "-c", WORK, *arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.kill()

    def _step(self) -> int:
        generation = self.folder.generations()
        if generation == self._ended:
            return 0
        record = last_record(self.folder.attempt(generation).timing)
        return int(record["step"]) if record else 0

    def _saves(self) -> bool:
        prefix = f"{self._run.run_id}.step-"
        return any(each.name.startswith(prefix) for each in self._store.aside.iterdir())

    def _refuse_failure(self, process: subprocess.Popen[bytes]) -> None:
        if process.returncode != 0:
            reason = self._store.status(self._run.run_id).reason
            failure = DescentError(f"the {self._name} run failed: {reason or 'see above'}")
            failure.exit_code = process.returncode if process.returncode > 0 else 1
            raise failure


def _compare(whole: RunFolder, broken: RunFolder) -> list[Comparison]:
    ours, theirs = _final(whole), _final(broken)
    parts = [
        ("weights", "model/"),
        ("optimizer state", "optimizer/"),
        ("shadow optimizers", "shadow "),
        ("generators", "rng/"),
    ]
    found = [
        _tensors(part, _chosen(ours, prefix), _chosen(theirs, prefix))
        for part, prefix in parts
        if _chosen(ours, prefix) or _chosen(theirs, prefix)
    ]
    values = [msgspec.json.encode(each.values, order="sorted") for each in (ours, theirs)]
    found.append(_bytes("other state", *values))
    attempts = [each.attempt(each.generations()) for each in (whole, broken)]
    batches = ["\n".join(_batches(each)).encode() for each in attempts]
    found.append(_bytes(f"batches of {len(_batches(attempts[0]))} steps", *batches))
    for name in ("metrics.jsonl", "probes.jsonl"):
        paths = [each.path / name for each in attempts]
        if paths[0].exists():
            found.append(_bytes(name, *(each.read_bytes() for each in paths)))
    return found


def _final(folder: RunFolder) -> Snapshot:
    found = checkpoints.newest(folder, lambda line: None)
    assert found is not None, "a run with final_checkpoint ends with one"
    return checkpoint.read(found.path)


def _chosen(snapshot: Snapshot, prefix: str) -> dict[str, Tensor]:
    return {name: each for name, each in snapshot.tensors.items() if name.startswith(prefix)}


def _tensors(part: str, ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> Comparison:
    difference = None
    whole = hashlib.sha256()
    for name in sorted({*ours, *theirs}):
        one, other = ours.get(name), theirs.get(name)
        if one is None or other is None:
            difference = difference or f"{name} is in one run alone"
            continue
        raw = _raw(one)
        whole.update(name.encode() + raw)
        if raw != _raw(other):
            unequal = int((one != other).sum())
            difference = difference or f"{name} differs in {unequal:,} of {one.numel():,} entries"
    return Comparison(part, whole.hexdigest(), difference)


def _raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _bytes(part: str, ours: bytes, theirs: bytes) -> Comparison:
    difference = None
    if ours != theirs:
        lines = zip(ours.split(b"\n"), theirs.split(b"\n"), strict=False)
        place = next((n for n, (one, other) in enumerate(lines, start=1) if one != other), None)
        where = f"from line {place} on" if place else "in length"
        difference = f"{len(ours):,} and {len(theirs):,} bytes, different {where}"
    return Comparison(part, hashlib.sha256(ours).hexdigest(), difference)


def _batches(attempt: Attempt) -> list[str]:
    records = read_records(attempt.metrics).records
    return [f"{each['step']} {each['batch']}" for each in records if "batch" in each]
