"""A tensor without dimensions is its number; one of shape [R] is R optimizers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from optim.contract.cases import (
    CASES,
    IMPLEMENTATIONS,
    OPTIMIZERS,
    Case,
    assert_same_bits,
    drawn,
    every_case,
    every_implementation,
    parameter,
    tensors_of,
    walk,
)
from torch import Tensor, nn

from descentlab.errors import ConfigError
from descentlab.optim import SGD, Adam, ConstantVariance, EMASign, RMSprop, SignSGD, Signum
from descentlab.optim.methods import Implementation

REPLICAS = 3
SHAPES = ((REPLICAS, 4), (REPLICAS, 2, 5), (REPLICAS,))
SHARED: dict[str, list[float]] = {
    "lr": [0.01, 0.03, 0.1],
    "weight_decay": [0.0, 0.1, 0.3],
    "clip_norm": [0.5, 3.0, 1e9],
}
DECAYS, EPSILONS, LIMITS = [0.5, 0.9, 0.8], [1e-2, 0.1, 1.0], [0.1, 0.5, 2.0]
VALUES: dict[type[Any], dict[str, list[float]]] = {
    Adam: {**SHARED, "beta": DECAYS, "eps": EPSILONS},
    RMSprop: {**SHARED, "alpha": DECAYS, "eps": EPSILONS},
    Signum: {**SHARED, "beta": DECAYS, "eps": EPSILONS, "coordinate_clip": LIMITS},
    ConstantVariance: {**SHARED, "beta": DECAYS, "variance": EPSILONS},
    EMASign: {**SHARED, "beta": DECAYS},
    SignSGD: SHARED,
    SGD: {
        **SHARED,
        "momentum": [0.0, 0.9, 0.5],
        "dampening": [0.0, 0.5, 0.3],
        "coordinate_clip": LIMITS,
    },
}
VARIANTS: dict[type[Any], dict[str, dict[str, Any]]] = {
    Adam: {"variance": {"form": "variance"}, "inside": {"eps_at": "inside"}},
    RMSprop: {"beside": {"eps_at": "uncorrected"}},
    Signum: {"from_gradient": {"init": "gradient"}},
    ConstantVariance: {"uncorrected": {"bias_correction": False}},
    EMASign: {"from_gradient": {"init": "gradient"}},
    SignSGD: {"coupled": {"decoupled_weight_decay": False}},
    SGD: {"nesterov": {"nesterov": True}, "from_zero": {"init": "zero"}},
}
ALONE = [(kind, [name], {}) for kind in OPTIMIZERS for name in VALUES[kind]]
ALL = [
    (kind, list(VALUES[kind]), fixed)
    for kind in OPTIMIZERS
    for fixed in ({}, *VARIANTS[kind].values())
]


def replicated(
    kind: type[Any], names: list[str], fixed: dict[str, Any], dtypes: list[torch.dtype], by: str
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Weights ``[K, R, N]`` of one optimizer over replicas, of R optimizers; and the state."""
    of_weights, of_hypers = dtypes
    values = {name: torch.tensor(VALUES[kind][name], dtype=of_hypers) for name in names}
    # Elsewhere numbers, among them the momentum that the dampening and the like need.
    rest = {name: each[1] for name, each in VALUES[kind].items() if name not in names}
    rest = {**rest, **fixed}
    stacked = [parameter(each, n, of_weights) for n, each in enumerate(SHAPES)]
    stacked.append(nn.Parameter(parameter((2, REPLICAS), 9, of_weights).detach().mT))
    separate = [[nn.Parameter(each.detach()[r].clone()) for each in stacked] for r in range(3)]
    together = kind(stacked, implementation=by, **rest, **values)
    alone = [
        kind(
            separate[r],
            implementation="reference",
            **rest,
            **{name: each[r].item() for name, each in values.items()},
        )
        for r in range(REPLICAS)
    ]
    over_time: tuple[list[Tensor], list[Tensor]] = ([], [])
    for step in range(10):
        for n, each in enumerate(stacked):
            gradient = drawn(each.shape, 100 * step + n, of_weights)
            each.grad = torch.empty_like(each).copy_(gradient)  # laid out as the weights are
            for r in range(REPLICAS):
                separate[r][n].grad = each.grad[r].clone()
        for optimizer in (together, *alone):
            optimizer.step()
        flat = [each.detach().reshape(REPLICAS, -1) for each in stacked]
        over_time[0].append(torch.cat(flat, dim=1))
        ones = [torch.cat([each.detach().flatten() for each in those]) for those in separate]
        over_time[1].append(torch.stack(ones))
    return torch.stack(over_time[0]), torch.stack(over_time[1]), tensors_of(together.state)


