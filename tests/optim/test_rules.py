"""Rules and optimizers against float loops, and against torch where torch has the method."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from oracles import optimizers as oracle

from descentlab.optim import SGD, Adam, ConstantVariance, EMASign, RMSprop, SignSGD, Signum
from descentlab.optim.adam import adam, adam_variance
from descentlab.optim.constant_variance import constant_variance
from descentlab.optim.emasign import emasign
from descentlab.optim.rmsprop import rmsprop
from descentlab.optim.sgd import sgd
from descentlab.optim.signsgd import signsgd
from descentlab.optim.signum import signum

STEPS = 50
LRS = [0.01 + 0.02 * math.sin(k) ** 2 for k in range(STEPS)]
WEIGHT_DECAY = 0.3

Parts = tuple[Callable[..., Any], Callable[..., Any], Callable[..., list[float]]]
METHODS: dict[str, Parts] = {
    "adam": (adam, Adam, oracle.adam),
    "adam_variance": (adam_variance, Adam, oracle.adam_variance),
    "rmsprop": (rmsprop, RMSprop, oracle.rmsprop),
    "signum": (signum, Signum, oracle.signum),
    "constant_variance": (constant_variance, ConstantVariance, oracle.constant_variance),
    "emasign": (emasign, EMASign, oracle.emasign),
    "signsgd": (signsgd, SignSGD, oracle.signsgd),
    "sgd": (sgd, SGD, oracle.sgd),
}
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("adam", {"beta1": 0.9, "beta2": 0.99}),
    ("adam", {"beta1": 0.95, "beta2": 0.95, "eps": 0.1}),
    ("adam", {"beta1": 0.9, "beta2": 0.8, "bias_correction": False}),
    ("adam", {"beta1": 0.9, "beta2": 0.8, "bias_correction": False, "init": "gradient"}),
    ("adam", {"beta1": 0.0, "beta2": 0.0}),
    ("adam", {"beta1": 0.9, "beta2": 0.99, "eps": 0.1, "eps_at": "inside"}),
    ("adam", {"beta1": 0.9, "beta2": 0.99, "eps": 0.1, "eps_at": "uncorrected"}),
    ("adam_variance", {"beta": 0.9}),
    ("adam_variance", {"beta": 0.95, "eps": 0.1, "eps_at": "inside"}),
    ("adam_variance", {"beta": 0.95, "eps": 0.1, "eps_at": "uncorrected"}),
    ("adam_variance", {"beta": 0.9, "bias_correction": False}),
    ("adam_variance", {"beta": 0.9, "bias_correction": False, "init": "gradient"}),
    ("rmsprop", {"beta": 0.9}),
    ("rmsprop", {"beta": 0.9, "eps": 0.1, "bias_correction": False}),
    ("rmsprop", {"beta": 0.9, "bias_correction": False, "init": "gradient"}),
    ("signum", {"beta": 0.9}),
    ("signum", {"beta": 0.9, "init": "gradient"}),
    ("signum", {"beta": 0.9, "eps": 0.05}),
    ("signum", {"beta": 0.9, "eps": 0.05, "init": "gradient"}),
    ("signum", {"beta": 0.9, "coordinate_clip": 0.2}),
    ("signum", {"beta": 0.9, "coordinate_clip": 0.2, "eps": 0.05, "init": "gradient"}),
    ("constant_variance", {"beta": 0.9, "variance": 0.01}),
    ("constant_variance", {"beta": 0.9, "variance": 0.0}),
    ("constant_variance", {"beta": 0.9, "variance": 2.0, "bias_correction": False}),
    (
        "constant_variance",
        {"beta": 0.9, "variance": 0.01, "bias_correction": False, "init": "gradient"},
    ),
    ("emasign", {"beta": 0.9}),
    ("emasign", {"beta": 0.9, "init": "gradient"}),
    ("signsgd", {}),
    ("sgd", {"momentum": 0.0}),
    ("sgd", {"momentum": 0.0, "dampening": 0.5}),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.9, "nesterov": True, "dampening": 0.0, "init": "zero"}),
    ("sgd", {"momentum": 0.9, "nesterov": True, "dampening": 0.2, "coordinate_clip": 0.5}),
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "init": "zero"}),
    ("sgd", {"momentum": 0.9, "dampening": 0.0}),
    ("sgd", {"momentum": 0.9, "dampening": 0.0, "init": "zero"}),
    ("sgd", {"momentum": 0.9, "dampening": 0.3, "coordinate_clip": 0.5}),
    ("sgd", {"momentum": 0.9, "coordinate_clip": 0.1, "init": "zero"}),
]
every_setting = pytest.mark.parametrize(
    ("name", "settings"), SETTINGS, ids=[f"{name}-{settings}" for name, settings in SETTINGS]
)


def problem(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """First weights ``[2, 4]`` and gradients ``[K, 2, 4]``, with zeros and many scales."""
    random = np.random.default_rng(seed)
    gradients = random.normal(size=(STEPS, 2, 4)) * 10 ** random.uniform(-3, 2, size=(2, 4))
    gradients += 0.5 * np.abs(gradients).mean(0)
    gradients[random.random(gradients.shape) < 0.1] = 0.0
    gradients[:, 0, 0] = 0.0
    return torch.tensor(random.normal(size=(2, 4))), torch.tensor(gradients)


def expected(name: str, settings: dict[str, Any]) -> torch.Tensor:
    """The weights ``[K, 2, 4]`` after each step, by the float loop."""
    start, gradients = problem()
    directions = functools.partial(METHODS[name][2], **settings)
    weights = oracle.weights_over_time(
        directions,
        start.flatten().numpy(),
        gradients.flatten(1).numpy(),
        LRS,
        WEIGHT_DECAY,
    )
    return torch.tensor(weights).view_as(gradients)


def descend(
    optimizer: torch.optim.Optimizer, gradients: torch.Tensor, lrs: list[float]
) -> torch.Tensor:
    """The weights after each step of an optimizer with a single parameter."""
    (group,) = optimizer.param_groups
    (weights,) = group["params"]
    over_time = []
    for gradient, lr in zip(gradients, lrs, strict=True):
        group["lr"] = lr
        weights.grad = gradient.clone()
        optimizer.step()
        over_time.append(weights.detach().clone())
    return torch.stack(over_time)


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(problem()[0])


@every_setting
def test_rule_gives_the_directions_of_the_float_loop(name: str, settings: dict[str, Any]) -> None:
    rule = METHODS[name][0]
    weights, gradients = problem()
    state, over_time = None, []
    for gradient, lr in zip(gradients, LRS, strict=True):
        direction, state = rule(gradient, state, **settings)
        weights = weights * (1 - lr * WEIGHT_DECAY) - lr * direction
        over_time.append(weights)
    torch.testing.assert_close(
        torch.stack(over_time), expected(name, settings), rtol=1e-12, atol=1e-12
    )


@every_setting
def test_optimizer_gives_the_weights_of_the_float_loop(name: str, settings: dict[str, Any]) -> None:
    settings_of_class = dict(settings)
    if name == "adam":
        betas = (settings_of_class.pop("beta1"), settings_of_class.pop("beta2"))
        settings_of_class["betas"] = betas
    elif name == "adam_variance":
        settings_of_class["form"] = "variance"
    elif name == "rmsprop":
        settings_of_class["alpha"] = settings_of_class.pop("beta")
    optimizer = METHODS[name][1]([parameter()], weight_decay=WEIGHT_DECAY, **settings_of_class)
    weights = descend(optimizer, problem()[1], LRS)
    torch.testing.assert_close(weights, expected(name, settings), rtol=1e-12, atol=1e-12)


def assert_same_iterates(ours: torch.optim.Optimizer, theirs: torch.optim.Optimizer) -> None:
    gradients = problem()[1]
    torch.testing.assert_close(
        descend(ours, gradients, LRS), descend(theirs, gradients, LRS), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.95, 0.95), (0.0, 0.5)])
@pytest.mark.parametrize("eps", [1e-8, 0.1])
def test_adam_is_torchs_adamw(betas: tuple[float, float], eps: float) -> None:
    assert_same_iterates(
        Adam([parameter()], betas=betas, eps=eps, weight_decay=0.1),
        torch.optim.AdamW([parameter()], betas=betas, eps=eps, weight_decay=0.1),
    )


def test_rmsprop_is_torchs_adamw_without_momentum() -> None:
    assert_same_iterates(
        RMSprop([parameter()], alpha=0.9, weight_decay=0.1),
        torch.optim.AdamW([parameter()], betas=(0.0, 0.9), weight_decay=0.1),
    )


def test_rmsprop_is_adam_with_beta1_zero() -> None:
    ours, adams = [
        descend(optimizer, problem()[1], LRS)
        for optimizer in (
            RMSprop([parameter()], alpha=0.9, eps=0.01),
            Adam([parameter()], betas=(0.0, 0.9), eps=0.01),
        )
    ]
    torch.testing.assert_close(ours, adams, rtol=1e-15, atol=0)


# Without momentum torch ignores the dampening, so there it can only be zero.
@pytest.mark.parametrize(
    ("momentum", "dampening", "nesterov"),
    [(0.0, 0.0, False), (0.9, 0.0, False), (0.9, 0.3, False), (0.9, 0.9, False), (0.9, 0.0, True)],
)
def test_sgd_is_torchs_sgd(momentum: float, dampening: float, nesterov: bool) -> None:
    settings: dict[str, Any] = {
        "momentum": momentum,
        "dampening": dampening,
        "nesterov": nesterov,
        "weight_decay": 0.1,
    }
    assert_same_iterates(
        SGD([parameter()], decoupled_weight_decay=False, **settings),
        torch.optim.SGD([parameter()], lr=1.0, **settings),
    )


@pytest.mark.parametrize("eps", [1e-8, 0.1])
def test_adam_with_coupled_decay_is_torchs_adam(eps: float) -> None:
    assert_same_iterates(
        Adam(
            [parameter()],
            betas=(0.9, 0.99),
            eps=eps,
            weight_decay=0.1,
            decoupled_weight_decay=False,
        ),
        torch.optim.Adam([parameter()], betas=(0.9, 0.99), eps=eps, weight_decay=0.1),
    )


def test_uncorrected_rmsprop_with_coupled_decay_is_torchs_rmsprop() -> None:
    assert_same_iterates(
        RMSprop(
            [parameter()],
            alpha=0.9,
            weight_decay=0.1,
            bias_correction=False,
            decoupled_weight_decay=False,
        ),
        torch.optim.RMSprop([parameter()], alpha=0.9, weight_decay=0.1),
    )
