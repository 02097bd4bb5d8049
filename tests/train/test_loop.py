"""The loop against plain torch, and what must not change a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own name for it
from torch import nn

from descentlab.data.prepare import PreparedData
from descentlab.errors import ConfigError, DataError
from descentlab.train.loop import Observer, gradient_of, initial_model, pick_device, train
from descentlab.train.plan import batches_for
from descentlab.train.spec import RunSpec

Make = Callable[..., RunSpec]
Run = Callable[[RunSpec], Any]


def batches_of(spec: RunSpec, data: PreparedData) -> Callable[[int], torch.Tensor]:
    read = batches_for(spec, data)
    return lambda step: torch.from_numpy(read(step))


def mean_loss(model: nn.Module, batch_BL1: torch.Tensor) -> torch.Tensor:
    logits_BLV = model(batch_BL1[:, :-1])
    return F.cross_entropy(logits_BLV.reshape(-1, 257), batch_BL1[:, 1:].reshape(-1))


PLAIN: dict[str, tuple[dict[str, Any], Callable[..., torch.optim.Optimizer]]] = {
    "adam": (
        {"method": "adam", "beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "clip_norm": 1.1},
        lambda groups: torch.optim.AdamW(groups, betas=(0.8, 0.9), eps=1e-3),
    ),
    "sgd": (
        {"method": "sgd", "beta": 0.9, "weight_decay": 0.0, "clip_norm": 0.5},
        lambda groups: torch.optim.SGD(groups, lr=1.0, momentum=0.9, dampening=0.9),
    ),
}


@pytest.mark.parametrize("method", PLAIN)
def test_training_equals_a_plain_torch_loop(
    method: str, tiny: Make, data: PreparedData, run: Run
) -> None:
    settings, make_optimizer = PLAIN[method]
    spec = tiny(
        optimizer={"lr": 0.05, "weight_decay": 0.1, **settings},
        schedule={"warmup": 0.35, "floor": 0.1},
    )
    model, batch = initial_model(spec), batches_of(spec, data)
    decay = spec.optimizer.weight_decay
    optimizer = make_optimizer(
        [
            {"params": [p for p in model.parameters() if p.dim() == 2], "weight_decay": decay},
            {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
        ]
    )
    losses, norms = [], []
    # Six steps: two up to the peak of 0.05, four along the cosine to 0.005.
    lrs = [0.025, 0.05, *(0.0275 + 0.0225 * math.cos(math.pi * k / 4) for k in (1, 2, 3, 4))]
    for step, lr in enumerate(lrs, start=1):
        loss = mean_loss(model, batch(step))
        optimizer.zero_grad()
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), settings["clip_norm"]).item())
        losses.append(loss.item())
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()

    trained = run(spec)
    assert [each["step"] for each in trained.steps] == [1, 2, 3, 4, 5, 6]
    assert [each["lr"] for each in trained.steps] == pytest.approx(lrs)
    assert [each["loss"] for each in trained.steps] == pytest.approx(losses, rel=1e-5)
    assert [each["gradient_norm"] for each in trained.steps] == pytest.approx(norms, rel=1e-4)
    for ours, theirs in zip(trained.outcome.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("micro_batch", [None, 1, 2, 3, 5, 8])
def test_micro_batches_of_any_size_give_the_gradient_of_the_whole_batch(
    micro_batch: int | None, tiny: Make, data: PreparedData
) -> None:
    spec = tiny()
    batch_BL1 = batches_of(spec, data)(1)
    whole, pieces = initial_model(spec), initial_model(spec)
    expected = mean_loss(whole, batch_BL1)
    expected.backward()
    loss = gradient_of(tiny(execution={"micro_batch": micro_batch}), pieces)(batch_BL1)
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    for ours, theirs in zip(pieces.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-6)


def test_gradients_do_not_leak_into_the_next_step(tiny: Make, data: PreparedData, run: Run) -> None:
    spec = tiny(optimizer={"method": "signsgd", "lr": 1e-6})  # the weights all but stay
    model, batch = initial_model(spec), batches_of(spec, data)
    for step, record in enumerate(run(spec).steps, start=1):
        model.zero_grad()
        mean_loss(model, batch(step)).backward()
        norm = torch.cat(
            [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        ).norm()
        assert record["gradient_norm"] == pytest.approx(norm.item(), rel=1e-3)


@pytest.mark.parametrize("limit", [0.5, 1e3, "none"])
def test_first_step_of_sgd_is_as_long_as_the_clipped_gradient(
    limit: float | str, tiny: Make, run: Run
) -> None:
    spec = tiny(
        optimizer={"method": "sgd", "beta": 0.0, "lr": 0.1, "clip_norm": limit},
        training={"steps": 1},
        schedule={"warmup": 1.0},
    )
    trained = run(spec)
    (record,) = trained.steps
    moved = [
        (after - before).detach().double().square().sum().item()
        for after, before in zip(
            trained.outcome.model.parameters(), initial_model(spec).parameters(), strict=True
        )
    ]
    assert record["gradient_norm"] > 0.5
    assert record["clipped"] is (limit == 0.5)
    kept = 0.5 if limit == 0.5 else record["gradient_norm"]
    assert math.sqrt(sum(moved)) == pytest.approx(0.1 * kept, rel=1e-4)


def test_only_norms_above_the_limit_are_recorded_as_clipped(tiny: Make, run: Run) -> None:
    still: dict[str, Any] = {"method": "signsgd", "lr": 1e-9}  # so that the norms are the same
    norms = [each["gradient_norm"] for each in run(tiny(optimizer=still)).steps]
    limit = sorted(norms)[3]
    steps = run(tiny(optimizer={**still, "clip_norm": limit})).steps
    assert [each["gradient_norm"] for each in steps] == pytest.approx(norms)
    assert [each["clipped"] for each in steps] == [each["gradient_norm"] > limit for each in steps]
    assert {each["clipped"] for each in steps} == {True, False}


def test_a_run_repeats_to_the_bit_whatever_the_global_generators(tiny: Make, run: Run) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    first = run(tiny())
    torch.manual_seed(2)
    np.random.seed(2)
    second = run(tiny())
    assert first.steps == second.steps
    assert first.evaluations == second.evaluations


@pytest.mark.parametrize("seed", [2, 3])
def test_another_seed_draws_other_weights_and_other_batches(
    seed: int, tiny: Make, data: PreparedData
) -> None:
    first, second = tiny(seed=1), tiny(seed=seed)
    assert not torch.equal(initial_model(first).head.weight, initial_model(second).head.weight)
    assert not torch.equal(batches_of(first, data)(1), batches_of(second, data)(1))


def test_all_optimizers_start_from_the_same_weights_and_read_the_same_batch(
    tiny: Make, run: Run
) -> None:
    methods = ({"method": "sgd", "beta": 0.5}, {"method": "signsgd"}, {"method": "adam", "beta": 0})
    firsts = [run(tiny(optimizer={"lr": 0.1, **method})).steps[0] for method in methods]
    assert len({(first["loss"], first["gradient_norm"]) for first in firsts}) == 1


@pytest.mark.parametrize("method", ["signsgd", "adam"])
@pytest.mark.parametrize("micro_batch", [1, 2, 5])
def test_neither_method_nor_micro_batch_has_a_say_in_what_is_read_and_held_out(
    method: str, micro_batch: int, tiny: Make, run: Run
) -> None:
    still = {"method": method, "lr": 1e-9, **({"beta": 0.9} if method == "adam" else {})}
    changed = run(tiny(optimizer=still, execution={"micro_batch": micro_batch}))
    usual = run(tiny(optimizer={"method": "sgd", "beta": 0.0, "lr": 1e-9}))
    assert [each["batch"] for each in changed.steps] == [each["batch"] for each in usual.steps]
    assert len({each["batch"] for each in usual.steps}) == 6
    # The weights have all but stayed; a batch left out would show in the fourth digit.
    loss = usual.outcome.validation_loss
    assert changed.outcome.validation_loss == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_the_batch_size_has_no_say_in_what_is_held_out(
    batch_size: int, tiny: Make, run: Run
) -> None:
    still = {"method": "signsgd", "lr": 1e-9}
    losses = [
        run(tiny(optimizer=still, training={"batch_size": size})).outcome.validation_loss
        for size in (batch_size, 5)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_evaluations_come_when_due_and_do_not_touch_the_training(tiny: Make, run: Run) -> None:
    often, once = run(tiny(training={"evaluate_every": 4})), run(tiny())
    assert [each["step"] for each in often.evaluations] == [4, 6]
    assert [each["step"] for each in once.evaluations] == [6]
    assert often.steps == once.steps
    assert often.outcome.validation_loss == once.outcome.validation_loss


def test_boundary_comes_before_each_step_and_can_stop_the_run(
    tiny: Make, data: PreparedData
) -> None:
    records: list[Any] = []

    def boundary(training: object) -> None:
        if len(records) == 3:
            raise InterruptedError

    observer = Observer(metrics=records.append, timing=lambda record: None, boundary=boundary)
    with pytest.raises(InterruptedError):
        train(tiny(), data, observer)
    assert [each["step"] for each in records] == [1, 2, 3]


def test_tokens_outside_the_model_are_refused(tiny: Make, run: Run) -> None:
    with pytest.raises(DataError, match=r"ids go up to 256, outside a model.vocabulary of 256"):
        run(tiny(model={"vocabulary": 256}))


def test_budget_beyond_the_corpus_is_refused(tiny: Make, run: Run) -> None:
    with pytest.raises(DataError, match=r"1000 steps of 5 sequences need 5,000 rows"):
        run(tiny(training={"steps": 1000}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is present")
def test_cuda_that_is_not_there_is_refused_in_one_sentence(tiny: Make) -> None:
    with pytest.raises(ConfigError, match="cuda is not present here; use auto or cpu"):
        pick_device(tiny(execution={"device": "cuda"}))
