"""The held-out loss: every token but the first, once, however they are grouped."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from descentlab.data.prepare import PreparedData
from descentlab.train import evaluation
from descentlab.train.evaluation import evaluate
from descentlab.train.loop import initial_model
from descentlab.train.spec import RunSpec

CPU = torch.device("cpu")
Make = Callable[..., RunSpec]


class Bigram(nn.Module):
    """Logits that depend on the last token alone, so that no grouping can change a loss."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table_VV = nn.Parameter(3 * torch.randn(257, 257, generator=generator))

    def forward(self, tokens_BL: Tensor) -> Tensor:
        return self.table_VV[tokens_BL]


def token_by_token(model: Bigram, tokens: list[int]) -> float:
    """The mean loss from a loop over consecutive pairs, in float64."""
    table_VV = model.table_VV.detach().double().numpy()
    total = 0.0
    for token, target in itertools.pairwise(tokens):
        total += math.log(np.exp(table_VV[token]).sum()) - table_VV[token, target]
    return total / (len(tokens) - 1)


def lengths_around(count: int) -> list[int]:
    """Sequence lengths that divide the targets, leave a rest of one or more, or exceed them."""
    return [1, 16, 100, count - 2, count - 1, count, 2 * count]


def test_every_token_but_the_first_counts_once(data: PreparedData) -> None:
    model, tokens = Bigram(), data.validation.tokens[:].tolist()
    expected = token_by_token(model, tokens)
    # A target left out or counted twice moves the mean by some 1/count of its own loss.
    for sequence_length in lengths_around(len(tokens)):
        loss = evaluate(model, data, sequence_length=sequence_length, device=CPU)
        assert loss == pytest.approx(expected, rel=1e-6), sequence_length


@pytest.mark.parametrize("at_once", [1, 16, 50, 10_000])
def test_the_number_of_tokens_at_once_does_not_show(
    at_once: int, tiny: Make, data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = initial_model(tiny())
    usual = evaluate(model, data, sequence_length=16, device=CPU)
    monkeypatch.setattr(evaluation, "TOKENS_AT_ONCE", at_once)
    loss = evaluate(model, data, sequence_length=16, device=CPU)
    assert loss == pytest.approx(usual, rel=1e-6)


def test_global_generators_and_the_model_are_left_as_they_were(
    tiny: Make, data: PreparedData
) -> None:
    model = initial_model(tiny())
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    evaluate(model, data, sequence_length=16, device=CPU)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == str(numpy_state)
    assert model.training
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
