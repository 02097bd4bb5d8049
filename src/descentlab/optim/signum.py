"""Signum: the sign of the averaged gradient (Bernstein et al. 2018).

    m_k = EMA_β[g]_k          d_k = sign(m_k)

With a mollifier ε > 0 the sign becomes ``m/(|m|+ε)``, the constant-variance relative of
Adam's ``m/sqrt(m²+σ²)`` (eq. 9 of the paper). Clipping the gradient before it is averaged
gives another method, unlike clipping after the sign.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor

from descentlab.optim.methods import Implementation, Initial
from descentlab.optim.optimizer import RuleOptimizer
from descentlab.optim.rule import Hyper, Momentum, Rule, absent, moving_average, per_replica

TINY = 2.0**-126
"""The smallest normal float32: below it ``m/(|m|+ε)`` with ε=0 falls from ±1 to 0."""


@per_replica
def signum(
    g: Tensor,
    state: Momentum | None,
    *,
    beta: Hyper,
    eps: Hyper = 0.0,
    coordinate_clip: Hyper | None = None,
    init: Initial = "zero",
) -> tuple[Tensor, Momentum]:
    """Return Signum's direction for gradient ``g`` and the new state.

    Args:
        g: gradient, of any shape; ``[R, …]`` for R replicas.
        state: after the step before; None before the first.
        beta: decay of the average.
        eps: mollifier of the sign, ``m/(|m|+ε)``; 0 is the sign itself.
        coordinate_clip: largest magnitude of an entry of ``g``, before the average.
        init: what the average starts from.

    Hyper-parameters are numbers, or tensors ``[R]``; the direction has the shape of ``g``.

    >>> import torch
    >>> d, state = signum(torch.tensor([3.0, -0.5]), None, beta=0.5)
    >>> d, state.m
    (tensor([ 1., -1.]), tensor([ 1.5000, -0.2500]))
    """
    if coordinate_clip is not None:
        g = g.clamp(-coordinate_clip, coordinate_clip)  # pyright: ignore[reportArgumentType, reportCallIssue] both are tensors or both numbers
    m = moving_average(state and state.m, g, beta, init)
    if absent(eps):
        return m.sign(), Momentum(m)
    return m / (m.abs() + eps).clamp_min(TINY), Momentum(m)


class Signum(RuleOptimizer):
    """Signum for training.

    Where implementations differ: torch has none; optax's ``sign_sgd`` has no momentum, and
    a chain of its ``trace`` and ``scale_by_sign`` starts at zero. The paper compares both
    starts (Table 3: 23.30 from zero, 23.23 from the gradient); the public trainer behind it
    starts at the first gradient. The paper decouples the decay and clips the global norm of
    the raw gradient.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate η.
        beta: decay β of the average.
        eps: mollifier ε of the sign; 0 is the sign itself.
        weight_decay: λ.
        coordinate_clip: largest absolute value of a gradient's entry, before the average.
        init: start the average at ``"zero"``, or at the first ``"gradient"``.
        decoupled_weight_decay: shrink the weights by ``1 − η·λ``, or add ``λ·w`` to the
            gradient.
        maximize: ascend.
        clip_norm: limit of the global norm of the gradient over all parameters, also before
            the average.
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
        eps: Hyper = 0.0,
        weight_decay: Hyper = 0.0,
        coordinate_clip: Hyper | None = None,
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
            eps=eps,
            weight_decay=weight_decay,
            coordinate_clip=coordinate_clip,
            init=init,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
        )

    def rule(self, group: dict[str, Any]) -> Rule:
        names = ("beta", "eps", "coordinate_clip", "init")
        return Rule(signum, Momentum, {name: group[name] for name in names})
