"""Groups of parameters: each as if it had an optimizer of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from optim.contract.cases import (
    MAIN,
    OPTIMIZERS,
    Case,
    assert_same_bits,
    drawn,
    every_implementation,
    every_method,
    every_optimizer,
    parameter,
    tensors_of,
    walk,
)
from torch import nn

from descentlab.errors import ConfigError
from descentlab.optim import SGD, Adam, ConstantVariance, EMASign, RMSprop, SignSGD, Signum
from descentlab.optim.methods import Implementation

OWN: dict[type[Any], dict[str, Any]] = {
    Adam: {"betas": (0.5, 0.7), "eps": 0.1, "eps_at": "inside"},
    RMSprop: {"alpha": 0.5, "eps": 0.1, "bias_correction": False, "init": "gradient"},
    Signum: {"beta": 0.5, "eps": 0.1, "coordinate_clip": 0.3},
    ConstantVariance: {"beta": 0.5, "variance": 0.1, "bias_correction": False},
    EMASign: {"beta": 0.5, "init": "gradient"},
    SignSGD: {"decoupled_weight_decay": False},
    SGD: {"momentum": 0.5, "dampening": 0.1, "nesterov": True},
}
SHARED: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.4, "maximize": True}
TWO = [(case, {**OWN[case.kind], **SHARED}) for case in MAIN if case.name != "AdamVariance"]
# The form of Adam's state may differ between groups.
TWO += [(Case("Forms", Adam, {"betas": (0.9, 0.9)}), {"form": "variance", "eps": 0.1})]


def feed(parameters: list[nn.Parameter], step: int) -> None:
    for place, each in enumerate(parameters):
        each.grad = drawn(each.shape, 100 * step + place)


@pytest.mark.parametrize("added_later", [False, True])
@every_implementation
@pytest.mark.parametrize(("case", "own"), TWO, ids=[case.name for case, _ in TWO])
def test_two_groups_are_two_optimizers(
    case: Case, own: dict[str, Any], implementation: Implementation, added_later: bool
) -> None:
    one = [parameter((3, 5), n) for n in range(4)]
    two = [parameter((3, 5), n) for n in range(4)]
    if added_later:
        together = case.build(one[:2], implementation=implementation)
        together.add_param_group({"params": one[2:], **own})
    else:
        groups = [{"params": one[:2]}, {"params": iter(one[2:]), **own}]
        together = case.build(groups, implementation=implementation)
    first = case.build(two[:2], implementation=implementation)
    second = case.build(two[2:], implementation=implementation, **own)
    for step in range(5):
        feed(one, step)
        feed(two, step)
        for optimizer in (together, first, second):
            optimizer.step()
    assert_same_bits(one, two)
    kept = [*tensors_of(first.state), *tensors_of(second.state)]
    assert_same_bits(tensors_of(together.state), kept)


@every_method
def test_a_group_added_between_steps_begins_then(case: Case) -> None:
    """Its averages and its bias correction start at its own first step."""
    early, late, alone = parameter(seed=1), parameter(seed=2), parameter(seed=2)
    optimizer = case.build([early])
    walk(optimizer, range(3))
    optimizer.add_param_group({"params": late})
    other = case.build([alone])
    for step in range(3, 6):
        feed([early, late], step)
        assert late.grad is not None
        alone.grad = late.grad.clone()
        optimizer.step()
        other.step()
    assert_same_bits([late], [alone])


@every_optimizer
def test_a_group_takes_one_tensor_names_and_numbers_of_its_own(kind: type[Any]) -> None:
    named = [("a.weight", parameter()), ("b.weight", parameter())]
    optimizer = kind([{"params": named, "lr": 0.5}])
    assert optimizer.param_groups[0]["param_names"] == ["a.weight", "b.weight"]
    optimizer.add_param_group({"params": [("c", parameter())]})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 1e-3]
    optimizer = kind(dict(named).values())
    optimizer.add_param_group({"params": parameter(), "weight_decay": 0.25})
    assert optimizer.param_groups[1]["weight_decay"] == 0.25


NAN, INF = float("nan"), float("inf")
DECAY = "[0, 1)"
SIZE = "[0, inf)"
WRONG: dict[type[Any], list[tuple[dict[str, Any], str]]] = {
    Adam: [({"betas": (0.9, 1.0)}, DECAY), ({"betas": (-0.1, 0.9)}, DECAY), ({"eps": NAN}, SIZE)],
    RMSprop: [({"alpha": 1.0}, DECAY), ({"eps": -1e-8}, SIZE)],
    Signum: [({"beta": 1.5}, DECAY), ({"coordinate_clip": -1.0}, SIZE), ({"eps": INF}, SIZE)],
    ConstantVariance: [({"beta": -0.5}, DECAY), ({"variance": -1e-8}, SIZE)],
    EMASign: [({"beta": NAN}, DECAY)],
    SignSGD: [],
    SGD: [({"momentum": 1.0}, DECAY), ({"dampening": -0.5}, SIZE), ({"dampening": INF}, SIZE)],
}
EVERYWHERE: list[tuple[dict[str, Any], str]] = [
    ({name: value}, SIZE)
    for name in ("lr", "weight_decay", "clip_norm")
    for value in (NAN, INF, -0.1)
]
RANGES = [
    pytest.param(kind, setting, allowed, id=f"{kind.__name__}-{setting}")
    for kind in OPTIMIZERS
    for setting, allowed in [*EVERYWHERE, *WRONG[kind]]
]


def forms(setting: dict[str, Any]) -> list[dict[str, Any]]:
    """The number, the tensor of it, and a tensor over replicas of which one is wrong."""
    ((name, value),) = setting.items()

    def as_tensor(each: float) -> torch.Tensor:
        return torch.tensor(each)

    def over_replicas(each: float) -> torch.Tensor:
        return torch.tensor([0.5, each, 0.5])

    made = [setting]
    for tensor in (as_tensor, over_replicas):
        several = isinstance(value, tuple)
        made.append({name: tuple(map(tensor, value)) if several else tensor(value)})
    return made


@pytest.mark.parametrize(("kind", "setting", "allowed"), RANGES)
def test_what_lies_outside_its_range_is_refused_wherever_it_stands(
    kind: type[Any], setting: dict[str, Any], allowed: str
) -> None:
    for given in forms(setting):
        name = next(iter(given)).removesuffix("s")
        optimizer = kind([parameter((3, 4))])
        for build in (
            lambda given=given: kind([parameter((3, 4))], **given),
            lambda given=given: kind([{"params": [parameter((3, 4))], **given}]),
            lambda given=given, optimizer=optimizer: optimizer.add_param_group(
                {"params": [parameter((3, 4))], **given}
            ),
        ):
            with pytest.raises(ConfigError) as refusal:
                build()
            assert str(refusal.value).startswith(name)
            assert allowed in str(refusal.value)
            assert "got" in str(refusal.value)
        assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize(
    ("kind", "setting", "named"),
    [
        (Adam, {"betas": 0.9}, "betas"),
        (Adam, {"betas": (0.9,)}, "betas"),
        (Adam, {"betas": (0.9, 0.9, 0.9)}, "betas"),
        (Adam, {"betas": (0.9, 0.8), "form": "variance"}, "betas"),
        (Adam, {"eps": None}, "eps"),
        (Adam, {"form": "variances"}, "variance"),
        (Adam, {"eps_at": "insde"}, "inside"),
        (RMSprop, {"alpha": None}, "alpha"),
        (RMSprop, {"init": "gradient"}, "bias_correction"),
        (ConstantVariance, {"variance": None}, "variance"),
        (ConstantVariance, {"init": "gradient"}, "bias_correction"),
        (Signum, {"init": "ones"}, "init"),
        (SGD, {"momentum": None}, "momentum"),
        (SGD, {"lr": None}, "lr"),
        (SignSGD, {"weight_decay": None}, "weight_decay"),
        (EMASign, {"lr": "0.1"}, "lr"),
        (EMASign, {"lr": torch.full((2, 2), 0.1)}, "lr"),
        (Signum, {"implementation": "compile"}, "compiled"),
        (SGD, {"maximize": "no"}, "maximize"),
        (Signum, {"lr": True}, "lr"),
    ],
)
def test_what_makes_no_sense_is_refused_at_construction(
    kind: type[Any], setting: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        kind([parameter()], **setting)


@every_optimizer
def test_lower_ends_are_allowed(kind: type[Any]) -> None:
    numbers = {
        name: 0.0
        for name, value in kind([parameter()]).defaults.items()
        if type(value) is float or value is None
    }
    assert kind([parameter()], **numbers).defaults["lr"] == 0.0


@every_optimizer
def test_params_are_checked_as_torch_checks_them(kind: type[Any]) -> None:
    leaf = parameter()
    for given, error in (
        ([], ValueError),
        ([{"params": [leaf * 2]}], ValueError),
        ([{"params": {leaf}}], TypeError),
        (leaf, TypeError),
        ([{"params": ["weight"]}], TypeError),
        ([{"params": [leaf]}, {"params": [leaf]}], ValueError),
    ):
        for made in (kind, torch.optim.AdamW):
            with pytest.raises(error):
                made(given)


@pytest.mark.parametrize(
    "listed",
    [
        lambda one: [one, one],
        lambda one: [("a", one), ("b", one)],
        lambda one: [{"params": [one, one]}],
        lambda one: [{"params": [one]}, {"params": one}],
    ],
)
@every_optimizer
def test_a_parameter_listed_twice_is_refused(kind: type[Any], listed: Any) -> None:
    with pytest.raises(ValueError, match=r"twice|more than one"):
        kind(listed(parameter()))


@every_optimizer
def test_complex_parameters_are_refused(kind: type[Any]) -> None:
    complex_one = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    for given in ([complex_one], [("name", complex_one)], [{"params": complex_one}]):
        with pytest.raises(ConfigError, match=r"\[2\].*complex64"):
            kind(given)
    optimizer = kind([parameter()])
    with pytest.raises(ConfigError):
        optimizer.add_param_group({"params": [complex_one]})
    assert len(optimizer.param_groups) == 1
