"""The methods that can be compared: their settings, ranges and canonical forms.

Each struct says everything that happens between the raw gradient and the new weights,
builds its ``torch.optim.Optimizer``, and knows which other way of writing it trains the
very same run. Free of torch until ``build`` is called, so that plans stay instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec.structs import replace

from descentlab.config import Decay, NonNegative
from descentlab.errors import ConfigError, nearest
from descentlab.optim.class_method import ClassMethod
from descentlab.optim.method import Limit, Method

if TYPE_CHECKING:
    import torch

Initial = Literal["zero", "gradient"]
"""What a moving average starts from: zero, or the first quantity that it averages."""

EpsAt = Literal["outside", "inside", "uncorrected"]
"""Where ε sits: ``sqrt(v̂)+ε``, ``sqrt(v̂+ε)``, or ``sqrt(v)+ε`` beside the uncorrected root."""

Form = Literal["moments", "variance"]
"""What Adam keeps: the averages (m, v) of g and g², or mean and variance (m, σ²)."""

Coupling = Literal["decoupled", "coupled"]
"""Whether weight decay shrinks the weights beside the step, or is part of the gradient."""

Implementation = Literal["reference", "foreach", "compiled"]
"""A loop over parameters, operations over lists of tensors, or one fused pass."""


def check_start(init: Initial, bias_correction: bool) -> None:
    """Refuse a bias correction that has no bias to correct.

    Raises:
        ConfigError: for averages that start at the gradient and are corrected as well.
    """
    if bias_correction and init == "gradient":
        raise ConfigError(
            "bias_correction corrects a start from zero; "
            'with init="gradient" set bias_correction to false'
        )


class OwnMethod(Method, frozen=True, kw_only=True):
    """A method of the laboratory's own, whose weight decay may be of either kind.

    ``decay``: weights shrink by ``1 - lr·λ``, or ``λ·w`` is added to the clipped gradient.
    """

    decay: Coupling = "decoupled"
    """``decoupled``: the weights shrink by 1 − lr·λ; ``coupled``: λ·w is added to the gradient."""

    @property
    def couples(self) -> bool:
        """Whether weight decay is part of the gradient that the method averages or signs."""
        return self.decay == "coupled" and self.weight_decay > 0

    @property
    def decoupled(self) -> bool:
        """Whether it shrinks the weights, if there is any."""
        return not self.couples

    @property
    def kind_of_decay(self) -> Coupling:
        """Its kind, the same for both where there is none."""
        return "coupled" if self.couples else "decoupled"

    def sign_of_gradient(self) -> Method:
        """SignSGD with this method's settings: what a method of signs is without momentum."""
        return SignSGDMethod(
            lr=self.lr,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            decay=self.kind_of_decay,
        ).canonical()


class AdamMethod(OwnMethod, frozen=True, kw_only=True, tag="adam"):
    """Adam; one ``beta`` for both averages, or ``beta1`` and ``beta2``."""

    beta: Decay | None = None
    """β1 = β2, in one number."""
    beta1: Decay | None = None
    """Decay of the average of gradients."""
    beta2: Decay | None = None
    """Decay of the average of squared gradients."""
    eps: NonNegative = 1e-8
    """ε, added to the root of the second average."""
    bias_correction: bool = True
    """Divide each average by 1 − β^k."""
    init: Initial = "zero"
    """What the averages start from."""

    def __post_init__(self) -> None:
        pair = (self.beta1, self.beta2)
        if self.beta is not None and pair != (None, None):
            raise ConfigError("give either beta, or beta1 and beta2, not both")
        if self.beta is None and None in pair:
            raise ConfigError("missing a setting: give beta, or both beta1 and beta2")
        check_start(self.init, self.bias_correction)

    @property
    def betas(self) -> tuple[float, float]:
        """(β1, β2), however they were given."""
        if self.beta is not None:
            return self.beta, self.beta
        assert self.beta1 is not None
        assert self.beta2 is not None
        return self.beta1, self.beta2

    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        from descentlab.optim.adam import Adam

        return Adam(
            groups,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            bias_correction=self.bias_correction,
            init=self.init,
            decoupled_weight_decay=self.decoupled,
        )

    def canonical(self) -> Method:
        beta1, beta2 = self.betas
        return replace(self, beta=None, beta1=beta1, beta2=beta2, decay=self.kind_of_decay)


class RMSpropMethod(OwnMethod, frozen=True, kw_only=True, tag="rmsprop"):
    """RMSprop as the paper ran it: Adam without momentum, bias-corrected."""

    beta: Decay
    """Decay of the average of squared gradients."""
    eps: NonNegative = 1e-8
    """ε, added to the root of the average."""
    bias_correction: bool = True
    """Divide the average by 1 − β^k."""
    init: Initial = "zero"
    """What the average starts from."""

    def __post_init__(self) -> None:
        check_start(self.init, self.bias_correction)

    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        from descentlab.optim.rmsprop import RMSprop

        return RMSprop(
            groups,
            lr=self.lr,
            alpha=self.beta,
            eps=self.eps,
            bias_correction=self.bias_correction,
            init=self.init,
            decoupled_weight_decay=self.decoupled,
        )

    def canonical(self) -> Method:
        return AdamMethod(
            lr=self.lr,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            beta1=0.0,
            beta2=self.beta,
            eps=self.eps,
            bias_correction=self.bias_correction,
            init=self.init,
            decay=self.kind_of_decay,
        )


