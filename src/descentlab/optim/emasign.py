"""EMA-of-sign: the average of the gradient's signs (Table 1's SignSGD with momentum).

    d_k = EMA_β[sign(g)]_k

Every factor that scales the gradient, global-norm clipping among them, leaves it alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor

from descentlab.optim.methods import Implementation, Initial
from descentlab.optim.optimizer import RuleOptimizer
from descentlab.optim.rule import Hyper, Momentum, Rule, moving_average, per_replica


@per_replica
def emasign(
    g: Tensor, state: Momentum | None, *, beta: Hyper, init: Initial = "zero"
) -> tuple[Tensor, Momentum]:
    """Return the average of signs after gradient ``g``, and the new state.

    Args:
        g: gradient, of any shape; ``[R, …]`` for R replicas.
        state: after the step before; None before the first.
        beta: decay of the average.
        init: what the average starts from.

    Hyper-parameters are numbers, or tensors ``[R]``; the direction has the shape of ``g``.

    >>> import torch
    >>> d, _ = emasign(torch.tensor([3.0, -0.5]), None, beta=0.75)
    >>> d
    tensor([ 0.2500, -0.2500])
    """
    m = moving_average(state and state.m, g.sign(), beta, init)
    return m, Momentum(m)


class EMASign(RuleOptimizer):
    """EMA-of-sign for training.

    Where implementations differ: neither torch nor optax has it as one method; in optax it
    is ``scale_by_sign`` followed by ``ema``, which corrects the bias by default. The paper
    averages from zero, without correction, and decouples the decay.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate η.
        beta: decay β of the average.
        weight_decay: λ.
        init: start the average at ``"zero"``, or at the sign of the first ``"gradient"``.
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

    decays: ClassVar[tuple[str, ...]] = ("beta",)
    stored: ClassVar[dict[str, str]] = {"m": "exp_avg"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: Hyper = 1e-3,
        beta: Hyper = 0.95,
        *,
        weight_decay: Hyper = 0.0,
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
            weight_decay=weight_decay,
            init=init,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
        )

    def rule(self, group: dict[str, Any]) -> Rule:
        return Rule(emasign, Momentum, {"beta": group["beta"], "init": group["init"]})
