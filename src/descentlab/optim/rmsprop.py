"""RMSprop (Tieleman & Hinton 2012): Adam without momentum, which is how the paper ran it.

    v_k = EMA_β[g²]_k          d_k = g_k / (sqrt(v̂_k) + ε)

With bias correction ``v̂_k = v_k/(1−β^k)``, otherwise v itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from descentlab.optim.adam import normalized
from descentlab.optim.methods import EpsAt, Implementation, Initial, check_start
from descentlab.optim.optimizer import RuleOptimizer
from descentlab.optim.rule import Hyper, Rule, moving_average, per_replica


class RMSpropState(NamedTuple):
    """The average of g², shaped like the gradient, and the steps k taken."""

    v: Tensor
    k: float


@per_replica
def rmsprop(
    g: Tensor,
    state: RMSpropState | None,
    *,
    beta: Hyper,
    eps: Hyper = 1e-8,
    eps_at: EpsAt = "outside",
    bias_correction: bool = True,
    init: Initial = "zero",
) -> tuple[Tensor, RMSpropState]:
    """Return RMSprop's direction for gradient ``g`` and the new state.

    Args:
        g: gradient, of any shape; ``[R, …]`` for R replicas.
        state: after the step before; None before the first.
        beta: decay of the average of squares.
        eps: ε.
        eps_at: where ε sits; see ``RMSprop``.
        bias_correction: divide the average by ``1 − β^k``.
        init: what the average starts from.

    Hyper-parameters are numbers, or tensors ``[R]``; the direction has the shape of ``g``.

    >>> import torch
    >>> d, _ = rmsprop(torch.tensor([3.0, -0.5]), None, beta=0.9, eps=0.0)
    >>> d
    tensor([ 1., -1.])
    """
    k = 1 if state is None else state.k + 1
    v = moving_average(state and state.v, g.square(), beta, init)
    bias = 1 - beta**k if bias_correction else 1.0
    return normalized(g, v, 1.0, bias, eps, eps_at), RMSpropState(v, k)


class RMSprop(RuleOptimizer):
    """RMSprop for training.

    Where implementations differ: the paper ran ``torch.optim.AdamW`` with β1=0, so it
    corrected the bias and decoupled the decay; ``torch.optim.RMSprop`` does neither, and
    optax corrects only on request and puts ε inside the root by default. All start v at
    zero. torch's default decay is 0.99, optax's 0.9.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate η.
        alpha: decay β of the average of squared gradients, by torch's name.
        eps: ε.
        weight_decay: λ.
        bias_correction: divide v by ``1 − β^k``.
        init: start v at ``"zero"``, or at the first squared ``"gradient"``.
        eps_at: ``"outside"`` the root, ``"inside"`` it, or beside the ``"uncorrected"`` root.
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

    decays: ClassVar[tuple[str, ...]] = ("alpha",)
    stored: ClassVar[dict[str, str]] = {"v": "square_avg", "k": "step"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: Hyper = 1e-3,
        alpha: Hyper = 0.95,
        eps: Hyper = 1e-8,
        weight_decay: Hyper = 0.0,
        *,
        bias_correction: bool = True,
        init: Initial = "zero",
        eps_at: EpsAt = "outside",
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
        clip_norm: Hyper | None = None,
        implementation: Implementation | None = None,
    ) -> None:
        super().__init__(
            params,
            implementation=implementation,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            bias_correction=bias_correction,
            init=init,
            eps_at=eps_at,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
        )

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_start(group["init"], group["bias_correction"])

    def rule(self, group: dict[str, Any]) -> Rule:
        names = ("eps", "eps_at", "bias_correction", "init")
        hypers = {name: group[name] for name in names}
        return Rule(rmsprop, RMSpropState, {"beta": group["alpha"], **hypers})
