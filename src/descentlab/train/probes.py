"""What the optimizer believes about the gradient, and how its step compares, during a run.

Every record is of one step and one block of parameters. ``kind`` says which:

``state``  – the step that the run is about to take, over the block's coordinates.
    gradient_norm            of the raw gradient, before clipping
    direction_mean, _median, _max       of |d|
    share_half, share_sign   share of coordinates with |d| ≥ 0.5, and ≥ 0.9
    m2_mean, m2_median       of m², where the rule averages gradients
  and where Adam's β1=β2, so that σ² = v − m² is a variance (Proposition 1):
    variance_mean, variance_median      of σ²
    snr_q25, snr_median, snr_q75        of m²/σ², over coordinates that are not silent
    share_edge               share of these with |d| ≥ 0.99/sqrt(1 + σ²/m²)
    silent                   share of coordinates whose v is 0, such as unseen tokens'
    unresolved               share with σ² < v/2²⁰: too small for float32 to tell from 0
  and where β1≠β2, so that it is none (Proposition 2):
    v_minus_m2_median, v_minus_m2_negative    its median, and the share below 0

How to read the shares: Adam's step lies at the edge of its own trust region in every
coordinate (eq. 11), so share_edge is 1 but for ε, and says where ε shortens the step. How
large that region is beside Signum's (eq. 10, |d| ≤ 1) depends on the signal-to-noise ratio
r alone, ``|d| = 1/sqrt(1 + 1/r)``: share_half counts r ≥ 1/3, and share_sign r ≥ 4.26,
where Adam all but takes Signum's step. SGD's direction has the gradient's scale instead.

``noise``  – σ² beside the measured variance s² of ``noise`` (``estimated_`` only if it exists).
    batches, measured_mean, estimated_mean
    ratio_median             of σ²/s² over coordinates with s² > 0
    rank_correlation         Spearman's, over at most 10,000 of them

``shadow`` – the direction of another rule beside the run's own.
    shadow                   its name
    cosine, linf_ratio       of d', and max|d'|/max|d|
    step_ratio               the same with both multiplied by their peak learning rates
    sign_agreement           share of equal signs where either is not zero

Medians and quartiles are lower order statistics, over at most 65,536 coordinates that a
seed chooses once and for all; all else is over every coordinate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from descentlab.data.prepare import PreparedData
from descentlab.optim.methods import Limit
from descentlab.optim.optimizer import RuleOptimizer
from descentlab.runs.records import Value
from descentlab.train.blocks import by_block, by_parameter
from descentlab.train.noise import (
    LeaveGradient,
    check_rows,
    clipped_gradients,
    measured_variance,
    noise_batches,
)
from descentlab.train.readings import Block, comparison
from descentlab.train.shadows import Shadow, labels
from descentlab.train.spec import RunSpec
from descentlab.train.state import Named
from descentlab.train.upcoming import Upcoming, upcoming


class Probes:
    """Looks into a run's optimizer; the run must not be able to tell.

    Args:
        spec: a run with probes.
        model: whose gradients the optimizer is about to use.
        optimizer: of that model.
        data: training tokens to draw noise batches from.
        leave_gradient: leaves the gradient of a batch in the model.
        record: takes every record.

    Raises:
        DataError: if the tokens do not suffice for the noise batches.
    """

    def __init__(
        self,
        spec: RunSpec,
        model: nn.Module,
        optimizer: RuleOptimizer,
        data: PreparedData,
        leave_gradient: LeaveGradient,
        record: Callable[[Mapping[str, Value]], None],
    ) -> None:
        assert spec.probes is not None
        check_rows(spec, data)
        self._run, self._spec, self._data = spec, spec.probes, data
        self._optimizer = optimizer
        self._leave_gradient = leave_gradient
        self._record = record
        # An equal run may be spelt with a clipping that changes nothing.
        self._limit: Limit = spec.optimizer.canonical().clip_norm
        members = by_block(model) if self._spec.by == "block" else by_parameter(model)
        self._parameters = [each for block in members.values() for each in block]
        self._blocks = {name: Block(name, block, spec.seed) for name, block in members.items()}
        shadows = [Shadow(method, self._parameters) for method in self._spec.shadows]
        self._shadows = dict(zip(labels(self._spec.shadows), shadows, strict=True))

    def __call__(self, step: int) -> None:
        """Look at the step that comes next; the parameters hold its raw gradient."""
        looks = step % self._spec.every == 0
        measures = self._spec.noise_batches > 0 and step % self._spec.noise_every == 0
        with torch.no_grad():
            steps = self._upcoming() if looks or measures else {}
            if looks:
                for name, block in self._blocks.items():
                    self._write("state", step, name, block.state(steps))
            for name, shadow in self._shadows.items():
                if looks:
                    self._compare(step, steps, name, shadow)
                else:
                    shadow.step()
        if measures:
            self._measure(step, steps)

    def optimizers(self, names: Mapping[Tensor, str]) -> Named:
        """The optimizers of the shadows, each with names for its parameters.

        Args:
            names: of the run's parameters.
        """
        return {f"shadow {name}": shadow.optimizer(names) for name, shadow in self._shadows.items()}

    def _write(self, kind: str, step: int, block: str, values: Mapping[str, Value]) -> None:
        self._record({"kind": kind, "step": step, "block": block, **values})

    def _upcoming(self) -> dict[nn.Parameter, Upcoming]:
        gradients = clipped_gradients(self._parameters, self._limit)
        pairs = zip(self._parameters, gradients, strict=True)
        return {p: upcoming(self._optimizer, p, gradient) for p, gradient in pairs}

    def _compare(
        self, step: int, steps: dict[nn.Parameter, Upcoming], name: str, shadow: Shadow
    ) -> None:
        directions = shadow.directions()
        lr_ratio = shadow.method.lr / self._run.optimizer.lr
        for block_name, block in self._blocks.items():
            own = block.flat({p: steps[p].d for p in block.parameters})
            values = comparison(own, block.flat(directions), lr_ratio=lr_ratio)
            self._write("shadow", step, block_name, {"shadow": name, **values})

    def _measure(self, step: int, steps: dict[nn.Parameter, Upcoming]) -> None:
        batches = noise_batches(self._run, self._data, step)
        device = self._parameters[0].device
        measured = measured_variance(
            self._parameters,
            (batch.to(device) for batch in batches),
            self._leave_gradient,
            self._limit,
        )
        for name, block in self._blocks.items():
            values = block.noise(steps, measured)
            self._write("noise", step, name, {"batches": self._spec.noise_batches, **values})
