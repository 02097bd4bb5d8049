"""One step of a run again, to look at: from its newest checkpoint, without writing to the store."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from descentlab.data.prepare import PreparedData
from descentlab.errors import ConfigError
from descentlab.runs import checkpoints
from descentlab.runs.checkpoints import Checkpoint, Damage
from descentlab.runs.identity import Run
from descentlab.runs.records import read_records
from descentlab.runs.store import RunFolder, Store
from descentlab.train import checkpoint
from descentlab.train.environment import fingerprint, set_up_process
from descentlab.train.loop import (
    Observer,
    Training,
    batch_hash,
    gradient_norm,
    train,
    what_is_not_finite,
)
from descentlab.train.resuming import differences
from descentlab.train.spec import RunSpec, run_spec

Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Look:
    """One parameter just before the update."""

    name: str
    entries: int
    largest_weight: float
    largest_gradient: float
    """Infinite or not a number if an entry is."""
    gradient_norm: float
    not_finite: int
    """Entries of weights and gradient."""


@dataclass(frozen=True)
class Replay:
    """A step computed again, up to its update."""

    step: int
    began_after: int
    """The step of the checkpoint that it was reached from, 0 for the first weights."""
    loss: float
    gradient_norm: float
    batch: str
    reason: str | None
    """What is not finite; None if all is."""
    recorded: Mapping[str, Any]
    """The run's own record of the step."""
    differences: str
    """In what this machine is not the one that saved the checkpoint; empty if in nothing."""
    parameters: list[Look]
    tensors: dict[str, Tensor]
    """``weights/…``, ``gradient/…`` and ``batch``."""

    @property
    def agrees(self) -> bool:
        """Whether loss, norm and batch are those on record, to the bit."""
        own = {"loss": self.loss, "gradient_norm": self.gradient_norm, "batch": self.batch}
        return all(_same(self.recorded.get(name), value) for name, value in own.items())


class _Reached(Exception):
    """The step to look at comes next."""


def replay(
    store: Store,
    run: Run,
    data: PreparedData,
    *,
    step: int | None = None,
    progress: Progress = lambda step, steps, loss: None,
) -> Replay:
    """Compute a step's loss and gradient again.

    Args:
        store: of the run; nothing in it changes.
        run: any that was begun.
        data: its tokens.
        step: the one at which the run diverged, if left out.
        progress: told every step on the way.

    Raises:
        ConfigError: if the step is none that the run took.
    """
    folder = store.folder(run.run_id)
    spec = run_spec(run.settings, where=f"run {run.run_id}")
    chosen = _chosen_step(folder, spec, step)
    set_up_process(spec)
    begun = _newest_before(folder, chosen)

    def boundary(training: Training) -> None:
        if training.step == chosen - 1:
            reached.append(training)
            raise _Reached

    def metrics(record: Mapping[str, Any]) -> None:
        if "loss" in record:
            progress(int(record["step"]), chosen, float(record["loss"]))

    reached: list[Training] = []
    observer = Observer(metrics=metrics, timing=lambda record: None, boundary=boundary)
    try:
        train(spec, data, observer, checkpoint.read(begun.path) if begun else None)
    except _Reached:
        pass
    else:
        raise ConfigError(f"step: the run diverges before step {chosen} on this machine")
    changed = differences(begun, fingerprint(spec)) if begun else ""
    began_after = begun.manifest.step if begun else 0
    return _look(reached[0], chosen, began_after, _record_of(folder, chosen), changed)


def save(replayed: Replay, path: Path) -> None:
    """Write weights, gradient and batch of a step to a safetensors file.

    Raises:
        OSError: if the disk refuses.
    """
    save_file(replayed.tensors, path)


def _look(
    training: Training, step: int, began_after: int, recorded: Mapping[str, Any], changed: str
) -> Replay:
    model = training.model
    rows_BL1 = training.batches(step)
    loss = training.leave_gradient(rows_BL1)
    gradients = {name: each.grad for name, each in model.named_parameters()}
    present = {name: each for name, each in gradients.items() if each is not None}
    norm = gradient_norm(model).item()
    finite = math.isfinite(loss) and math.isfinite(norm)
    weights = {name: each.detach() for name, each in model.named_parameters()}
    tensors = {f"weights/{name}": each.cpu().contiguous() for name, each in weights.items()}
    tensors |= {f"gradient/{name}": each.cpu().contiguous() for name, each in present.items()}
    return Replay(
        step=step,
        began_after=began_after,
        loss=loss,
        gradient_norm=norm,
        batch=batch_hash(rows_BL1),
        reason=None if finite else what_is_not_finite(model, loss),
        recorded=recorded,
        differences=changed,
        parameters=[_of(name, weights[name], each) for name, each in present.items()],
        tensors={**tensors, "batch": torch.from_numpy(rows_BL1)},
    )


def _of(name: str, weights: Tensor, gradient: Tensor) -> Look:
    wrong = (~weights.isfinite()).sum() + (~gradient.isfinite()).sum()
    return Look(
        name=name,
        entries=weights.numel(),
        largest_weight=weights.abs().max().item(),
        largest_gradient=gradient.abs().max().item(),
        gradient_norm=gradient.norm().item(),
        not_finite=int(wrong),
    )


def _chosen_step(folder: RunFolder, spec: RunSpec, step: int | None) -> int:
    steps = spec.training.steps
    if step is None:
        result = folder.result()
        if result is None or result.diverged_at is None:
            raise ConfigError(
                f"run {folder.run_id}: has not diverged; say with --step which step to look at, "
                f"from 1 to {steps}"
            )
        return result.diverged_at
    if not 1 <= step <= steps:
        raise ConfigError(f"step: got {step}; the run has steps 1 to {steps}")
    return step


def _newest_before(folder: RunFolder, step: int) -> Checkpoint | None:
    """The newest valid checkpoint from which the step lies ahead; damaged ones are left alone."""
    attempts = [folder.attempt(n) for n in range(folder.generations(), 0, -1)]
    for attempt, path in [(each, path) for each in attempts for path in checkpoints.stored(each)]:
        try:
            manifest = checkpoints.verified(path, attempt)
        except Damage:
            continue
        if manifest.step < step:
            return Checkpoint(attempt, path, manifest)
    return None


def _record_of(folder: RunFolder, step: int) -> dict[str, Any]:
    """The newest record of a step."""
    for generation in range(folder.generations(), 0, -1):
        records = read_records(folder.attempt(generation).metrics).records
        for record in reversed(records):
            if record["step"] == step and "loss" in record:
                return record
    return {}


def _same(recorded: object, value: float | str) -> bool:
    if isinstance(recorded, float) and isinstance(value, float) and math.isnan(value):
        return math.isnan(recorded)
    return recorded == value
