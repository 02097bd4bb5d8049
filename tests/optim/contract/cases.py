"""The optimizers with settings that between them reach every branch of every rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from descentlab.optim import SGD, Adam, ConstantVariance, EMASign, RMSprop, SignSGD, Signum

IMPLEMENTATIONS = ("reference", "foreach", "compiled")
OPTIMIZERS = (Adam, RMSprop, Signum, ConstantVariance, EMASign, SignSGD, SGD)


@dataclass(frozen=True)
class Case:
    """An optimizer with settings; the learning rate is among them."""

    name: str
    kind: type[Any]
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def build(self, params: Iterable[Any], **changes: Any) -> Any:
        return self.kind(params, **{"lr": 0.03, **self.settings, **changes})

    @property
    def rootless(self) -> bool:
        """Whether only operations that IEEE 754 rounds correctly are used."""
        return self.kind not in (Adam, RMSprop, ConstantVariance)


UNCORRECTED = {"bias_correction": False}
COUPLED = {"weight_decay": 0.3, "decoupled_weight_decay": False}
SHARED: dict[str, dict[str, Any]] = {
    "plain": {},
    "decay": {"weight_decay": 0.3},
    "all": {**COUPLED, "maximize": True, "clip_norm": 0.7},
}
NORMALIZING: dict[str, dict[str, Any]] = {
    "inside": {"eps": 0.1, "eps_at": "inside"},
    "beside": {"eps": 0.1, "eps_at": "uncorrected"},
    "uncorrected": {**UNCORRECTED, "eps": 1e-3},
    "from_gradient": {**UNCORRECTED, "init": "gradient", "eps": 1e-3},
    "uncorrected_inside": {**UNCORRECTED, "eps": 0.1, "eps_at": "inside"},
}
OWN: dict[type[Any], dict[str, dict[str, Any]]] = {
    Adam: {
        **NORMALIZING,
        "betas": {"betas": (0.9, 0.99)},
        "no_momentum": {"betas": (0.0, 0.9)},
        "variance": {"form": "variance", "beta": 0.9},
        "variance_all": {"form": "variance", **NORMALIZING["inside"], **SHARED["all"]},
        "variance_from_gradient": {"form": "variance", **NORMALIZING["from_gradient"]},
    },
    RMSprop: {**NORMALIZING, "alpha": {"alpha": 0.8}},
    Signum: {
        "mollified": {"eps": 0.1},
        "from_gradient": {"init": "gradient"},
        "clipped": {"coordinate_clip": 0.5, "init": "gradient", "eps": 0.1},
        "no_momentum": {"beta": 0.0},
    },
    ConstantVariance: {
        "large": {"variance": 1.0, "beta": 0.8, **UNCORRECTED},
        "from_gradient": {"variance": 1e-4, **UNCORRECTED, "init": "gradient"},
    },
    EMASign: {"from_gradient": {"init": "gradient"}, "no_momentum": {"beta": 0.0}},
    SignSGD: {},
    SGD: {
        "momentum": {"momentum": 0.9},
        "from_zero": {"momentum": 0.9, "init": "zero"},
        "dampened": {"momentum": 0.9, "dampening": 0.4},
        "undampened": {"momentum": 0.9, "dampening": 0.0},
        "nesterov": {"momentum": 0.9, "dampening": 0.0, "nesterov": True},
        "nesterov_dampened": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.3},
        "clipped": {"momentum": 0.9, "coordinate_clip": 0.2, **SHARED["all"]},
    },
}
CASES = [
    Case(f"{kind.__name__}-{name}", kind, settings)
    for kind in OPTIMIZERS
    for name, settings in {**SHARED, **OWN[kind]}.items()
]
MAIN = [
    Case("Adam", Adam, {"betas": (0.9, 0.99), "weight_decay": 0.1}),
    Case("AdamVariance", Adam, {"form": "variance", "beta": 0.9, "weight_decay": 0.1}),
    Case("RMSprop", RMSprop, {"alpha": 0.9, "weight_decay": 0.1}),
    Case("Signum", Signum, {"beta": 0.9, "weight_decay": 0.1}),
    Case("ConstantVariance", ConstantVariance, {"variance": 1e-4, "weight_decay": 0.1}),
    Case("EMASign", EMASign, {"beta": 0.9, "weight_decay": 0.1}),
    Case("SignSGD", SignSGD, {"weight_decay": 0.1}),
    Case("SGD", SGD, {"momentum": 0.9, "weight_decay": 0.1}),
]
"""Every optimizer with its usual settings, for what does not depend on them."""

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_method = pytest.mark.parametrize("case", MAIN, ids=str)
every_optimizer = pytest.mark.parametrize("kind", OPTIMIZERS)
every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


def drawn(shape: Sequence[int], seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers of many scales, some of them zero."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(tuple(shape), dtype=torch.float64, generator=generator)
    scales = 10 ** (4 * torch.rand(tuple(shape), dtype=torch.float64, generator=generator) - 3)
    kept = torch.rand(tuple(shape), generator=generator) > 0.1
    return (numbers * scales * kept).to(dtype)


def parameter(
    shape: Sequence[int] = (3, 5), seed: int = 0, dtype: torch.dtype = torch.float32
) -> nn.Parameter:
    return nn.Parameter(drawn(shape, 1000 + seed, dtype))


def walk(optimizer: Any, steps: Iterable[int]) -> list[Tensor]:
    """Step with gradients that depend on the step alone; return the weights after each."""
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    over_time = []
    for step in steps:
        for place, each in enumerate(parameters):
            each.grad = drawn(each.shape, 100 * step + place, each.dtype)
        optimizer.step()
        over_time.append(torch.cat([each.detach().flatten().clone() for each in parameters]))
    return over_time


def tensors_of(state: Any) -> list[Tensor]:
    """Every tensor of an optimizer's state, in the order of parameters and names."""
    return [each for kept in state.values() for _, each in sorted(kept.items())]


def assert_same_bits(ours: Iterable[Tensor], theirs: Iterable[Tensor]) -> None:
    torch.testing.assert_close(list(ours), list(theirs), rtol=0, atol=0, equal_nan=True)