@pytest.mark.parametrize(
    ("kind", "names", "fixed"),
    [*ALONE, *ALL],
    ids=[f"{kind.__name__}-{'+'.join(names)}-{fixed}" for kind, names, fixed in [*ALONE, *ALL]],
)
@every_implementation
def test_one_per_replica_is_as_many_optimizers(
    kind: type[Any], names: list[str], fixed: dict[str, Any], implementation: Implementation
) -> None:
    types = [torch.float64, torch.float64]
    together, separate, _ = replicated(kind, names, fixed, types, implementation)
    torch.testing.assert_close(together, separate, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(separate[-1][0][:4], separate[-1][1][:4])


@pytest.mark.parametrize(
    "types",
    [
        [torch.float32, torch.float32],
        [torch.float32, torch.float64],
        [torch.float64, torch.float32],
        [torch.bfloat16, torch.float64],
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", OPTIMIZERS)
@every_implementation
def test_types_of_weights_and_of_hyper_parameters_may_differ(
    kind: type[Any], types: list[torch.dtype], implementation: Implementation
) -> None:
    together, separate, state = replicated(kind, list(VALUES[kind]), {}, types, implementation)
    # Float32 hyper-parameters carry 1−β^k with a few units of their last digit.
    rtol = {torch.bfloat16: 8e-3, torch.float32: 1e-5, torch.float64: 1e-5}[types[0]]
    torch.testing.assert_close(together, separate, rtol=rtol, atol=1e-6)
    wide = torch.promote_types(types[0], torch.float32)
    assert {each.dtype for each in state if each.dim()} <= {wide}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_each_replica_is_clipped_by_its_own_norm(implementation: Implementation) -> None:
    weights = nn.Parameter(torch.zeros(2, 2))
    optimizer = SGD([weights], lr=1.0, clip_norm=torch.tensor([1.0, 10.0]))
    weights.grad = torch.tensor([[3.0, 4.0], [6.0, 8.0]])
    optimizer.step()
    torch.testing.assert_close(weights.detach(), torch.tensor([[-0.6, -0.8], [-6.0, -8.0]]))
    torch.testing.assert_close(optimizer.gradient_norm, torch.tensor([5.0, 10.0]))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_replicas_are_cut_among_threads(threads: int) -> None:
    before = torch.get_num_threads()
    rates = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    together = parameter((REPLICAS, 20_011))
    separate = [nn.Parameter(each.clone()) for each in together.detach()]
    optimizer = Signum([together], lr=rates, implementation="compiled")
    others = [
        Signum([each], implementation="reference", lr=lr)
        for each, lr in zip(separate, rates.tolist(), strict=True)
    ]
    torch.set_num_threads(threads)
    try:
        for step in range(3):
            together.grad = drawn(together.shape, step)
            for each, gradient in zip(separate, together.grad, strict=True):
                each.grad = gradient.clone()
            for each in (optimizer, *others):
                each.step()
    finally:
        torch.set_num_threads(before)
    # The first step promotes to the float64 of the rates: a rounding of float32 more or less.
    expected = torch.cat([each.detach() for each in separate]).view_as(together)
    torch.testing.assert_close(together.detach(), expected, rtol=1e-6, atol=1e-7)


@every_implementation
@pytest.mark.parametrize("shape", [(2, 3), (), (1,)], ids=str)
def test_other_numbers_of_replicas_are_refused(
    shape: tuple[int, ...], implementation: Implementation
) -> None:
    weights = parameter(shape)
    optimizer = Adam([weights], lr=torch.full((3,), 0.1), implementation=implementation)
    with pytest.raises(ConfigError, match=r"shape mismatch.*\[3\]"):
        walk(optimizer, range(2))


def as_tensors(settings: dict[str, Any]) -> dict[str, Any]:
    def made(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(made, value))
        return torch.tensor(value, dtype=torch.float64) if type(value) is float else value

    return {name: made(value) for name, value in settings.items()}


@every_case
@every_implementation
def test_a_tensor_without_dimensions_is_its_number(
    case: Case, implementation: Implementation
) -> None:
    numbers = {"lr": 0.03, **case.settings}
    made = [
        case.kind([parameter(), parameter((), 1)], implementation=implementation, **settings)
        for settings in (numbers, as_tensors(numbers))
    ]
    assert_same_bits(*(walk(optimizer, range(4)) for optimizer in made))
    assert_same_bits(*(tensors_of(optimizer.state) for optimizer in made))


CHANGES = [
    (Adam, "lr", 0.1, 0.01),
    (Adam, "weight_decay", 0.1, 0.0),
    (Adam, "clip_norm", 0.1, 10.0),
    (Signum, "eps", 0.1, 0.0),
    (Signum, "beta", 0.5, 0.0),
    (SGD, "momentum", 0.9, 0.0),
    (SGD, "momentum", 0.0, 0.9),
    (SGD, "lr", 0.1, 0.0),
]


@pytest.mark.parametrize(("kind", "name", "before", "after"), CHANGES)
@every_implementation
def test_filling_the_tensor_is_setting_the_number(
    kind: type[Any], name: str, before: float, after: float, implementation: Implementation
) -> None:
    held = torch.tensor(before, dtype=torch.float64)
    by_tensor = kind([parameter()], implementation=implementation, **{name: held})
    by_number = kind([parameter()], implementation=implementation, **{name: before})
    first = walk(by_tensor, range(3)), walk(by_number, range(3))
    assert_same_bits(*first)
    held.fill_(after)
    by_number.param_groups[0][name] = after
    second = walk(by_tensor, range(3, 6)), walk(by_number, range(3, 6))
    assert_same_bits(*second)


def test_the_table_names_every_number_of_every_optimizer() -> None:
    for kind in OPTIMIZERS:
        group = kind([parameter()]).param_groups[0]
        switches = {"params", "maximize", "decoupled_weight_decay", "init", "nesterov"}
        switches |= {"bias_correction", "eps_at", "form", "implementation"}
        named = {"beta" if name == "betas" else name for name in set(group) - switches}
        assert named == set(VALUES[kind])
        assert {case.kind for case in CASES} == set(VALUES)
