"""Precision of the state, resuming from it, and what a step leaves alone."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from descentlab.optim import SGD, Adam, EMASign, RMSprop, SignSGD, Signum

Make = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "adam": lambda parameters: Adam(parameters, weight_decay=0.1),
    "adam-gradient": lambda parameters: Adam(parameters, bias_correction=False, init="gradient"),
    "rmsprop": lambda parameters: RMSprop(parameters),
    "signum": lambda parameters: Signum(parameters, eps=1e-3),
    "emasign": lambda parameters: EMASign(parameters),
    "signsgd": lambda parameters: SignSGD(parameters),
    "sgd": lambda parameters: SGD(parameters, momentum=0.9, coordinate_clip=0.5),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


def random(seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 3, generator=generator, dtype=torch.float32).to(dtype)


def steps(optimizer: torch.optim.Optimizer, weight: nn.Parameter, seeds: range) -> None:
    for seed in seeds:
        weight.grad = random(seed, weight.dtype)
        optimizer.step()


@every_optimizer
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_state_is_at_least_float32_and_weights_keep_their_type(
    make: Make, dtype: torch.dtype
) -> None:
    weight = nn.Parameter(random(0, dtype))
    optimizer = make([weight])
    steps(optimizer, weight, range(1, 3))
    state = optimizer.state[weight]
    tensors = [each for name, each in state.items() if name != "step"]
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert {each.dtype for each in tensors} <= {wide}
    assert weight.dtype == dtype


@every_optimizer
def test_torchs_default_type_changes_no_step(make: Make) -> None:
    def trained() -> Tensor:
        weight = nn.Parameter(random(0, torch.float64))
        steps(make([weight]), weight, range(1, 6))
        return weight.detach()

    usual = trained()
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(trained(), usual)
    finally:
        torch.set_default_dtype(default)


def test_state_of_bf16_weights_averages_with_float32_precision() -> None:
    weight = nn.Parameter(random(0, torch.bfloat16))
    optimizer = Signum([weight], beta=0.99)
    steps(optimizer, weight, range(1, 50))
    m = torch.zeros(4, 3, dtype=torch.float64)
    for seed in range(1, 50):
        m = 0.99 * m + 0.01 * random(seed, torch.bfloat16).double()
    # Thousands of times finer than the 2⁻⁸ that bfloat16 resolves.
    torch.testing.assert_close(optimizer.state[weight]["exp_avg"].double(), m, rtol=1e-5, atol=1e-7)


@every_optimizer
def test_saved_state_goes_on_with_the_same_bits(make: Make) -> None:
    straight = nn.Parameter(random(0))
    optimizer = make([straight])
    steps(optimizer, straight, range(1, 6))
    weights, file = straight.detach().clone(), io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    steps(optimizer, straight, range(6, 11))

    file.seek(0)
    resumed = nn.Parameter(weights)
    optimizer = make([resumed])
    optimizer.load_state_dict(torch.load(file, weights_only=True))
    steps(optimizer, resumed, range(6, 11))
    assert torch.equal(resumed, straight)


@every_optimizer
def test_parameter_without_gradient_is_left_alone(make: Make) -> None:
    trained, idle = nn.Parameter(random(0)), nn.Parameter(random(1))
    optimizer = make([trained, idle])
    steps(optimizer, trained, range(2, 4))
    assert torch.equal(idle, random(1))
    assert not torch.equal(trained, random(0))


def test_closure_recomputes_the_gradient_and_its_loss_comes_back() -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = SGD([weight], lr=0.5)

    def closure() -> float:
        loss = weight.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 9.0
    assert weight.item() == 0.0  # 3 − 0.5·2·3
