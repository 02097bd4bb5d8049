"""Adam with its variance replaced by a constant: what is left without the online estimate.

    m_k = EMA_β[g]_k          d_k = m̂_k / sqrt(m̂_k² + c)

Equation 9 of the paper with c in place of σ²_k; with bias correction ``m̂_k = m_k/(1−β^k)``,
otherwise m itself. Where ``|m|`` is far above or below √c the direction is ``sign(m)`` or
``m/√c``, as that of Signum with a mollifier, ``m/(|m|+ε)``, is for ε = √c.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from descentlab.optim.methods import Implementation, Initial, check_start
from descentlab.optim.optimizer import RuleOptimizer
from descentlab.optim.rule import Hyper, Rule, moving_average, per_replica
from descentlab.optim.signum import TINY


class MeanState(NamedTuple):
    """The average of g, shaped like the gradient, and the steps k taken."""

    m: Tensor
    k: float


@per_replica
def constant_variance(
    g: Tensor,
    state: MeanState | None,
    *,
    beta: Hyper,
    variance: Hyper,
    bias_correction: bool = True,
    init: Initial = "zero",
) -> tuple[Tensor, MeanState]:
    """Return the direction for gradient ``g`` and the new state.

    Args:
        g: gradient, of any shape; ``[R, …]`` for R replicas.
        state: after the step before; None before the first.
        beta: decay of the average.
        variance: c, in the place of σ², in squared units of ``g``.
        bias_correction: divide the average by ``1 − β^k``.
        init: what the average starts from.

    Hyper-parameters are numbers, or tensors ``[R]``; the direction has the shape of ``g``.

    >>> import torch
    >>> constant_variance(torch.tensor([3.0, -4.0]), None, beta=0.5, variance=9.0)[0]
    tensor([ 0.7071, -0.8000])
    """
    k = 1 if state is None else state.k + 1
    m = moving_average(state and state.m, g, beta, init)
    bias = 1 - beta**k if bias_correction else 1.0
    m_hat = (1 / bias) * m
    return m_hat / (m_hat.square() + variance).sqrt().clamp_min(TINY), MeanState(m, k)


class ConstantVariance(RuleOptimizer):
    """Adam without its estimate of the variance, for training.

    The paper asks with it whether the estimate matters (Figures 5 and 7). No other library
    has it. Give each parameter group a ``variance`` of its own to have one constant a tensor.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate η.
        beta: decay β of the average.
        variance: c, in squared units of the gradient, after clipping; 0 gives Signum.
        weight_decay: λ.
        bias_correction: divide the average by ``1 − β^k``.
        init: start the average at ``"zero"``, or at the first ``"gradient"``.
        decoupled_weight_decay: shrink the weights by ``1 − η·λ``, or add ``λ·w`` to the
            gradient.
        maximize: ascend.
        clip_norm: limit of the global norm of the gradient over all parameters.
        implementation: ``"reference"``, ``"foreach"`` or ``"compiled"``; None chooses by
            device.

    Every number may be a tensor without dimensions, or of shape ``[R]`` for parameters
    ``[R, …]`` of R replicas, which are then clipped each by its own norm.

    Raises:
        ConfigError: for a hyper-parameter outside its range.
    """

    decays: ClassVar[tuple[str, ...]] = ("beta",)
    stored: ClassVar[dict[str, str]] = {"m": "exp_avg", "k": "step"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: Hyper = 1e-3,
        beta: Hyper = 0.95,
        variance: Hyper = 1e-8,
        *,
        weight_decay: Hyper = 0.0,
        bias_correction: bool = True,
        init: Initial = "zero",
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
        clip_norm: Hyper | None = None,
        implementation: Implementation | None = None,
    ) -> None:
        super().__init__(
            params,
            implementation=implementation,
            lr=lr,
            beta=beta,
            variance=variance,
            weight_decay=weight_decay,
            bias_correction=bias_correction,
            init=init,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
        )

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_start(group["init"], group["bias_correction"])

    def rule(self, group: dict[str, Any]) -> Rule:
        names = ("beta", "variance", "bias_correction", "init")
        return Rule(constant_variance, MeanState, {name: group[name] for name in names})