class SignumMethod(OwnMethod, frozen=True, kw_only=True, tag="signum"):
    """The sign of the averaged gradient; ``eps`` > 0 mollifies the sign."""

    beta: Decay
    """Decay of the average m of gradients."""
    eps: NonNegative = 0.0
    """Where it is above 0, m / (|m| + ε) takes the place of sign(m)."""
    init: Initial = "zero"
    """What the average starts from."""

    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        from descentlab.optim.signum import Signum

        return Signum(
            groups,
            lr=self.lr,
            beta=self.beta,
            eps=self.eps,
            init=self.init,
            decoupled_weight_decay=self.decoupled,
        )

    def canonical(self) -> Method:
        if self.beta == 0 and self.eps == 0:
            return self.sign_of_gradient()
        return replace(self, decay=self.kind_of_decay)


class EMASignMethod(OwnMethod, frozen=True, kw_only=True, tag="emasign"):
    """The average of the gradient's signs ("SignSGD" with momentum in Table 1)."""

    beta: Decay
    """Decay of the average of signs."""
    init: Initial = "zero"
    """What the average starts from."""

    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        from descentlab.optim.emasign import EMASign

        return EMASign(
            groups,
            lr=self.lr,
            beta=self.beta,
            init=self.init,
            decoupled_weight_decay=self.decoupled,
        )

    def canonical(self) -> Method:
        if self.beta == 0:
            return self.sign_of_gradient()
        if self.couples:  # the clipped gradient is weighed against the decay
            return self
        # No positive factor changes a sign.
        return replace(self, clip_norm="none", decay="decoupled")


class ConstantVarianceMethod(Method, frozen=True, kw_only=True, tag="constant_variance"):
    """Adam with the variance σ² replaced by a constant, for all tensors or for each."""

    beta: Decay
    """Decay of the average of gradients."""
    variance: NonNegative
    """c, in squared units of the clipped gradient."""
    relative: dict[str, NonNegative] = msgspec.field(default_factory=dict)
    """What multiplies c, by parameter name; empty for 1 everywhere."""
    bias_correction: bool = True
    """Divide the average by 1 − β^k."""

    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        from descentlab.optim.constant_variance import ConstantVariance

        return ConstantVariance(
            list(self._split(groups)) if self.relative else groups,
            lr=self.lr,
            beta=self.beta,
            variance=self.variance,
            bias_correction=self.bias_correction,
        )

    def _split(self, groups: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Give each parameter a group of its own, with its own constant."""
        missing = dict(self.relative)
        for group in groups:
            for parameter, name in zip(group["params"], group["param_names"], strict=True):
                if name not in self.relative:
                    raise ConfigError(f"relative: has no number for the parameter {name}")
                own = {"params": [parameter], "param_names": [name]}
                yield {**group, **own, "variance": self.variance * missing.pop(name)}
        if missing:
            name = min(missing)
            raise ConfigError(f"relative.{name}: {nearest(name, set(self.relative) - {*missing})}")

    def canonical(self) -> Method:
        relative = dict(sorted(self.relative.items()))
        factors = set(relative.values()) or {1.0}
        if len(factors) == 1:
            variance = self.variance * factors.pop()
            if variance == 0:
                return SignumMethod(
                    lr=self.lr,
                    beta=self.beta,
                    weight_decay=self.weight_decay,
                    clip_norm=self.clip_norm,
                ).canonical()
            return replace(self, variance=variance, relative={})
        return replace(self, relative=relative)


class SignSGDMethod(OwnMethod, frozen=True, kw_only=True, tag="signsgd"):
    """The sign of the gradient, without momentum."""

    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        from descentlab.optim.signsgd import SignSGD

        return SignSGD(groups, lr=self.lr, decoupled_weight_decay=self.decoupled)

    def canonical(self) -> Method:
        if self.couples:  # the clipped gradient is weighed against the decay
            return self
        # No positive factor changes a sign.
        return replace(self, clip_norm="none", decay="decoupled")


class SGDMethod(OwnMethod, frozen=True, kw_only=True, tag="sgd"):
    """SGD with momentum ``beta``; ``coordinate_clip`` limits each entry after momentum.

    ``dampening`` defaults to ``beta``, as in the paper, which makes the momentum an
    average; the average starts at the first gradient, as torch's does.
    """

    beta: Decay
    """Momentum."""
    dampening: NonNegative | None = None
    """What is taken off a new gradient's weight of 1; β if left out, which makes an average."""
    coordinate_clip: Limit = "none"
    """Largest magnitude of an entry of the direction; ``"none"`` for no limit."""
    init: Initial = "gradient"
    """What the momentum starts from."""
    weight_decay: NonNegative = 0.0
    """λ: weights shrink by lr·λ at each step, norms excepted."""

    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        from descentlab.optim.sgd import SGD

        return SGD(
            groups,
            lr=self.lr,
            momentum=self.beta,
            dampening=self.dampening,
            coordinate_clip=None if self.coordinate_clip == "none" else self.coordinate_clip,
            init=self.init,
            decoupled_weight_decay=self.decoupled,
        )

    def canonical(self) -> Method:
        dampening = self.beta if self.dampening is None else self.dampening
        clip = self.coordinate_clip
        bounded = self.clip_norm != "none" and clip != "none" and self.clip_norm <= clip
        if bounded and self.decoupled:
            # No entry of a clipped gradient exceeds clip_norm, nor does one of its average.
            clip = "none" if self.beta <= dampening <= 1 else clip
        return replace(self, dampening=dampening, coordinate_clip=clip, decay=self.kind_of_decay)


AnyMethod = (
    AdamMethod
    | RMSpropMethod
    | SignumMethod
    | EMASignMethod
    | ConstantVarianceMethod
    | SignSGDMethod
    | SGDMethod
    | ClassMethod
)
"""The methods that a spec may name in ``optimizer.method``."""
