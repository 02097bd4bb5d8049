"""One run, from its first weights to its last evaluation.

Each step: gradient of the mean token loss over the whole batch → global norm → stop if
anything is not finite → clip → update. Nothing draws from a global generator.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from descentlab.data.prepare import PreparedData
from descentlab.errors import ConfigError
from descentlab.model.transformer import Transformer
from descentlab.optim.groups import parameter_groups
from descentlab.optim.optimizer import RuleOptimizer
from descentlab.runs.records import Value
from descentlab.seeding import derived_seed
from descentlab.train.computation import computation
from descentlab.train.evaluation import evaluate
from descentlab.train.gradient import Gradient
from descentlab.train.plan import batches_for
from descentlab.train.probes import Probes
from descentlab.train.spec import RunSpec

Record = Callable[[Mapping[str, Value]], None]


@dataclass(frozen=True, kw_only=True)
class Observer:
    """What the loop reports to: metrics and probes that repeat to the bit, timings that do not."""

    metrics: Record
    timing: Record
    boundary: Callable[[], None]
    """Called before each step; raises to stop the run there."""
    probes: Record = lambda record: None
    """Takes what probes find, if the run has some."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How training ended."""

    model: Transformer
    steps: int
    """Updates made."""
    diverged_at: int | None
    validation_loss: float | None


def train(spec: RunSpec, data: PreparedData, observer: Observer) -> Outcome:
    """Train a run.

    Args:
        spec: the run.
        data: its tokens.
        observer: is told every step.

    Returns:
        The trained model and its held-out loss; divergence is an outcome, not an error.

    Raises:
        DataError: if the tokens do not fit the model, or do not suffice for the budget.
    """
    device = pick_device(spec)
    batches = batches_for(spec, data)
    model = initial_model(spec).to(device)
    gradient = gradient_of(spec, model)
    optimizer = spec.optimizer.build(
        parameter_groups(model, weight_decay=spec.optimizer.weight_decay)
    )
    probes = _probes(spec, model, optimizer, data, observer.probes, gradient)
    steps = spec.training.steps
    validation_loss = math.nan
    for step in range(1, steps + 1):
        observer.boundary()
        began = time.perf_counter()
        batch_BL1 = torch.from_numpy(batches(step)).to(device)
        loss = gradient(batch_BL1)
        if not _update(spec, model, optimizer, step, loss, observer.metrics, probes):
            return Outcome(model=model, steps=step - 1, diverged_at=step, validation_loss=None)
        seconds = time.perf_counter() - began
        tokens = batch_BL1.shape[0] * spec.data.sequence_length
        observer.timing({"step": step, "seconds": seconds, "tokens_per_second": tokens / seconds})
        if _evaluation_is_due(spec, step):
            validation_loss = _evaluate(spec, gradient, data, step, observer.metrics)
            if not math.isfinite(perplexity_of(validation_loss)):
                return Outcome(model=model, steps=step, diverged_at=step, validation_loss=None)
    return Outcome(model=model, steps=steps, diverged_at=None, validation_loss=validation_loss)


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


def gradient_of(spec: RunSpec, model: Transformer) -> Gradient:
    """What computes the gradients and held-out losses of a run, for a model on its device."""
    return Gradient(
        model,
        computation(spec, model.head.weight.device),
        length=spec.data.sequence_length,
        micro_batch=spec.micro_batch,
    )


def _probes(
    spec: RunSpec,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: PreparedData,
    record: Record,
    gradient: Gradient,
) -> Callable[[int], None]:
    """What looks at each step between its gradient and its update."""
    if spec.probes is None:
        return lambda step: None
    assert isinstance(optimizer, RuleOptimizer)
    return Probes(spec, model, optimizer, data, gradient, record)


def _update(
    spec: RunSpec,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    loss: float,
    record: Record,
    probes: Callable[[int], None],
) -> bool:
    """Clip and update, unless loss or gradient is not finite; say whether it was done."""
    # A norm of bfloat16 would be one: float32 gradients are taken as they are.
    gradients = [p.grad.float() for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    limit = spec.optimizer.clip_norm
    clips = limit != "none" and norm.item() > limit
    lr = spec.schedule.lr(step, steps=spec.training.steps, peak=spec.optimizer.lr)
    record({"step": step, "loss": loss, "lr": lr, "gradient_norm": norm.item(), "clipped": clips})
    if not (math.isfinite(loss) and math.isfinite(norm.item())):
        return False
    probes(step)
    if limit != "none":
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), limit, norm)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad()
    return True


def _evaluate(
    spec: RunSpec, gradient: Gradient, data: PreparedData, step: int, record: Record
) -> float:
    loss = evaluate(
        gradient.token_losses,
        data,
        sequence_length=spec.data.sequence_length,
        sequences=gradient.sequences_at_once,
        device=gradient.device,
    )
    perplexity = perplexity_of(loss)
    record({"step": step, "validation_loss": loss, "validation_perplexity": perplexity})
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
