"""SignSGD: the sign of the gradient (Bernstein et al. 2018), without momentum.

The direction is ``d_k = sign(g_k)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from descentlab.optim.methods import Implementation
from descentlab.optim.optimizer import RuleOptimizer
from descentlab.optim.rule import Hyper, Rule, Stateless


def signsgd(g: Tensor, state: Stateless | None = None) -> tuple[Tensor, Stateless]:
    """Return the sign of the gradient.

    >>> import torch
    >>> signsgd(torch.tensor([3.0, -0.5]))[0]
    tensor([ 1., -1.])
    """
    return g.sign(), Stateless()


class SignSGD(RuleOptimizer):
    """SignSGD for training; optax calls it ``sign_sgd``, torch has none.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate η.
        weight_decay: λ.
        decoupled_weight_decay: shrink the weights by ``1 − η·λ``, or add ``λ·w`` to the
            gradient.
        maximize: ascend.
        clip_norm: limit of the global norm of the gradient over all parameters; it changes
            no sign, and matters with coupled decay only.
        implementation: ``"reference"``, ``"foreach"`` or ``"compiled"``; None chooses by
            device.

    Every number may be a tensor without dimensions, or of shape ``[R]`` for parameters
    ``[R, …]`` of R replicas, which are then clipped each by its own norm.

    Raises:
        ConfigError: for a hyper-parameter outside its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Hyper = 1e-3,
        *,
        weight_decay: Hyper = 0.0,
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
        clip_norm: Hyper | None = None,
        implementation: Implementation | None = None,
    ) -> None:
        super().__init__(
            params,
            implementation=implementation,
            lr=lr,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
        )

    def rule(self, group: dict[str, Any]) -> Rule:
        return Rule(signsgd, Stateless, {})
