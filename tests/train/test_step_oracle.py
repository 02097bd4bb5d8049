"""Whole training steps at the paper's width against NumPy in float64, derived by hand.

Norms, rotations and the loss compute in float32 by design. To compare more digits than that, the
same code also runs where every float32 that it asks for is a float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from oracles import training_step as oracle
from oracles import transformer as loops
from oracles.training_step import Rule, Shape, Weights
from torch import Tensor
from torch.overrides import TorchFunctionMode

from descentlab.data.prepare import PreparedData
from descentlab.model import transformer
from descentlab.train.loop import Observer, train
from descentlab.train.plan import batches_for
from descentlab.train.spec import RunSpec

Make = Callable[..., RunSpec]

WIDE = {"heads": 12, "width": 768, "vocabulary": 257, "hidden_multiple": 256}
"""The 160M model but for its layers and vocabulary."""


class Doubling(TorchFunctionMode):
    """Turns every request for float32 into one for float64.

    A tensor made of a number is let be: native code reads an optimizer's count of steps.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.tensor:
            return func(*args, **(kwargs or {}))

        def double(value: Any) -> Any:
            return torch.float64 if value is torch.float32 else value

        named = {name: double(value) for name, value in (kwargs or {}).items()}
        return (Tensor.double if func is Tensor.float else func)(*map(double, args), **named)


@contextmanager
def everything_in_float64() -> Iterator[None]:
    forget = getattr(transformer.rotations, "cache_clear", lambda: None)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    forget()
    try:
        with Doubling():
            yield
    finally:
        forget()
        torch.set_default_dtype(usual)


def copied(model: torch.nn.Module) -> Weights:
    return {
        name: each.detach().to(torch.float64, copy=True).numpy()
        for name, each in model.named_parameters()
    }


def compare(
    spec: RunSpec,
    data: PreparedData,
    rule: Rule,
    lrs: list[float],
    same: Callable[[Weights, Weights], None],
) -> list[tuple[dict[str, Any], float, float]]:
    """Train, asking after every step whether the weights are ``same``.

    Returns:
        What each step put on record, and the loss and gradient's norm that it should have had.
    """
    records: list[Any] = []
    expected: list[tuple[float, float]] = []
    trainings: list[Iterator[oracle.Step]] = []
    read = batches_for(spec, data)
    model, limit = spec.model, spec.optimizer.clip_norm

    def follow(ours: torch.nn.Module) -> None:
        weights = copied(ours)
        if trainings:
            step = next(trainings[0])
            same(weights, step.weights)
            expected.append((step.loss, step.norm))
            return
        begun = oracle.training(
            weights,
            map(read, range(1, len(lrs) + 1)),
            lrs,
            shape=Shape(model.layers, model.heads, model.rope_base, model.norm_eps),
            rule=rule,
            weight_decay=spec.optimizer.weight_decay,
            limit=math.inf if limit == "none" else limit,
        )
        trainings.append(begun)

    observer = Observer(
        metrics=records.append,
        timing=lambda record: None,
        boundary=lambda training: follow(training.model),
    )
    follow(train(spec, data, observer).model)
    steps = [each for each in records if "loss" in each]
    return [(found, *plain) for found, plain in zip(steps, expected, strict=True)]


LRS_OF_SGD = [0.0, 0.25, 0.5, (0.5 + 1e-5) / 2]
LRS = {  # up to 0.02 in two steps, halfway down the cosine, at its end
    "paper": [0.0, 0.01, 0.02, (0.02 + 1e-5) / 2],
    "descentlab": [0.01, 0.02, 0.01, 0.0],
}
CASES: dict[str, tuple[str, int, dict[str, Any], Rule]] = {
    "adam": (
        "paper",
        2,
        {"method": "adam", "beta1": 0.9, "beta2": 0.95},
        oracle.adam(0.9, 0.95, 1e-8),
    ),
    "signum": ("paper", 1, {"method": "signum", "beta": 0.9}, oracle.signum(0.9, "gradient")),
    "our signum": ("descentlab", 1, {"method": "signum", "beta": 0.9}, oracle.signum(0.9, "zero")),
}


@pytest.fixture
def wide(tiny: Make) -> Callable[..., RunSpec]:
    """Makes a run of four steps of a model as wide as the paper's 160M."""

    def make(conventions: str, layers: int, method: dict[str, Any]) -> RunSpec:
        return tiny(
            conventions=conventions,
            model={**WIDE, "layers": layers},
            data={"sequence_length": 12},
            optimizer={"lr": 0.02, **method},
            training={"steps": 4, "batch_size": 3},
            schedule={"warmup": 0.5, "floor": 1e-5 if conventions == "paper" else 0.0},
            execution={"micro_batch": 2},
        )

    return make


