"""The methods that descend the quadratic, each by the one rule that training uses as well.

The paper's conventions for this problem: averages start at zero, no bias correction, no
weight decay, SGD dampened by τ=β. Adam's two decays are equal unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descentlab.errors import ConfigError, nearest
from descentlab.optim.adam import AdamState, VarianceState, adam, adam_variance
from descentlab.optim.constant_variance import MeanState, constant_variance
from descentlab.optim.emasign import emasign
from descentlab.optim.rmsprop import RMSpropState, rmsprop
from descentlab.optim.rule import Hyper, Momentum, Rule, Stateless
from descentlab.optim.sgd import remembers_nothing, sgd
from descentlab.optim.signsgd import signsgd
from descentlab.optim.signum import signum

EPS = 1e-8
"""Adam's ε: far below every gradient here, it only keeps 0/0 away."""


def _adam(beta: Hyper, constant: Hyper) -> Rule:
    hypers = {"beta1": beta, "beta2": beta, "eps": EPS, "bias_correction": False}
    return Rule(adam, AdamState, hypers)


def _adam_variance(beta: Hyper, constant: Hyper) -> Rule:
    hypers = {"beta": beta, "eps": EPS, "bias_correction": False}
    return Rule(adam_variance, VarianceState, hypers)


def _rmsprop(beta: Hyper, constant: Hyper) -> Rule:
    hypers = {"beta": beta, "eps": EPS, "bias_correction": False}
    return Rule(rmsprop, RMSpropState, hypers)


def _signum(beta: Hyper, constant: Hyper) -> Rule:
    return Rule(signum, Momentum, {"beta": beta, "eps": constant})


def _constant_variance(beta: Hyper, constant: Hyper) -> Rule:
    hypers = {"beta": beta, "variance": constant, "bias_correction": False}
    return Rule(constant_variance, MeanState, hypers)


def _emasign(beta: Hyper, constant: Hyper) -> Rule:
    return Rule(emasign, Momentum, {"beta": beta})


def _signsgd(beta: Hyper, constant: Hyper) -> Rule:
    return Rule(signsgd, Stateless, {})


def _sgd(beta: Hyper, constant: Hyper) -> Rule:
    state = Stateless if remembers_nothing(beta, None) else Momentum
    return Rule(sgd, state, {"momentum": beta, "init": "zero"})


METHODS: dict[str, Callable[[Hyper, Hyper], Rule]] = {
    "adam": _adam,
    "adam_variance": _adam_variance,
    "signum": _signum,
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "emasign": _emasign,
    "signsgd": _signsgd,
    "constant_variance": _constant_variance,
}
"""From β and the constant (Signum's mollifier ε, the constant variance c) to the rule."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """C configurations of one method, run side by side.

    Attributes:
        method: a name of ``METHODS``.
        lrs: C peak learning rates, positive.
        betas: C decays β in [0, 1).
        constants: C mollifiers ε of ``signum``, or variances c of ``constant_variance``, not
            negative; other methods ignore them.

    Raises:
        ConfigError: for an unknown method, unequal lengths or values out of range.

    >>> len(Trials(method="adam", lrs=(0.01, 0.03), betas=(0.9, 0.95)))
    2
    """

    method: str
    lrs: tuple[float, ...]
    betas: tuple[float, ...]
    constants: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method: got {self.method!r}; {nearest(self.method, METHODS)}")
        lengths = {len(self.lrs), len(self.betas), len(self.constants) or len(self.lrs)}
        if len(lengths) > 1 or not self.lrs:
            raise ConfigError(
                f"{self.method}: got {len(self.lrs)} learning rates, {len(self.betas)} betas and "
                f"{len(self.constants)} constants; give as many of each, and at least one"
            )
        _check("lr", self.lrs, lambda lr: 0 < lr < float("inf"), "positive finite numbers")
        _check("beta", self.betas, lambda beta: 0 <= beta < 1, "[0, 1)")
        _check("constant", self.constants, lambda c: 0 <= c < float("inf"), "finite, from 0 on")

    def __len__(self) -> int:
        return len(self.lrs)

    def __getitem__(self, place: slice) -> Trials:
        return Trials(
            method=self.method,
            lrs=self.lrs[place],
            betas=self.betas[place],
            constants=self.constants[place],
        )

    def rule(self) -> Rule:
        """Return the rule, its hyper-parameters tensors ``[C]``, or numbers where all agree."""
        return METHODS[self.method](_shared(self.betas), _shared(self.constants or (0.0,)))


def grid(
    method: str,
    lrs: Sequence[float],
    betas: Sequence[float] = (0.95,),
    constants: Sequence[float] = (0.0,),
) -> Trials:
    """Return every combination, the last argument varying fastest.

    >>> grid("signum", [0.1, 0.2], [0.0, 0.5]).betas
    (0.0, 0.5, 0.0, 0.5)
    """
    points = [(lr, beta, c) for lr in lrs for beta in betas for c in constants]
    columns: list[tuple[Any, ...]] = list(zip(*points, strict=True)) or [(), (), ()]
    return Trials(method=method, lrs=columns[0], betas=columns[1], constants=columns[2])


def _shared(values: tuple[float, ...]) -> float | Tensor:
    # A number costs no operation on tensors: small problems are bound by their count.
    return values[0] if len(set(values)) == 1 else torch.tensor(values, dtype=torch.float64)


def _check(
    name: str, values: Sequence[float], allowed: Callable[[float], bool], range_: str
) -> None:
    for value in values:
        if not allowed(value):
            raise ConfigError(f"{name}: got {value}; allowed are {range_}")
