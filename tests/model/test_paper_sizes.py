"""The paper's two models as they are built: every tensor, its first spread, and the first loss."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own name for it
from msgspec.structs import replace
from torch import Tensor

from descentlab.model.spec import ModelSpec, named
from descentlab.model.transformer import Transformer
from descentlab.optim.groups import parameter_groups

# layers, width, hidden size; vocabulary 50280
PUBLISHED = {"160M": (12, 768, 2048), "410M": (24, 1024, 2816)}


def on_meta(spec: ModelSpec) -> Transformer:
    with torch.device("meta"):
        return Transformer(spec, generator=torch.Generator())


def listed(layers: int, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """Every tensor of the paper's model, by its name here."""
    block = {
        "attention_norm.weight": (width,),
        "attention.qkv.weight": (3 * width, width),
        "attention.out.weight": (width, width),
        "gated_norm.weight": (width,),
        "gated_unit.fc1.weight": (2 * hidden, width),
        "gated_unit.fc2.weight": (width, hidden),
    }
    return {
        "embedding.weight": (50_280, width),
        **{f"blocks.{n}.{name}": shape for n in range(layers) for name, shape in block.items()},
        "final_norm.weight": (width,),
        "head.weight": (50_280, width),
    }


@pytest.mark.parametrize("size", PUBLISHED)
def test_the_papers_models_have_these_tensors_and_no_other(size: str) -> None:
    built = {name: tuple(each.shape) for name, each in on_meta(named(size)).named_parameters()}
    assert built == listed(*PUBLISHED[size])
    assert not list(on_meta(named(size)).buffers())


@pytest.mark.parametrize(
    ("size", "parameters", "embeddings"),
    [("160M", 162_183_936, 77_230_080), ("410M", 411_304_960, 102_973_440)],
)
def test_built_they_have_the_published_numbers_of_parameters(
    size: str, parameters: int, embeddings: int
) -> None:
    weights = {name: each.numel() for name, each in on_meta(named(size)).named_parameters()}
    assert sum(weights.values()) == parameters
    assert weights["embedding.weight"] + weights["head.weight"] == embeddings


@pytest.mark.parametrize("size", PUBLISHED)
def test_all_of_them_decays_but_the_norms(size: str) -> None:
    layers, width, hidden = PUBLISHED[size]
    decayed, spared = parameter_groups(on_meta(named(size)), weight_decay=0.1)
    shapes = listed(layers, width, hidden)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert decayed["param_names"] == [name for name in shapes if "norm" not in name]
    assert spared["param_names"] == [name for name in shapes if "norm" in name]
    assert sum(each.numel() for each in spared["params"]) == (2 * layers + 1) * width


def assert_stated_spread(spec: ModelSpec) -> None:
    model = Transformer(spec, generator=torch.Generator().manual_seed(0))
    residual = 0.02 / math.sqrt(2 * spec.layers)
    spreads = {"out.weight": residual, "fc2.weight": residual}
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            assert torch.equal(weight, torch.ones_like(weight)), name
            continue
        std = spreads.get(name.split(".", 3)[-1], 0.02)
        # Five standard errors: 0.4% of the spread of the smallest matrix.
        count = weight.numel()
        assert weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count)), name
        assert weight.mean().item() == pytest.approx(0, abs=5 * std / math.sqrt(count)), name


def test_each_tensor_of_160m_starts_with_the_stated_spread() -> None:
    assert_stated_spread(replace(named("160M"), vocabulary=1000))


@pytest.mark.slow
@pytest.mark.parametrize("size", PUBLISHED)
def test_each_tensor_of_the_whole_model_starts_with_the_stated_spread(size: str) -> None:
    assert_stated_spread(named(size))


def mean_loss(model: Transformer, tokens_BL1: Tensor) -> float:
    """By sequences, since a thousand tokens have 200 MB of logits."""
    total = 0.0
    with torch.no_grad():
        for tokens_L1 in tokens_BL1:
            logits_LV = model(tokens_L1[None, :-1])[0]
            total += F.cross_entropy(logits_LV, tokens_L1[1:]).item()
    return total / len(tokens_BL1)


@pytest.mark.parametrize("layers", [1, pytest.param(12, marks=pytest.mark.slow)])
def test_the_first_loss_of_160m_is_10_979_nats(layers: int) -> None:
    spec = replace(named("160M"), layers=layers)
    model = Transformer(spec, generator=torch.Generator().manual_seed(0))
    tokens_BL1 = torch.randint(50_280, (8, 129), generator=torch.Generator().manual_seed(1))
    # The losses spread as the targets' logits do, with variance d·0.02² = 0.307; five standard
    # errors of 1024 of them are 0.087, well below the term d·0.02²/2 = 0.154 that is to be seen.
    assert mean_loss(model, tokens_BL1) == pytest.approx(10.979, abs=5 * math.sqrt(0.307 / 1024))