def all_digits(ours: Weights, plain: Weights) -> None:
    assert ours.keys() == plain.keys()
    for name in plain:
        # A step moves a weight by up to 0.02, a wrong sign by twice that too much. Adam divides
        # by |g| + 1e-8 at first, and so by little where a gradient is all rounding.
        assert np.abs(ours[name] - plain[name]).max() < 1e-10, name


@pytest.mark.parametrize("case", CASES)
def test_each_step_equals_the_plain_one_to_the_digits_of_float64(
    case: str, wide: Make, data: PreparedData
) -> None:
    conventions, layers, method, rule = CASES[case]
    spec = wide(conventions, layers, method)
    with everything_in_float64():
        found = compare(spec, data, rule, LRS[conventions], all_digits)
    assert [record["lr"] for record, *_ in found] == pytest.approx(LRS[conventions], rel=1e-12)
    for record, loss, norm in found:
        assert record["loss"] == pytest.approx(loss, rel=1e-12)
        assert record["gradient_norm"] == pytest.approx(norm, rel=1e-10)
    assert any(record["clipped"] for record, *_ in found)


def test_each_step_as_users_run_it_equals_the_plain_one_to_the_digits_of_float32(
    wide: Make, data: PreparedData
) -> None:
    # SGD, since its step is in proportion to the gradient: where a gradient is nearly 0, its
    # sign, and so a step of Signum or of a young Adam, is decided by the last digit.
    moved: list[Weights] = []

    def nearly(ours: Weights, plain: Weights) -> None:
        for name, w in plain.items():
            step = np.linalg.norm(w - moved[0][name]) if moved else math.inf
            error = np.linalg.norm(ours[name] - w)
            # 2⁻²⁴ is the rounding of a weight to float32; 1e-4 the error of a step.
            assert error <= 1e-4 * step + 4 * 2**-24 * np.linalg.norm(w), name
        moved[:] = [plain]

    method = {"method": "sgd", "beta": 0.9, "lr": 0.5}
    found = compare(
        wide("paper", 1, method), data, oracle.momentum(0.9, "gradient"), LRS_OF_SGD, nearly
    )
    for record, loss, norm in found:
        assert record["loss"] == pytest.approx(loss, rel=1e-5)
        assert record["gradient_norm"] == pytest.approx(norm, rel=1e-4)


# The plain step itself


SMALL = Shape(layers=2, heads=2, rope_base=10.0, eps=1e-2)


def small_weights(seed: int) -> Weights:
    draw = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (11, 8)}
    for layer in range(SMALL.layers):
        shapes |= {
            f"blocks.{layer}.attention_norm.weight": (8,),
            f"blocks.{layer}.attention.qkv.weight": (24, 8),
            f"blocks.{layer}.attention.out.weight": (8, 8),
            f"blocks.{layer}.gated_norm.weight": (8,),
            f"blocks.{layer}.gated_unit.fc1.weight": (12, 8),
            f"blocks.{layer}.gated_unit.fc2.weight": (8, 6),
        }
    shapes |= {"final_norm.weight": (8,), "head.weight": (11, 8)}
    return {name: 0.5 * draw.normal(size=size) + (len(size) == 1) for name, size in shapes.items()}


def test_the_plain_loss_is_that_of_the_reference_in_loops() -> None:
    weights = small_weights(0)
    rows_BL1 = np.random.default_rng(1).integers(11, size=(3, 8))
    losses = []
    for row in rows_BL1.tolist():
        logits_LV = loops.logits(
            weights,
            row[:-1],
            layers=SMALL.layers,
            heads=SMALL.heads,
            rope_fraction=1.0,
            rope_base=SMALL.rope_base,
            eps=SMALL.eps,
        )
        for logits_V, target in zip(logits_LV, row[1:], strict=True):
            losses.append(math.log(sum(map(math.exp, logits_V))) - logits_V[target])
    loss, _ = oracle.gradient_of(weights, rows_BL1, SMALL)
    assert loss == pytest.approx(np.mean(losses), rel=1e-12)


@pytest.mark.parametrize("name", small_weights(0))
def test_the_plain_gradient_is_the_slope_of_the_plain_loss(name: str) -> None:
    rows_BL1 = np.random.default_rng(1).integers(11, size=(3, 8))
    weights = small_weights(0)
    _, gradients = oracle.gradient_of(weights, rows_BL1, SMALL)
    assert gradients.keys() == weights.keys()
    draw, h = np.random.default_rng(2), 1e-5
    for _ in range(5):
        way = draw.normal(size=weights[name].shape)
        ahead, behind = (
            oracle.gradient_of({**weights, name: weights[name] + s * way}, rows_BL1, SMALL)[0]
            for s in (h, -h)
        )
        slope = np.sum(gradients[name] * way)
        assert slope == pytest.approx((ahead - behind) / (2 * h), rel=1e-6, abs=1e-8)
