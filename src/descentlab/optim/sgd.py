"""Stochastic gradient descent with momentum, and coordinate clipping after it.

    m_k = β·m_{k−1} + (1−τ)·g_k
    d_k = m_k, with Nesterov's momentum (1−τ)·g_k + β·m_k; or clip(d_k, −c, c)

τ is the dampening; the paper sets τ=β, so that m is a moving average. As in torch, m
starts at the first gradient, undampened, unless ``init="zero"``.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, ClassVar

from torch import Tensor

from descentlab.optim.methods import Implementation, Initial
from descentlab.optim.optimizer import RuleOptimizer
from descentlab.optim.rule import Hyper, Momentum, Rule, Stateless, absent, per_replica


@per_replica
def sgd(
    g: Tensor,
    state: Momentum | Stateless | None,
    *,
    momentum: Hyper,
    dampening: Hyper | None = None,
    nesterov: bool = False,
    coordinate_clip: Hyper | None = None,
    init: Initial = "gradient",
) -> tuple[Tensor, Momentum | Stateless]:
    """Return the direction of SGD for gradient ``g`` and the new state.

    Args:
        g: gradient, of any shape; ``[R, …]`` for R replicas.
        state: after the step before; None before the first.
        momentum: β; where it and the dampening are 0, m is g and there is no state.
        dampening: τ in ``m = β·m + (1−τ)·g``; None for β, which makes an average.
        nesterov: look ahead, ``(1−τ)·g + β·m``.
        coordinate_clip: largest magnitude of an entry of the direction.
        init: what the momentum starts from.

    Hyper-parameters are numbers, or tensors ``[R]``; the direction has the shape of ``g``.

    >>> import torch
    >>> d, _ = sgd(torch.tensor([3.0, -0.5]), None, momentum=0.9, coordinate_clip=1.0)
    >>> d
    tensor([ 1.0000, -0.5000])
    """
    if remembers_nothing(momentum, dampening):
        return _clipped(g, coordinate_clip), Stateless()
    tau = momentum if dampening is None else dampening
    if isinstance(state, Momentum):
        m = momentum * state.m + (1 - tau) * g
    else:
        m = g.clone() if init == "gradient" else (1 - tau) * g
    d = (1 - tau) * g + momentum * m if nesterov else m
    return _clipped(d, coordinate_clip), Momentum(m)


def remembers_nothing(momentum: Hyper, dampening: Hyper | None) -> bool:
    """Whether m is the gradient itself."""
    return absent(momentum) and (dampening is None or absent(dampening))


def _clipped(d: Tensor, limit: Hyper | None) -> Tensor:
    return d if limit is None else d.clamp(-limit, limit)  # pyright: ignore[reportArgumentType, reportCallIssue] both are tensors or both numbers


class SGD(RuleOptimizer):
    """SGD for training.

    Where implementations differ: torch and optax do not dampen by default, the paper dampens
    by τ=β; torch starts the momentum at the first gradient, optax at zero, which differ only
    when something is dampened; torch ignores dampening without momentum; torch couples the
    weight decay, the paper used none. The state loads into ``torch.optim.SGD`` and back.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate η.
        momentum: β.
        dampening: τ; None means the β that a group begins with, which makes m the paper's
            average; 0 is torch's default.
        weight_decay: λ.
        nesterov: step along ``(1−τ)·g + β·m``; torch allows it with τ=0 only.
        coordinate_clip: largest absolute value of an entry of the direction, after momentum.
        init: start the momentum at the first ``"gradient"``, as torch does, or at ``"zero"``.
        decoupled_weight_decay: shrink the weights by ``1 − η·λ``, or add ``λ·w`` to the
            gradient, as torch does.
        maximize: ascend.
        clip_norm: limit of the global norm of the gradient over all parameters, before
            momentum.
        implementation: ``"reference"``, ``"foreach"`` or ``"compiled"``; None chooses by
            device.

    Every number may be a tensor without dimensions, or of shape ``[R]`` for parameters
    ``[R, …]`` of R replicas, which are then clipped each by its own norm.

    Raises:
        ConfigError: for a hyper-parameter outside its range.
    """

    decays: ClassVar[tuple[str, ...]] = ("momentum",)
    stored: ClassVar[dict[str, str]] = {"m": "momentum_buffer"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: Hyper = 1e-3,
        momentum: Hyper = 0.0,
        dampening: Hyper | None = None,
        weight_decay: Hyper = 0.0,
        nesterov: bool = False,
        *,
        coordinate_clip: Hyper | None = None,
        init: Initial = "gradient",
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
        clip_norm: Hyper | None = None,
        implementation: Implementation | None = None,
    ) -> None:
        super().__init__(
            params,
            implementation=implementation,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            coordinate_clip=coordinate_clip,
            init=init,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        settings = {**self.defaults, **param_group}
        if settings["dampening"] is None:
            # A copy: a momentum that is a tensor may be filled with other values later.
            param_group["dampening"] = deepcopy(settings["momentum"])
        super().add_param_group(param_group)

    def rule(self, group: dict[str, Any]) -> Rule:
        names = ("momentum", "dampening", "nesterov", "coordinate_clip", "init")
        nothing = remembers_nothing(group["momentum"], group["dampening"])
        state = Stateless if nothing else Momentum
        return Rule(sgd, state, {name: group[name] for name in names})
