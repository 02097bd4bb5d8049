"""One run, from its first weights to its last evaluation.

Each step: gradient of the mean token loss over the whole batch → global norm → stop if
anything is not finite → clip → update. Nothing draws from a global generator.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from descentlab.data.batches import Tokens
from descentlab.data.prepare import PreparedData
from descentlab.errors import ConfigError
from descentlab.model.transformer import Transformer
from descentlab.optim.any_class import set_mode
from descentlab.optim.groups import parameter_groups
from descentlab.optim.optimizer import RuleOptimizer
from descentlab.optim.placement import local, whole
from descentlab.runs.records import Value
from descentlab.seeding import derived_seed
from descentlab.train import state
from descentlab.train.computation import computation
from descentlab.train.evaluation import evaluate
from descentlab.train.gradient import Gradient
from descentlab.train.plan import batches_for
from descentlab.train.probes import Probes
from descentlab.train.spec import RunSpec
from descentlab.train.state import Snapshot
from descentlab.train.world import ALONE, World, shard

Record = Callable[[Mapping[str, Value]], None]


@dataclass(frozen=True, kw_only=True)
class Observer:
    """What the loop reports to: metrics and probes that repeat to the bit, timings that do not."""

    metrics: Record
    timing: Record
    boundary: Callable[[Training], None]
    """Called before each step; may save the run there, and raises to stop it."""
    probes: Record = lambda record: None
    """Takes what probes find, if the run has some."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How training ended."""

    training: Training
    steps: int
    """Updates made."""
    diverged_at: int | None
    validation_loss: float | None
    reason: str | None = None
    """What was not finite, if training diverged."""

    @property
    def model(self) -> Transformer:
        """The model as training left it."""
        return self.training.model


class Training:
    """A run in progress: what its steps read and change.

    Raises:
        DataError: if the tokens do not fit the model, or do not suffice for the budget.
    """

    def __init__(self, spec: RunSpec, data: PreparedData, observer: Observer, here: World) -> None:
        here.check(spec)
        self.spec = spec
        self.here = here
        self.step = 0
        """Updates made."""
        self.validation_loss = math.nan
        torch.manual_seed(derived_seed(spec.seed, "global"))  # for an optimizer that draws
        device = pick_device(spec)
        self.batches = batches_for(spec, data)
        self.model = initial_model(spec).to(device)
        self._sharded = here.size > 1 and spec.execution.parallelism == "fsdp"
        if self._sharded:
            shard(self.model, list(self.model.blocks), "hidden")
        self.gradient = gradient_of(spec, self.model, here.size)
        self.optimizer = spec.optimizer.build(
            parameter_groups(self.model, weight_decay=spec.optimizer.weight_decay)
        )
        self.probes = _probes(
            spec, self.model, self.optimizer, data, observer.probes, self.gradient
        )

    def leave_gradient(self, rows_BL1: Tokens) -> float:
        """Leave the gradient of a whole batch's mean token loss; return that loss."""
        own_BL1 = torch.from_numpy(self.here.rows(rows_BL1)).to(self.gradient.device)
        loss = self.gradient(own_BL1)
        if not self._sharded:  # else it is reduced already
            gradients = (each.grad for each in self.model.parameters())
            self.here.average([each for each in gradients if each is not None])
        return self.here.mean(loss)

    def clip(self, limit: float, norm: Tensor) -> None:
        """Multiply the gradients by ``min(1, limit/(norm + 1e-6))``."""
        if not self._sharded:
            torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), limit, norm)
            return
        factor = (limit / (norm + 1e-6)).clamp(max=1.0)
        for each in self.model.parameters():
            if each.grad is not None:  # this process's part, which a plain number multiplies
                local(each.grad)[0].mul_(factor)

    def reshard(self) -> None:
        """Spread again what a forward pass has gathered and no backward pass has let go."""
        if isinstance(self.model, FSDPModule):
            self.model.reshard()

    def snapshot(self) -> Snapshot:
        """The state after ``step`` updates."""
        snapshot = state.capture(self.model, self._optimizers())
        own = {"step": self.step, "validation_loss": self.validation_loss}
        return Snapshot(snapshot.tensors, {**snapshot.values, "training": own})

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a state of the same run.

        Raises:
            CorruptError: if it is of another.
        """
        state.restore(snapshot, self.model, self._optimizers())
        self.step = snapshot.values["training"]["step"]
        self.validation_loss = snapshot.values["training"]["validation_loss"]

    def _optimizers(self) -> state.Named:
        names = state.names_of(self.model)
        shadows = self.probes.optimizers(names) if self.probes else {}
        return {"optimizer": (self.optimizer, names), **shadows}


def train(
    spec: RunSpec,
    data: PreparedData,
    observer: Observer,
    start: Snapshot | None = None,
    here: World = ALONE,
) -> Outcome:
    """Train a run.

    Args:
        spec: the run.
        data: its tokens.
        observer: is told every step.
        start: go on from this state instead of the first weights.
        here: this process among those that train the run together.

    Returns:
        The trained model and its held-out loss; divergence is an outcome, not an error.

    Raises:
        DataError: if the tokens do not fit the model, or do not suffice for the budget.
    """
    training = Training(spec, data, observer, here)
    if start is not None:
        training.restore(start)
    while training.step < spec.training.steps:
        observer.boundary(training)
        step = training.step + 1
        began = time.perf_counter()
        rows_BL1 = training.batches(step)
        loss = training.leave_gradient(rows_BL1)
        reason = _update(training, loss, batch_hash(rows_BL1), observer.metrics)
        if reason is not None:
            return _diverged(training, step, reason)
        seconds = time.perf_counter() - began
        tokens = len(rows_BL1) * spec.data.sequence_length
        observer.timing({"step": step, "seconds": seconds, "tokens_per_second": tokens / seconds})
        if _evaluation_is_due(spec, step):
            training.validation_loss = _evaluate(training, data, observer.metrics)
            if not math.isfinite(perplexity_of(training.validation_loss)):
                return _diverged(training, step, "the held-out perplexity is not finite")
    return Outcome(
        training=training,
        steps=training.step,
        diverged_at=None,
        validation_loss=training.validation_loss,
    )


def batch_hash(rows_BL1: Tokens) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a step's token ids, as int64.

    It is on record at every step, so that runs can be seen to have read the same batches.
    """
    ids = rows_BL1.astype("<i8", copy=False)
    return hashlib.sha256(ids.tobytes()).hexdigest()[:16]


