"""Which spellings of a method are one and the same run, by form and by numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec
import pytest
import torch
from torch import Tensor

from descentlab.optim.methods import (
    AdamMethod,
    AnyMethod,
    ConstantVarianceMethod,
    EMASignMethod,
    Initial,
    Limit,
    Method,
    RMSpropMethod,
    SGDMethod,
    SignSGDMethod,
    SignumMethod,
)

LR = 0.01
Pair = tuple[Method, Method]


def constant(variance: float, beta: float = 0.9, **relative: float) -> ConstantVarianceMethod:
    return ConstantVarianceMethod(lr=LR, beta=beta, variance=variance, relative=relative)


SAME: list[Pair] = [
    (AdamMethod(lr=LR, beta=0.9), AdamMethod(lr=LR, beta1=0.9, beta2=0.9)),
    (RMSpropMethod(lr=LR, beta=0.9), AdamMethod(lr=LR, beta1=0.0, beta2=0.9)),
    (
        RMSpropMethod(lr=LR, beta=0.9, eps=0.1, bias_correction=False, init="gradient"),
        AdamMethod(lr=LR, beta1=0, beta2=0.9, eps=0.1, bias_correction=False, init="gradient"),
    ),
    (
        RMSpropMethod(lr=LR, beta=0.9, weight_decay=0.5, clip_norm="none"),
        AdamMethod(lr=LR, beta1=0.0, beta2=0.9, weight_decay=0.5, clip_norm="none"),
    ),
    (SignumMethod(lr=LR, beta=0.0), SignSGDMethod(lr=LR)),
    (SignumMethod(lr=LR, beta=0.0, init="gradient", clip_norm="none"), SignSGDMethod(lr=LR)),
    (SignumMethod(lr=LR, beta=0.0, weight_decay=0.5), SignSGDMethod(lr=LR, weight_decay=0.5)),
    (EMASignMethod(lr=LR, beta=0.0), SignSGDMethod(lr=LR)),
    (EMASignMethod(lr=LR, beta=0.9), EMASignMethod(lr=LR, beta=0.9, clip_norm="none")),
    (SignSGDMethod(lr=LR), SignSGDMethod(lr=LR, clip_norm=0.1)),
    (constant(0.0), SignumMethod(lr=LR, beta=0.9)),
    (constant(0.0, beta=0.0), SignSGDMethod(lr=LR)),
    (constant(0.5, weight=0.0), SignumMethod(lr=LR, beta=0.9)),
    (constant(0.5, weight=1.0), constant(0.5)),
    (constant(0.25, weight=2.0), constant(0.5)),
    (SGDMethod(lr=LR, beta=0.9), SGDMethod(lr=LR, beta=0.9, dampening=0.9)),
    (SGDMethod(lr=LR, beta=0.9), SGDMethod(lr=LR, beta=0.9, coordinate_clip=1.0)),
]
DIFFERENT: list[Pair] = [
    (constant(0.5), constant(0.25)),
    (constant(0.5), SignumMethod(lr=LR, beta=0.9)),
    (AdamMethod(lr=LR, beta=0.9), AdamMethod(lr=LR, beta1=0.9, beta2=0.95)),
    (AdamMethod(lr=LR, beta=0.9), AdamMethod(lr=LR, beta=0.9, clip_norm="none")),
    (SignumMethod(lr=LR, beta=0.9), SignSGDMethod(lr=LR)),
    (SignumMethod(lr=LR, beta=0.9), SignumMethod(lr=LR, beta=0.9, clip_norm="none")),
    (SignumMethod(lr=LR, beta=0.0, eps=0.1), SignSGDMethod(lr=LR)),
    (EMASignMethod(lr=LR, beta=0.9), EMASignMethod(lr=LR, beta=0.9, init="gradient")),
    (SGDMethod(lr=LR, beta=0.9), SGDMethod(lr=LR, beta=0.9, clip_norm="none")),
    # A clip that can bite: below the norm's limit, after amplifying momentum, after no limit.
    (SGDMethod(lr=LR, beta=0.9), SGDMethod(lr=LR, beta=0.9, coordinate_clip=0.5)),
    (
        SGDMethod(lr=LR, beta=0.9, dampening=0.0),
        SGDMethod(lr=LR, beta=0.9, dampening=0.0, coordinate_clip=1.0),
    ),
    (
        SGDMethod(lr=LR, beta=0.9, clip_norm="none"),
        SGDMethod(lr=LR, beta=0.9, clip_norm="none", coordinate_clip=1.0),
    ),
    (
        SGDMethod(lr=LR, beta=0.5, dampening=2.5),
        SGDMethod(lr=LR, beta=0.5, dampening=2.5, coordinate_clip=1.0),
    ),
]
LIMITS: list[Limit] = ["none", 0.5, 1.0, 2.0]


def described(pair: Pair) -> str:
    return " | ".join(str(method) for method in pair)


def random_gradients() -> list[Tensor]:
    """Norms from 0.01 to 100, so that clipping at 1 acts on some of them; seed 0."""
    generator = torch.Generator().manual_seed(0)
    scales = 10 ** torch.linspace(-2, 2, 20)[torch.randperm(20, generator=generator)]
    return [torch.randn(4, generator=generator).double() * scale for scale in scales]


def worst_gradients() -> list[Tensor]:
    """All of the norm in one coordinate, always: what drives momentum to its bound."""
    return [torch.tensor([50.0, 0.0, 0.0, 0.0], dtype=torch.float64)] * 20


def trained(method: Method, gradients: Iterable[Tensor]) -> Tensor:
    """The weights ``[K, 4]`` after each step, clipped as the training loop clips."""
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64))
    group = {"params": [weight], "param_names": ["weight"], "weight_decay": method.weight_decay}
    optimizer = method.build([group])
    over_time = []
    for gradient in gradients:
        weight.grad = gradient.clone()
        if method.clip_norm != "none":
            torch.nn.utils.clip_grad_norm_([weight], method.clip_norm)
        optimizer.step()
        over_time.append(weight.detach().clone())
    return torch.stack(over_time)


def distance(pair: Pair) -> float:
    """The largest difference between the weights of two methods on the two problems."""
    first, second = pair
    return max(
        (trained(first, gradients) - trained(second, gradients)).abs().max().item()
        for gradients in (random_gradients(), worst_gradients())
    )


@pytest.mark.parametrize("pair", SAME, ids=described)
def test_spellings_of_one_run_have_one_canonical_form_and_the_same_updates(pair: Pair) -> None:
    assert pair[0].canonical() == pair[1].canonical()
    assert distance(pair) < 1e-12


@pytest.mark.parametrize("pair", DIFFERENT, ids=described)
def test_runs_that_differ_in_updates_differ_in_canonical_form(pair: Pair) -> None:
    assert distance(pair) > 1e-4
    assert pair[0].canonical() != pair[1].canonical()


@pytest.mark.parametrize(
    "method", [method for pair in (*SAME, *DIFFERENT) for method in pair], ids=str
)
def test_canonical_form_is_final(method: Method) -> None:
    assert method.canonical().canonical() == method.canonical()


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("init", ["zero", "gradient"])
def test_coordinate_clip_is_dropped_only_where_it_never_acts(beta: float, init: Initial) -> None:
    dropped = 0
    for dampening, norm, clip in itertools.product((0.0, 0.4, 0.5, 0.9, 1, 1.6), LIMITS, LIMITS):
        method = SGDMethod(
            lr=LR,
            beta=beta,
            dampening=dampening,
            clip_norm=norm,
            coordinate_clip=clip,
            init=init,
        )
        if method.canonical() != method:
            dropped += 1
            assert distance((method, method.canonical())) < 1e-12, method
    assert dropped > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "adam", "beta": 0.9},
        {"method": "rmsprop", "beta": 0.9},
        {"method": "signum", "beta": 0.9},
        {"method": "signum", "beta": 0.0},
        {"method": "emasign", "beta": 0.9},
        {"method": "emasign", "beta": 0.0},
        {"method": "signsgd"},
        {"method": "sgd", "beta": 0.9, "coordinate_clip": 1.0},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_coupled_decay_is_the_decoupled_method_on_a_gradient_with_decay(settings):
    """Step by step: a coupled optimizer against a decoupled one that is given g + λ·w."""

    def method(**more):
        return msgspec.convert({"lr": 0.1, "clip_norm": 1.0, **settings, **more}, AnyMethod)

    decay = 0.3
    coupled, plain = method(weight_decay=decay, decay="coupled"), method(weight_decay=0.0)
    assert coupled.identity()["decay"] == "coupled"
    assert "decay" not in plain.identity()
    assert coupled.canonical() != method(weight_decay=decay).canonical()
    assert method(weight_decay=0.0, decay="coupled").canonical() == plain.canonical()
    pairs = [torch.nn.Parameter(torch.linspace(-1, 2, 7)) for _ in range(3)]
    makers = (coupled, coupled.canonical(), plain)
    decays = (decay, decay, 0.0)
    optimizers = [
        each.build([{"params": [parameter], "weight_decay": own}])
        for each, parameter, own in zip(makers, pairs, decays, strict=True)
    ]
    for step in range(5):
        for place, parameter in enumerate(pairs):
            gradient = torch.cos(torch.arange(7.0) + step) * 0.2  # clipped nowhere
            extra = decay * parameter.detach() if place == 2 else 0.0
            parameter.grad = gradient + extra
        for each in optimizers:
            each.step()
    torch.testing.assert_close(pairs[0], pairs[2], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(pairs[1], pairs[2], rtol=1e-5, atol=1e-6)
