"""Hyper-parameters outside their range are refused when an optimizer is made."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from descentlab.errors import ConfigError
from descentlab.optim import SGD, Adam, ConstantVariance, EMASign, RMSprop, SignSGD, Signum

NAN, INF = float("nan"), float("inf")
DECAY = ("[0, 1)", [-0.1, 1.0, 1.5, NAN, INF, -INF])
SIZE = ("[0, inf)", [-1e-8, NAN, INF, -INF])
RANGES: dict[type[torch.optim.Optimizer], dict[str, tuple[str, list[float]]]] = {
    Adam: {"lr": SIZE, "weight_decay": SIZE, "eps": SIZE, "beta": DECAY},
    RMSprop: {"lr": SIZE, "weight_decay": SIZE, "eps": SIZE, "alpha": DECAY},
    Signum: {"lr": SIZE, "weight_decay": SIZE, "eps": SIZE, "beta": DECAY},
    ConstantVariance: {"lr": SIZE, "weight_decay": SIZE, "variance": SIZE, "beta": DECAY},
    EMASign: {"lr": SIZE, "weight_decay": SIZE, "beta": DECAY},
    SignSGD: {"lr": SIZE, "weight_decay": SIZE},
    SGD: {
        "lr": SIZE,
        "weight_decay": SIZE,
        "momentum": DECAY,
        "dampening": SIZE,
        "coordinate_clip": SIZE,
    },
}
CASES = [
    pytest.param(made, name, value, allowed, id=f"{made.__name__}-{name}={value}")
    for made, ranges in RANGES.items()
    for name, (allowed, values) in ranges.items()
    for value in values
]


def one_parameter() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.zeros(2))]


@pytest.mark.parametrize(("made", "name", "value", "allowed"), CASES)
def test_value_outside_is_refused_with_what_is_allowed(
    made: type[torch.optim.Optimizer], name: str, value: float, allowed: str
) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError) as refusal:
        made(one_parameter(), **settings)
    message = str(refusal.value)
    assert message.startswith(name)
    assert f"got {value}" in message
    assert allowed in message


@pytest.mark.parametrize(
    ("betas", "culprit"), [((1.0, 0.9), "beta1"), ((0.9, NAN), "beta2"), ((0.9, -0.5), "beta2")]
)
def test_each_of_adams_betas_is_checked(betas: tuple[float, float], culprit: str) -> None:
    with pytest.raises(ConfigError, match=rf"{culprit}: got .*\[0, 1\)"):
        Adam(one_parameter(), betas=betas)


@pytest.mark.parametrize("made", RANGES)
def test_lower_ends_of_the_ranges_are_allowed(made: type[torch.optim.Optimizer]) -> None:
    settings: dict[str, Any] = dict.fromkeys(RANGES[made], 0.0)
    optimizer = made(one_parameter(), **settings)
    assert optimizer.param_groups[0]["lr"] == 0.0


@pytest.mark.parametrize("made", [Adam, RMSprop])
def test_a_start_at_the_gradient_has_no_bias_to_correct(made: type[Adam | RMSprop]) -> None:
    with pytest.raises(ConfigError, match="set bias_correction to false"):
        made(one_parameter(), init="gradient")


def test_beta_and_betas_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="beta, betas"):
        Adam(one_parameter(), beta=0.9, betas=(0.9, 0.9))


@pytest.mark.parametrize("setting", [{"lr": -1.0}, {"beta": 3.0}, {"init": "ones"}])
def test_a_group_of_its_own_is_checked_as_well(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        Signum([{"params": [torch.zeros(2, requires_grad=True)], **setting}])


def test_a_group_may_give_one_beta_for_both_averages() -> None:
    optimizer = Adam([{"params": one_parameter(), "beta": 0.5}, {"params": one_parameter()}])
    assert [group["betas"] for group in optimizer.param_groups] == [(0.5, 0.5), (0.95, 0.95)]
    with pytest.raises(ConfigError, match=r"beta1: got 1.5"):
        Adam([{"params": one_parameter(), "beta": 1.5}])
    with pytest.raises(ConfigError, match="not both"):
        Adam([{"params": one_parameter(), "beta": 0.5, "betas": (0.5, 0.5)}])
