"""The measured variance: which batches, how clipped, and against numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from oracles.plain_gradient import plain_gradient
from torch import Tensor

from descentlab.data.prepare import PreparedData
from descentlab.errors import DataError
from descentlab.train.loop import initial_model
from descentlab.train.noise import check_rows, clipped_gradients, measured_variance, noise_batches
from descentlab.train.plan import batches_for
from descentlab.train.spec import RunSpec

Make = Callable[..., RunSpec]


@pytest.fixture
def probed(tiny: Make) -> RunSpec:
    return tiny(probes={"every": 3, "noise_batches": 4, "noise_every": 3})


def rows(batches: list[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(row) for batch in batches for row in batch.tolist()]


@pytest.mark.parametrize("limit", ["none", 1e3, 0.5])
def test_variance_over_batches_is_numpys_of_the_clipped_gradients(
    limit: float | str, probed: RunSpec, data: PreparedData
) -> None:
    model = initial_model(probed)
    parameters = list(model.parameters())
    batches = list(noise_batches(probed, data, 3))
    assert len(batches) == 4
    stacked = []
    for batch in batches:
        model.zero_grad()
        plain_gradient(model, batch)
        flat = np.concatenate(
            [p.grad.double().numpy().ravel() for p in parameters if p.grad is not None]
        )
        norm = np.sqrt((flat**2).sum())
        assert norm > 0.5
        stacked.append(flat if limit == "none" else flat * min(1.0, float(limit) / norm))
    expected = np.var(stacked, axis=0, ddof=1)

    model.zero_grad()
    found = measured_variance(
        parameters,
        batches,
        lambda batch: plain_gradient(model, batch),
        limit,  # pyright: ignore[reportArgumentType] any text but "none" is not among the cases
    )
    flat = np.concatenate([found[p].double().numpy().ravel() for p in parameters])
    np.testing.assert_allclose(flat, expected, rtol=1e-3, atol=1e-6 * expected.max())


def test_weights_gradients_and_generators_are_left_as_they_were(
    probed: RunSpec, data: PreparedData
) -> None:
    model = initial_model(probed)
    parameters = list(model.parameters())
    plain_gradient(model, next(iter(noise_batches(probed, data, 3))))
    parameters[0].grad = None
    held = [each.grad for each in parameters]
    copies = [None if each is None else each.clone() for each in held]
    weights = [each.detach().clone() for each in parameters]
    torch_state, numpy_state = torch.get_rng_state(), str(np.random.get_state())

    def leave(batch: Tensor) -> None:
        assert all(each.grad is None for each in parameters)
        plain_gradient(model, batch)

    measured_variance(parameters, noise_batches(probed, data, 3), leave, 1.0)
    for parameter, gradient, copy in zip(parameters, held, copies, strict=True):
        assert parameter.grad is gradient
        assert gradient is None or copy is not None
        assert gradient is None or torch.equal(gradient, copy)  # pyright: ignore[reportArgumentType] asserted above
    assert all(torch.equal(*pair) for pair in zip(parameters, weights, strict=True))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == numpy_state


def test_gradients_come_back_when_a_measurement_fails(probed: RunSpec) -> None:
    model = initial_model(probed)
    parameters = list(model.parameters())
    for each in parameters:
        each.grad = torch.ones_like(each)
    held = [each.grad for each in parameters]

    def fail(batch: Tensor) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        measured_variance(parameters, [torch.zeros(1)], fail, 1.0)
    assert [each.grad for each in parameters] == held


def test_batches_are_of_training_rows_none_twice_and_others_at_other_steps_and_seeds(
    tiny: Make, probed: RunSpec, data: PreparedData
) -> None:
    drawn = list(noise_batches(probed, data, 3))
    assert [tuple(batch.shape) for batch in drawn] == [(5, 17)] * 4
    tokens = data.train.tokens[:]
    there = {tuple(tokens[k : k + 17].tolist()) for k in range(0, len(tokens) - 16, 17)}
    assert set(rows(drawn)) <= there
    assert len(set(rows(drawn))) == 20
    again, later = (list(noise_batches(probed, data, step)) for step in (3, 6))
    other = list(
        noise_batches(
            tiny(seed=2, probes={"every": 1, "noise_batches": 4, "noise_every": 3}), data, 3
        )
    )
    own = [torch.from_numpy(batches_for(probed, data)(step)) for step in (1, 2, 3, 4)]
    assert rows(again) == rows(drawn)
    for different in (later, other, own):
        assert set(rows(different)) != set(rows(drawn))


def test_clipping_leaves_the_gradients_and_stands_for_those_that_are_missing(
    probed: RunSpec,
) -> None:
    model = initial_model(probed)
    first, second, *_ = parameters = list(model.parameters())
    first.grad = torch.zeros_like(first)
    first.grad.view(-1)[0] = 8.0
    clipped = clipped_gradients(parameters, 2.0)
    assert clipped[0].flatten()[0].item() == pytest.approx(2.0)
    assert first.grad.flatten()[0].item() == 8.0
    assert second.grad is None
    assert clipped[1].count_nonzero() == 0


def test_more_batches_than_rows_are_refused_before_the_first_step(
    tiny: Make, data: PreparedData
) -> None:
    available = len(data.train.tokens) // 17
    most = available // 5
    check_rows(tiny(probes={"every": 1, "noise_batches": most, "noise_every": 1}), data)
    spec = tiny(probes={"every": 1, "noise_batches": most + 1, "noise_every": 1})
    with pytest.raises(DataError, match=rf"noise_batches={most + 1} of 5 .*; give at most {most},"):
        check_rows(spec, data)
