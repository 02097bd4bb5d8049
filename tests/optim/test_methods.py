"""What a method's settings build."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest
import torch

from descentlab.errors import ConfigError
from descentlab.optim.methods import (
    AdamMethod,
    ConstantVarianceMethod,
    EMASignMethod,
    Method,
    RMSpropMethod,
    SGDMethod,
    SignSGDMethod,
    SignumMethod,
)

LR = 0.01
Build = tuple[Method, dict[str, Any], dict[str, Any]]
UNCORRECTED: dict[str, Any] = {"init": "gradient", "bias_correction": False}
ADAM, SHARED_BETA = AdamMethod(lr=LR, beta1=0.9, beta2=0.99), AdamMethod(lr=LR, beta=0.9)
RMSPROP, SIGNUM = RMSpropMethod(lr=LR, beta=0.9), SignumMethod(lr=LR, beta=0.9)
EMASIGN, SIGNSGD = EMASignMethod(lr=LR, beta=0.9), SignSGDMethod(lr=LR)
SGD = SGDMethod(lr=LR, beta=0.9, dampening=0.5)
CONSTANT = ConstantVarianceMethod(lr=LR, beta=0.9, variance=0.5)
COUPLED: dict[str, Any] = {"decay": "coupled"}
DECAYING = [
    msgspec.structs.replace(each, weight_decay=0.25)
    for each in (ADAM, RMSPROP, SIGNUM, EMASIGN, SIGNSGD, SGD)
]
# A method, settings changed in it, and what that changes in the optimizer's group.
BUILDS: list[Build] = [
    *[(each, {"lr": 0.5}, {"lr": 0.5}) for each in (ADAM, RMSPROP, SIGNUM, EMASIGN, SIGNSGD, SGD)],
    *[(each, {"eps": 0.5}, {"eps": 0.5}) for each in (ADAM, RMSPROP, SIGNUM)],
    *[(each, {"beta": 0.5}, {"beta": 0.5}) for each in (SIGNUM, EMASIGN)],
    (RMSPROP, {"beta": 0.5}, {"alpha": 0.5}),
    *[(each, UNCORRECTED, UNCORRECTED) for each in (ADAM, RMSPROP)],
    *[(each, {"init": "gradient"}, {"init": "gradient"}) for each in (SIGNUM, EMASIGN)],
    (ADAM, {"bias_correction": False}, {"bias_correction": False}),
    (RMSPROP, {"bias_correction": False}, {"bias_correction": False}),
    (ADAM, {"beta1": 0.5}, {"betas": (0.5, 0.99)}),
    (ADAM, {"beta2": 0.5}, {"betas": (0.9, 0.5)}),
    (SHARED_BETA, {"beta": 0.5}, {"betas": (0.5, 0.5)}),
    (CONSTANT, {"lr": 0.5, "beta": 0.5}, {"lr": 0.5, "beta": 0.5}),
    (CONSTANT, {"variance": 0.25}, {"variance": 0.25}),
    (CONSTANT, {"bias_correction": False}, {"bias_correction": False}),
    (SGD, {"beta": 0.5}, {"momentum": 0.5}),
    (SGD, {"dampening": 0.25}, {"dampening": 0.25}),
    (SGD, {"dampening": None}, {"dampening": 0.9}),
    (SGD, {"coordinate_clip": 2.0}, {"coordinate_clip": 2.0}),
    (SGD, {"init": "zero"}, {"init": "zero"}),
    *[(each, COUPLED, {"decoupled_weight_decay": False}) for each in DECAYING],
]


def group_of(method: Method) -> dict[str, Any]:
    weight = torch.nn.Parameter(torch.zeros(1))
    (group,) = method.build([{"params": [weight], "weight_decay": 0.25}]).param_groups
    return {name: value for name, value in group.items() if name != "params"}


@pytest.mark.parametrize(("method", "change", "effect"), BUILDS, ids=str)
def test_build_passes_a_setting_on(
    method: Method, change: dict[str, Any], effect: dict[str, Any]
) -> None:
    before, after = group_of(method), group_of(msgspec.structs.replace(method, **change))
    assert {name: after[name] for name in after if after[name] != before[name]} == effect
    assert after["weight_decay"] == 0.25  # the group's own, not the method's


def test_every_setting_of_every_method_is_among_those() -> None:
    # The loop takes the weight decay to the groups, and clips; relative is tested below.
    elsewhere = {"weight_decay", "clip_norm", "relative"}
    for kind in {type(method) for method, _, _ in BUILDS}:
        tried = {name for method, change, _ in BUILDS if type(method) is kind for name in change}
        assert tried == {field.name for field in msgspec.structs.fields(kind)} - elsewhere


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"beta": 0.9, "beta1": 0.9}, "not both"),
        ({"beta1": 0.9}, "missing a setting"),
        ({}, "missing a setting"),
        ({"beta": 0.9, "init": "gradient"}, "set bias_correction to false"),
    ],
)
def test_adam_refuses_contradictory_settings(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        AdamMethod(lr=LR, **settings)


def test_methods_are_free_of_torch_until_they_are_built() -> None:
    code = "import sys, descentlab.optim.methods; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def two_tensors(**numbers: float) -> torch.optim.Optimizer:
    first, second = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    group = {"params": [first, second], "param_names": ["first", "second"], "weight_decay": 0.25}
    return msgspec.structs.replace(CONSTANT, relative=numbers).build([group])


def test_each_tensor_gets_its_own_constant() -> None:
    groups = two_tensors(second=0.5, first=4.0).param_groups
    assert [group["param_names"] for group in groups] == [["first"], ["second"]]
    assert [group["variance"] for group in groups] == [2.0, 0.25]
    assert [group["weight_decay"] for group in groups] == [0.25, 0.25]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"first": 1.0}, "relative: has no number for the parameter second"),
        ({"first": 1.0, "second": 1.0, "secnd": 1.0}, "relative.secnd: did you mean second"),
    ],
)
def test_a_constant_for_every_tensor_and_for_no_other(numbers: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        two_tensors(**numbers)
