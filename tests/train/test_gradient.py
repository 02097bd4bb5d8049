"""Gradients at every precision, and ways to compute them that must not change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracles.plain_gradient import plain_gradient
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from descentlab.model.transformer import Transformer
from descentlab.train.loop import gradient_of, initial_model
from descentlab.train.spec import RunSpec

Make = Callable[..., RunSpec]
LOW = ["bfloat16-autocast", "bfloat16-master", "bfloat16"]
TOKENS = 5 * 16


def rows(seed: int = 0, count: int = 5) -> Tensor:
    """A batch ``[B, L+1]`` of the tiny run."""
    return torch.randint(257, (count, 17), generator=torch.Generator().manual_seed(seed))


def large_weights(spec: RunSpec) -> Transformer:
    """The tiny model with weights so large that every part of it counts."""
    model = initial_model(spec)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter *= 10
    return model


def gradients(spec: RunSpec, model: Transformer, batch_BL1: Tensor) -> tuple[float, list[Tensor]]:
    """The loss and the gradients that a spec gives a model."""
    model.zero_grad()
    loss = gradient_of(spec, model)(batch_BL1)
    return loss, [grad_of(each) for each in model.parameters()]


def grad_of(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def relative_error(found: list[Tensor], expected: list[Tensor]) -> float:
    a, b = (torch.cat([each.double().flatten() for each in flat]) for flat in (found, expected))
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("micro_batch", [None, 2])
@pytest.mark.parametrize("loss_chunk", [1, 7, 16, TOKENS - 1, TOKENS, 1000])
def test_loss_in_chunks_is_the_plain_one_in_float64(
    loss_chunk: int, micro_batch: int | None, tiny: Make
) -> None:
    spec = tiny(execution={"loss_chunk": loss_chunk, "micro_batch": micro_batch})
    model, plain = large_weights(spec).double(), large_weights(spec).double()
    expected = plain_gradient(plain, rows())
    loss, found = gradients(spec, model, rows())
    assert loss == pytest.approx(expected, rel=1e-12)
    for ours, parameter in zip(found, plain.parameters(), strict=True):
        torch.testing.assert_close(ours, grad_of(parameter), rtol=1e-9, atol=1e-14)
    held_out = gradient_of(spec, model).token_losses(rows()[:, :-1], rows()[:, 1:])
    assert held_out.mean().item() == pytest.approx(expected, rel=1e-12)


class LargestFloat32(TorchDispatchMode):
    """Notes the most elements of any float32 tensor that an operation gives."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else (result,):
            if isinstance(each, Tensor) and each.dtype == torch.float32:
                self.elements = max(self.elements, each.numel())
        return result


@pytest.mark.parametrize("precision", ["float32", *LOW])
def test_float32_logits_of_all_tokens_are_never_held_at_once(precision: str, tiny: Make) -> None:
    largest: dict[int, int] = {}
    for chunk in (16, TOKENS):
        spec = tiny(
            precision=precision,
            execution={"loss_chunk": chunk},
            model={"hidden_multiple": 16},  # so that no activation is as large
        )
        gradient = gradient_of(spec, initial_model(spec))
        with LargestFloat32() as seen:
            gradient(rows())
            gradient.token_losses(rows()[:, :-1], rows()[:, 1:])
        largest[chunk] = seen.elements
    assert largest[TOKENS] == TOKENS * 257
    assert largest[16] < TOKENS * 257 / 2


@pytest.mark.parametrize("precision", ["float32", *LOW])
def test_activation_checkpointing_gives_the_same_bits(precision: str, tiny: Make) -> None:
    changes: dict[str, Any] = {"model": {"layers": 3}, "precision": precision}
    spec = tiny(**changes)
    checkpointed = tiny(**changes, execution={"activation_checkpointing": True})
    _, expected = gradients(spec, initial_model(spec), rows())
    _, found = gradients(checkpointed, initial_model(spec), rows())
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def test_activation_checkpointing_keeps_less(tiny: Make) -> None:
    counts: dict[bool, int] = {}
    for checkpoints in (False, True):
        spec = tiny(model={"layers": 3}, execution={"activation_checkpointing": checkpoints})
        model, count = initial_model(spec), 0
        gradient = gradient_of(spec, model)

        def pack(tensor: Tensor) -> Tensor:
            nonlocal count
            count += 1
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            gradient._hidden(rows()[:, :-1], model.rotation(rows()[:, :-1]))
        counts[checkpoints] = count
    assert counts[True] < counts[False] / 3