def _diverged(training: Training, step: int, reason: str) -> Outcome:
    return Outcome(
        training=training,
        steps=training.step,
        diverged_at=step,
        validation_loss=None,
        reason=reason,
    )


def pick_device(spec: RunSpec) -> torch.device:
    """The device to compute on; CUDA where it is asked for or, by ``auto``, present.

    Raises:
        ConfigError: if CUDA is asked for and there is none.
    """
    wanted = spec.execution.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("execution.device: cuda is not present here; use auto or cpu")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def initial_model(spec: RunSpec) -> Transformer:
    """The model with the weights that its seed draws, the same for every optimizer."""
    generator = torch.Generator().manual_seed(derived_seed(spec.seed, "weights"))
    return Transformer(spec.model, generator=generator)


def gradient_of(spec: RunSpec, model: Transformer, processes: int = 1) -> Gradient:
    """What computes the gradients and held-out losses of a run, for a model on its device."""
    return Gradient(
        model,
        computation(spec, model.head.weight.device),
        length=spec.data.sequence_length,
        micro_batch=min(spec.micro_batch, spec.training.batch_size // processes),
    )


def _probes(
    spec: RunSpec,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: PreparedData,
    record: Record,
    gradient: Gradient,
) -> Probes | None:
    """What looks at each step between its gradient and its update."""
    if spec.probes is None:
        return None
    assert isinstance(optimizer, RuleOptimizer)
    return Probes(spec, model, optimizer, data, gradient, record)


def _update(training: Training, loss: float, batch: str, record: Record) -> str | None:
    """Clip and update, unless loss or gradient is not finite; say then what is not."""
    spec, model, optimizer = training.spec, training.model, training.optimizer
    step = training.step + 1
    norm = gradient_norm(model)
    limit = spec.optimizer.clip_norm
    clips = limit != "none" and norm.item() > limit
    lr = spec.schedule.lr(step, steps=spec.training.steps, peak=spec.optimizer.lr)
    found = {"loss": loss, "lr": lr, "gradient_norm": norm.item(), "clipped": clips}
    record({"step": step, **found, "batch": batch})
    if not (math.isfinite(loss) and math.isfinite(norm.item())):
        return what_is_not_finite(model, loss)
    if training.probes is not None:
        training.probes(step)
    if limit != "none":
        training.clip(limit, norm)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad()
    training.step = step
    return None


def gradient_norm(model: nn.Module) -> Tensor:
    """The 2-norm of all gradients, over all processes, in float32 whatever their type."""
    # A norm of bfloat16 would be one: float32 gradients are taken as they are.
    gradients = [p.grad.float() for p in model.parameters() if p.grad is not None]
    return whole(torch.nn.utils.get_total_norm(gradients))


def what_is_not_finite(model: nn.Module, loss: float) -> str:
    """Name the loss, or the first tensor, of weights or else of gradients, that is to blame."""
    for kind, tensors in (
        ("weights", dict(model.named_parameters())),
        ("gradient", {name: each.grad for name, each in model.named_parameters()}),
    ):
        for name, tensor in tensors.items():
            wrong = 0 if tensor is None else int((~whole(tensor).isfinite()).sum())
            if tensor is not None and wrong:
                said = f"{wrong:,} of {tensor.numel():,} entries that are not finite"
                return f"{kind} of {name}: {said}"
    if not math.isfinite(loss):
        return f"the loss is {loss}, though weights and gradients are finite"
    return "the gradient's norm is not finite, though every entry is: it is too large for float32"


def _evaluate(training: Training, data: PreparedData, record: Record) -> float:
    gradient = training.gradient
    set_mode(training.optimizer, training=False)
    loss = evaluate(
        gradient.token_losses,
        data,
        sequence_length=training.spec.data.sequence_length,
        sequences=gradient.sequences_at_once,
        device=gradient.device,
        here=training.here,
    )
    set_mode(training.optimizer, training=True)
    training.reshard()
    perplexity = perplexity_of(loss)
    record({"step": training.step, "validation_loss": loss, "validation_perplexity": perplexity})
    return loss


def _evaluation_is_due(spec: RunSpec, step: int) -> bool:
    every = spec.training.evaluate_every
    return step == spec.training.steps or (every > 0 and step % every == 0)


def perplexity_of(loss: float) -> float:
    """``exp(loss)``, infinite where that overflows or the loss is not a number.

    >>> perplexity_of(0.0), perplexity_of(1000.0), perplexity_of(float("nan"))
    (1.0, inf, inf)
    """
    try:
        return math.inf if math.isnan(loss) else math.exp(loss)
    except OverflowError:
        return math.inf
