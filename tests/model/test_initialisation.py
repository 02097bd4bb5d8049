"""First weights: their spread, their seed, and the loss that they give."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own name for it

from descentlab.model.spec import ModelSpec
from descentlab.model.transformer import Transformer

SPEC = ModelSpec(layers=3, heads=4, width=128, vocabulary=2000)


def initial(spec: ModelSpec, seed: int) -> Transformer:
    return Transformer(spec, generator=torch.Generator().manual_seed(seed))


def test_each_matrix_has_the_stated_spread() -> None:
    for name, weight in initial(SPEC, seed=0).named_parameters():
        if weight.dim() < 2:
            continue
        residual = name.endswith(("out.weight", "fc2.weight"))
        std = 0.02 / math.sqrt(2 * SPEC.layers) if residual else 0.02
        count = weight.numel()
        # The standard errors of a mean and of a standard deviation; five of them.
        assert weight.mean().item() == pytest.approx(0, abs=5 * std / math.sqrt(count)), name
        assert weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count)), name


def test_weights_are_normal() -> None:
    weights = initial(SPEC, seed=0).head.weight.detach().flatten()
    shares = [(weights.abs() < k * 0.02).double().mean().item() for k in (1, 2, 3)]
    assert shares == pytest.approx([0.6827, 0.9545, 0.9973], abs=0.005)


def test_norms_start_at_one() -> None:
    norms = [each for each in initial(SPEC, seed=0).parameters() if each.dim() < 2]
    assert len(norms) == 2 * SPEC.layers + 1
    assert all(torch.equal(norm, torch.ones(SPEC.width)) for norm in norms)


def test_same_seed_draws_the_same_weights_whatever_the_global_generator() -> None:
    torch.manual_seed(1)
    first = initial(SPEC, seed=0).state_dict()
    torch.manual_seed(2)
    second = initial(SPEC, seed=0).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_other_seed_draws_other_weights() -> None:
    first, second = initial(SPEC, seed=0).state_dict(), initial(SPEC, seed=1).state_dict()
    matrices = [name for name in first if first[name].dim() >= 2]
    assert not any(torch.equal(first[name], second[name]) for name in matrices)


@pytest.mark.parametrize("init_std", [0.02, 0.08])
@pytest.mark.parametrize("seed", range(3))
def test_first_loss_is_the_closed_form(init_std: float, seed: int) -> None:
    spec = ModelSpec(layers=1, heads=4, width=128, vocabulary=500, init_std=init_std)
    tokens_BL1 = torch.randint(500, (128, 65), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        logits_BLV = initial(spec, seed)(tokens_BL1[:, :-1])
    losses = F.cross_entropy(
        logits_BLV.flatten(0, 1), tokens_BL1[:, 1:].flatten(), reduction="none"
    )
    variance = 128 * init_std**2
    # Nearly all of the spread of the losses is that of the targets' logits. Five standard
    # errors of their mean are half of the second term or less, so that it is seen.
    error = math.sqrt(variance / losses.numel())
    assert losses.mean().item() == pytest.approx(math.log(500) + variance / 2, abs=5 * error)