@pytest.mark.parametrize("attention", ["sdpa", "matmul"])
@pytest.mark.parametrize("precision", LOW)
def test_low_precisions_are_close_to_float32_and_not_equal(
    precision: str, attention: str, tiny: Make
) -> None:
    exact, spec = tiny(), tiny(precision=precision, execution={"attention": attention})
    expected_loss, expected = gradients(exact, large_weights(exact), rows())
    model = large_weights(exact)
    loss, found = gradients(spec, model, rows())
    # bfloat16 rounds by 2⁻⁹ at most; some ten roundings follow one another.
    assert loss == pytest.approx(expected_loss, rel=0.01)
    assert 1e-4 < relative_error(found, expected) < 0.05
    kept = torch.bfloat16 if precision == "bfloat16" else torch.float32
    assert {each.dtype for each in model.parameters()} == {kept}
    held_out = gradient_of(spec, model).token_losses(rows()[:, :-1], rows()[:, 1:])
    assert held_out.dtype == torch.float32
    assert held_out.mean().item() == pytest.approx(loss, rel=1e-5)


def test_autocast_gives_the_bits_of_torchs(tiny: Make) -> None:
    spec = tiny(precision="bfloat16-autocast", execution={"attention": "sdpa"})
    model, plain = large_weights(spec), large_weights(spec)
    loss, found = gradients(spec, model, rows())
    with torch.autocast("cpu", torch.bfloat16):
        logits_BLV = plain(rows()[:, :-1])
    losses = nn.functional.cross_entropy(
        logits_BLV.flatten(0, 1).float(), rows()[:, 1:].flatten(), reduction="none"
    )
    expected = losses.sum() / TOKENS
    expected.backward()
    assert loss == expected.item()
    for ours, parameter in zip(found, plain.parameters(), strict=True):
        assert torch.equal(ours, grad_of(parameter))


@pytest.mark.parametrize("precision", ["float32", *LOW])
def test_micro_batches_are_added_in_float32(precision: str, tiny: Make) -> None:
    spec = tiny(precision=precision, execution={"micro_batch": 1})
    model = large_weights(spec)
    four = rows(count=4)  # their shares of the mean are exact, since 1/4 is a power of two
    _, found = gradients(spec, model, four)
    sums = [torch.zeros_like(each, dtype=torch.float32) for each in model.parameters()]
    for row in four.split(1):
        for total, gradient in zip(sums, gradients(spec, model, row)[1], strict=True):
            total += gradient / 4
    for ours, total in zip(found, sums, strict=True):
        assert torch.equal(ours, total.to(ours.dtype))


@pytest.mark.parametrize("precision", ["float32", *LOW])
@pytest.mark.parametrize("method", ["adam", "signum"])
def test_every_precision_trains(
    precision: str, method: str, tiny: Make, run: Callable[[RunSpec], Any]
) -> None:
    optimizer = {"method": method, "lr": 0.02, "beta": 0.5, "weight_decay": 0.0}
    trained = run(tiny(precision=precision, optimizer=optimizer, training={"steps": 20}))
    exact = run(tiny(optimizer=optimizer, training={"steps": 20}))
    assert trained.steps[-1]["loss"] < trained.steps[0]["loss"] - 1
    assert trained.outcome.validation_loss == pytest.approx(exact.outcome.validation_loss, rel=0.05)


def test_tables_made_in_inference_serve_training(tiny: Make) -> None:
    spec = tiny(model={"rope_base": 123.0})  # whose tables nobody has made yet
    gradient = gradient_of(spec, initial_model(spec))
    with torch.inference_mode():
        gradient.token_losses(rows()[:, :-1], rows()[:, 1:])
    assert gradient(rows()) > 0
