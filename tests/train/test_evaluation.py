"""The held-out loss: every token but the first, once, however they are grouped."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own name for it
from torch import Tensor, nn

from descentlab.data.prepare import PreparedData
from descentlab.train.evaluation import evaluate
from descentlab.train.loop import gradient_of, initial_model
from descentlab.train.spec import RunSpec

CPU = torch.device("cpu")
Make = Callable[..., RunSpec]


class Bigram(nn.Module):
    """Losses that depend on the last token alone, so that no grouping can change a loss."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table_VV = nn.Parameter(3 * torch.randn(257, 257, generator=generator))

    def forward(self, inputs_BL: Tensor, targets_BL: Tensor) -> Tensor:
        logits_NV = self.table_VV[inputs_BL.flatten()]
        return F.cross_entropy(logits_NV, targets_BL.flatten(), reduction="none")


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
        loss = evaluate(model, data, sequence_length=sequence_length, sequences=3, device=CPU)
        assert loss == pytest.approx(expected, rel=1e-6), sequence_length


@pytest.mark.parametrize("sequences", [1, 3, 10_000])
def test_the_number_of_sequences_at_once_does_not_show(
    sequences: int, tiny: Make, data: PreparedData
) -> None:
    losses = gradient_of(tiny(), initial_model(tiny())).token_losses
    loss, usual = (
        evaluate(losses, data, sequence_length=16, sequences=count, device=CPU)
        for count in (sequences, 2)
    )
    assert loss == pytest.approx(usual, rel=1e-6)


def test_global_generators_and_the_model_are_left_as_they_were(
    tiny: Make, data: PreparedData
) -> None:
    model = initial_model(tiny())
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    losses = gradient_of(tiny(), model).token_losses
    evaluate(losses, data, sequence_length=16, sequences=2, device=CPU)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == str(numpy_state)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
