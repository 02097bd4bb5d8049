"""One call over R replicas with their own hyper-parameters is R separate runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from descentlab.errors import ConfigError
from descentlab.optim.adam import adam, adam_variance
from descentlab.optim.constant_variance import constant_variance
from descentlab.optim.emasign import emasign
from descentlab.optim.rmsprop import rmsprop
from descentlab.optim.sgd import sgd
from descentlab.optim.signsgd import signsgd
from descentlab.optim.signum import signum

Rule = Callable[..., tuple[Tensor, Any]]
DECAYS = [0.0, 0.5, 0.9]
EPSILONS = [0.0, 1e-2, 1.0]
HYPERS: dict[Rule, dict[str, list[float]]] = {
    adam: {"beta1": DECAYS, "beta2": [0.99, 0.5, 0.0], "eps": EPSILONS},
    rmsprop: {"beta": DECAYS, "eps": EPSILONS},
    adam_variance: {"beta": DECAYS, "eps": EPSILONS},
    signum: {"beta": DECAYS, "eps": EPSILONS, "coordinate_clip": [0.1, 0.5, 2.0]},
    constant_variance: {"beta": DECAYS, "variance": EPSILONS},
    emasign: {"beta": DECAYS},
    signsgd: {},
    sgd: {
        "momentum": DECAYS,
        "dampening": [0.9, 0.0, 0.5],
        "coordinate_clip": [0.1, 0.5, 2.0],
    },
}
REPLICAS = 3
CASES = [(rule, [name]) for rule, hypers in HYPERS.items() for name in hypers]
CASES += [(rule, list(hypers)) for rule, hypers in HYPERS.items()]


def random_gradients() -> Tensor:
    """``[K, R, 2, 3]``, drawn from seed 0."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(20, REPLICAS, 2, 3, dtype=torch.float64, generator=generator)


def directions(rule: Rule, gradients: Tensor, settings: dict[str, Any]) -> Tensor:
    state, over_time = None, []
    for gradient in gradients:
        direction, state = rule(gradient, state, **settings)
        over_time.append(direction)
    return torch.stack(over_time)


def variants(rule: Rule) -> list[dict[str, Any]]:
    """Every other setting that a rule takes."""
    if rule in (adam, adam_variance, rmsprop):
        plain = {"bias_correction": False}
        places = [{"eps_at": place} for place in ("inside", "uncorrected")]
        return [{}, *places, plain, {**plain, "init": "gradient"}]
    if rule is constant_variance:
        plain = {"bias_correction": False}
        return [{}, plain, {**plain, "init": "gradient"}]
    starts: list[dict[str, Any]] = [{"init": "zero"}, {"init": "gradient"}]
    if rule is sgd:
        return [*starts, {"nesterov": True}]
    return [{}] if rule is signsgd else starts


def test_every_hyper_parameter_of_every_rule_is_tried() -> None:
    for rule, hypers in HYPERS.items():
        arguments = inspect.signature(rule).parameters.values()
        assert {each.name for each in arguments if "Hyper" in each.annotation} == set(hypers)


@pytest.mark.parametrize(
    ("rule", "names"), CASES, ids=[f"{rule.__name__}-{'+'.join(names)}" for rule, names in CASES]
)
def test_replicas_at_once_equal_separate_runs(rule: Rule, names: list[str]) -> None:
    gradients = random_gradients()
    fixed = {name: values[0] for name, values in HYPERS[rule].items() if name not in names}
    own = {name: HYPERS[rule][name] for name in names}
    for variant in variants(rule):
        stacked = {name: torch.tensor(values, dtype=torch.float64) for name, values in own.items()}
        together = directions(rule, gradients, {**fixed, **variant, **stacked})
        for r in range(REPLICAS):
            alone = {name: values[r] for name, values in own.items()}
            separate = directions(rule, gradients[:, r], {**fixed, **variant, **alone})
            torch.testing.assert_close(together[:, r], separate, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("hyper_shape", "gradient_shape"), [([3], [2, 4]), ([2, 1], [2, 4]), ([1], []), ([4], [2, 4])]
)
@pytest.mark.parametrize(
    ("rule", "name"), [(rule, name) for rule, hypers in HYPERS.items() for name in hypers]
)
def test_wrong_replica_shape_is_refused(
    rule: Rule, name: str, hyper_shape: list[int], gradient_shape: list[int]
) -> None:
    settings: dict[str, Any] = {each: values[0] for each, values in HYPERS[rule].items()}
    settings[name] = torch.full(hyper_shape, 0.5)
    with pytest.raises(ConfigError) as refusal:
        rule(torch.ones(gradient_shape), None, **settings)
    assert f"got {hyper_shape} and {gradient_shape}" in str(refusal.value)


def test_tensor_without_dimensions_is_a_number() -> None:
    gradient = random_gradients()[0]
    from_tensor, _ = signum(gradient, None, beta=torch.tensor(0.5), eps=torch.tensor(0.25))
    from_number, _ = signum(gradient, None, beta=0.5, eps=0.25)
    assert torch.equal(from_tensor, from_number)
