"""Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019).

    m_k = EMA_β1[g]_k          v_k = EMA_β2[g²]_k
    d_k = m̂_k / (sqrt(v̂_k) + ε)

With bias correction ``m̂_k = m_k/(1−β1^k)`` and ``v̂_k = v_k/(1−β2^k)``, otherwise the
averages themselves. The paper recommends one β for both (Section 4): then ``σ² = v − m²``
is an online estimate of the gradient's variance, with a recursion of its own (Proposition 1),

    σ²_k = β·σ²_{k−1} + β(1−β)·(m_{k−1} − g_k)²          v_k = m_k² + σ²_k

which keeps its digits where the difference loses them. β1=0 is RMSprop; β1=β2=0 is sign
descent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from descentlab.errors import ConfigError
from descentlab.optim.methods import EpsAt, Form, Implementation, Initial, check_start
from descentlab.optim.optimizer import RuleOptimizer
from descentlab.optim.rule import Hyper, Rule, moving_average, per_replica


class AdamState(NamedTuple):
    """The averages of g and g², shaped like the gradient, and the steps k taken."""

    m: Tensor
    v: Tensor
    k: float


class VarianceState(NamedTuple):
    """The mean m and the variance σ² of the gradient, and the steps k taken."""

    m: Tensor
    variance: Tensor
    k: float


@per_replica
def adam(
    g: Tensor,
    state: AdamState | None,
    *,
    beta1: Hyper,
    beta2: Hyper,
    eps: Hyper = 1e-8,
    eps_at: EpsAt = "outside",
    bias_correction: bool = True,
    init: Initial = "zero",
) -> tuple[Tensor, AdamState]:
    """Return Adam's direction for gradient ``g`` and the new state.

    Args:
        g: gradient, of any shape; ``[R, …]`` for R replicas.
        state: after the step before; None before the first.
        beta1: decay of the average of gradients.
        beta2: decay of the average of squares.
        eps: ε.
        eps_at: where ε sits; see ``Adam``.
        bias_correction: divide the averages by ``1 − β^k``.
        init: what the averages start from.

    Hyper-parameters are numbers, or tensors ``[R]``; the direction has the shape of ``g``.

    >>> import torch
    >>> d, _ = adam(torch.tensor([3.0, -0.5]), None, beta1=0.9, beta2=0.99, eps=0.0)
    >>> d
    tensor([ 1., -1.])
    """
    k = 1 if state is None else state.k + 1
    m = moving_average(state and state.m, g, beta1, init)
    v = moving_average(state and state.v, g.square(), beta2, init)
    bias1, bias2 = (1 - beta1**k, 1 - beta2**k) if bias_correction else (1.0, 1.0)
    return normalized(m, v, bias1, bias2, eps, eps_at), AdamState(m, v, k)


@per_replica
def adam_variance(
    g: Tensor,
    state: VarianceState | None,
    *,
    beta: Hyper,
    eps: Hyper = 1e-8,
    eps_at: EpsAt = "outside",
    bias_correction: bool = True,
    init: Initial = "zero",
) -> tuple[Tensor, VarianceState]:
    """Return the direction of Adam with β1=β2, computed from mean and variance.

    The state is (m, σ²), by the recursion of Proposition 1; arguments are those of ``adam``.

    >>> import torch
    >>> d, state = adam_variance(torch.tensor([3.0, -0.5]), None, beta=0.5, eps=0.0)
    >>> d, state.variance
    (tensor([ 1., -1.]), tensor([2.2500, 0.0625]))
    """
    k = 1 if state is None else state.k + 1
    m = moving_average(state and state.m, g, beta, init)
    if state is not None:
        variance = beta * state.variance + (beta * (1 - beta)) * (state.m - g).square()
    elif init == "gradient":
        variance = 0.0 * g
    else:
        variance = (beta * (1 - beta)) * g.square()
    bias = 1 - beta**k if bias_correction else 1.0
    v = m.square() + variance
    return normalized(m, v, bias, bias, eps, eps_at), VarianceState(m, variance, k)


def normalized(
    m: Tensor, v: Tensor, bias1: Hyper, bias2: Hyper, eps: Hyper, eps_at: EpsAt
) -> Tensor:
    """Return ``m̂ / (sqrt(v̂) + ε)``, where ``m̂ = m/bias1`` and ``v̂ = v/bias2``.

    Hyper-parameters are combined before they meet tensors: one division a coordinate.
    """
    if eps_at == "uncorrected":
        return (bias2**0.5 / bias1) * m / (v.sqrt() + eps)
    m_hat, v_hat = (1 / bias1) * m, (1 / bias2) * v
    return m_hat / ((v_hat + eps).sqrt() if eps_at == "inside" else v_hat.sqrt() + eps)


class Adam(RuleOptimizer):
    """Adam for training: one ``beta`` for both averages, or ``betas``.

    Where implementations differ: torch and optax correct the bias, start from zero and put
    ε outside the root, and so did the paper; optax adds an ε inside as ``eps_root``,
    TensorFlow puts ε beside the uncorrected root. ``torch.optim.AdamW`` and the paper
    decouple the weight decay, ``torch.optim.Adam`` couples it. torch's default betas are
    (0.9, 0.999) and its AdamW decays by 0.01; here β is 0.95 and nothing decays unless
    asked. The state loads into ``torch.optim.AdamW`` and back.

    Args:
        params: parameters, or parameter groups.
        lr: learning rate η.
        betas: (β1, β2), where they are to differ.
        eps: ε.
        weight_decay: λ.
        beta: β1=β2=β, the paper's recommendation; 0.95 if ``betas`` is not given either.
        bias_correction: divide the averages by ``1 − β^k``.
        init: start the averages at ``"zero"``, or at the first ``"gradient"`` and its square.
        eps_at: ``"outside"``: ``m̂/(sqrt(v̂)+ε)``; ``"inside"``: ``m̂/sqrt(v̂+ε)``;
            ``"uncorrected"``: ``sqrt(1−β2^k)/(1−β1^k)·m/(sqrt(v)+ε)``.
        form: keep ``"moments"`` (m, v), or mean and ``"variance"`` (m, σ²), for β1=β2.
        decoupled_weight_decay: shrink the weights by ``1 − η·λ``, or add ``λ·w`` to the
            gradient.
        maximize: ascend.
        clip_norm: limit of the global norm of the gradient over all parameters, as
            ``torch.nn.utils.clip_grad_norm_`` has it, without changing the gradients.
        implementation: ``"reference"``, ``"foreach"`` or ``"compiled"``; None chooses by
            device.

    Every number may be a tensor without dimensions, or of shape ``[R]`` for parameters
    ``[R, …]`` of R replicas, which are then clipped each by its own norm.

    Raises:
        ConfigError: for a hyper-parameter outside its range.
    """

    decays: ClassVar[tuple[str, ...]] = ("betas",)
    stored: ClassVar[dict[str, str]] = {
        "m": "exp_avg",
        "v": "exp_avg_sq",
        "variance": "exp_var",
        "k": "step",
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: Hyper = 1e-3,
        betas: tuple[Hyper, Hyper] | None = None,
        eps: Hyper = 1e-8,
        weight_decay: Hyper = 0.0,
        *,
        beta: Hyper | None = None,
        bias_correction: bool = True,
        init: Initial = "zero",
        eps_at: EpsAt = "outside",
        form: Form = "moments",
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
        clip_norm: Hyper | None = None,
        implementation: Implementation | None = None,
    ) -> None:
        if beta is not None and betas is not None:
            raise ConfigError("beta, betas: give one of them, not both")
        if betas is None:
            beta = 0.95 if beta is None else beta
            betas = (beta, beta)
        super().__init__(
            params,
            implementation=implementation,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            bias_correction=bias_correction,
            init=init,
            eps_at=eps_at,
            form=form,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
            clip_norm=clip_norm,
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if "beta" in param_group:
            if "betas" in param_group:
                raise ConfigError("beta, betas: give one of them, not both")
            beta = param_group.pop("beta")
            param_group["betas"] = (beta, beta)
        super().add_param_group(param_group)

    def check_group(self, group: dict[str, Any]) -> None:
        super().check_group(group)
        check_start(group["init"], group["bias_correction"])
        beta1, beta2 = group["betas"]
        if group["form"] == "variance" and not _equal(beta1, beta2):
            raise ConfigError(
                f"betas: got {(beta1, beta2)}; "
                'form="variance" needs β1=β2, for others set form="moments"'
            )

    def rule(self, group: dict[str, Any]) -> Rule:
        names = ("eps", "eps_at", "bias_correction", "init")
        shared = {name: group[name] for name in names}
        beta1, beta2 = group["betas"]
        if group["form"] == "variance":
            return Rule(adam_variance, VarianceState, {"beta": beta1, **shared})
        return Rule(adam, AdamState, {"beta1": beta1, "beta2": beta2, **shared})


def _equal(one: Hyper, other: Hyper) -> bool:
    same = one == other
    return bool(same.all()) if isinstance(same, Tensor) else same
