"""A run that diverges stops before the update that it cannot make, and says where."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from descentlab.model.transformer import Transformer
from descentlab.train import loop
from descentlab.train.gradient import Gradient
from descentlab.train.spec import RunSpec

Make = Callable[..., RunSpec]
Run = Callable[[RunSpec], Any]
Weights = dict[str, Tensor]


def watch(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[int, Transformer, float], float]
) -> list[Weights]:
    """Note the weights before each step, and let ``spoil`` change its gradient and loss."""
    before: list[Weights] = []

    class Watched(Gradient):
        def __call__(self, batch_BL1: Tensor) -> float:
            model = self._model
            before.append({name: value.clone() for name, value in model.state_dict().items()})
            return spoil(len(before), model, super().__call__(batch_BL1))

    monkeypatch.setattr(loop, "Gradient", Watched)
    return before


def assert_stopped_before_update(trained: Any, before: list[Weights], step: int) -> None:
    outcome = trained.outcome
    assert (outcome.diverged_at, outcome.steps) == (step, step - 1)
    assert outcome.validation_loss is None
    assert trained.evaluations == []
    assert [each["step"] for each in trained.steps] == list(range(1, step + 1))
    assert len(before) == step
    after = outcome.model.state_dict()
    assert all(torch.equal(after[name], before[-1][name]) for name in after)


def test_enormous_learning_rate_diverges(
    tiny: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = watch(monkeypatch, lambda step, model, loss: loss)
    method = {"method": "sgd", "beta": 0.0, "lr": 1e6, "clip_norm": "none"}
    trained = run(tiny(optimizer=method))
    assert_stopped_before_update(trained, before, trained.outcome.diverged_at)
    finite = [
        math.isfinite(each["loss"]) and math.isfinite(each["gradient_norm"])
        for each in trained.steps
    ]
    assert finite == [True] * (len(finite) - 1) + [False]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("clip_norm", [1.0, "none"])
def test_one_entry_of_the_gradient_that_is_not_finite_stops_the_run(
    value: float, clip_norm: float | str, tiny: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(step: int, model: Transformer, loss: float) -> float:
        if step == 3:
            assert model.head.weight.grad is not None
            model.head.weight.grad[5, 7] = value
        return loss

    before = watch(monkeypatch, spoil)
    method = {"method": "signum", "beta": 0.9, "lr": 0.01, "clip_norm": clip_norm}
    trained = run(tiny(optimizer=method))
    assert_stopped_before_update(trained, before, step=3)
    assert not math.isfinite(trained.steps[-1]["gradient_norm"])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_loss_that_is_not_finite_stops_the_run(
    value: float, tiny: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = watch(monkeypatch, lambda step, model, loss: value if step == 2 else loss)
    trained = run(tiny())
    assert_stopped_before_update(trained, before, step=2)
    assert not math.isfinite(trained.steps[-1]["loss"])


@pytest.mark.parametrize("loss", [1000.0, math.inf, math.nan])
def test_infinite_perplexity_is_divergence_after_the_update(
    loss: float, tiny: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "evaluate", lambda *arguments, **settings: loss)
    trained = run(tiny(training={"evaluate_every": 4}))
    assert (trained.outcome.diverged_at, trained.outcome.steps) == (4, 4)
    assert trained.outcome.validation_loss is None
    assert [each["validation_perplexity"] for each in trained.evaluations] == [math.inf]


def test_an_ordinary_run_has_not_diverged(tiny: Make, run: Run) -> None:
    outcome = run(tiny()).outcome
    assert (outcome.diverged_at, outcome.steps) == (None, 6)
