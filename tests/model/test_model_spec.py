"""Sizes, parameter counts and refusals of a model's spec."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from descentlab.errors import ConfigError
from descentlab.model.attention import by_products, causal_mask
from descentlab.model.kernels import Kernels
from descentlab.model.spec import SIZES, ModelSpec, named
from descentlab.model.transformer import Transformer


def built_on_meta(spec: ModelSpec) -> Transformer:
    """The module with shapes but no numbers, however large."""
    with torch.device("meta"):
        return Transformer(spec, generator=torch.Generator())


@pytest.mark.parametrize(
    ("size", "parameters", "without_embeddings"),
    [("160M", 162_183_936, 84_953_856), ("410M", 411_304_960, 308_331_520)],
)
def test_the_papers_sizes_have_the_published_numbers_of_parameters(
    size: str, parameters: int, without_embeddings: int
) -> None:
    assert named(size).parameters == parameters
    assert named(size).parameters_without_embeddings == without_embeddings


@pytest.mark.parametrize(("width", "hidden"), [(768, 2048), (1024, 2816)])
def test_the_papers_hidden_sizes(width: int, hidden: int) -> None:
    assert ModelSpec(layers=1, heads=1, width=width).hidden == hidden


@pytest.mark.parametrize("width", range(8, 200, 24))
@pytest.mark.parametrize("multiple", [1, 32, 256])
def test_hidden_size_is_the_first_multiple_from_eight_thirds_of_the_width(
    width: int, multiple: int
) -> None:
    hidden = ModelSpec(layers=1, heads=1, width=width, hidden_multiple=multiple).hidden
    assert hidden == next(n for n in itertools.count(0, multiple) if n >= 8 * width // 3)


@pytest.mark.parametrize("size", SIZES)
def test_counted_parameters_are_those_of_the_module(size: str) -> None:
    weights = dict(built_on_meta(named(size)).named_parameters())
    embeddings = weights["embedding.weight"].numel() + weights["head.weight"].numel()
    counted = sum(weight.numel() for weight in weights.values())
    assert counted == named(size).parameters
    assert counted - embeddings == named(size).parameters_without_embeddings


def test_embedding_and_head_are_untied() -> None:
    model = built_on_meta(named("tiny"))
    assert model.embedding.weight is not model.head.weight


@pytest.mark.parametrize(("size", "loss"), [("160M", 10.979), ("410M", 11.030)])
def test_expected_first_loss_of_the_papers_sizes(size: str, loss: float) -> None:
    spec = named(size)
    assert spec.expected_first_loss == math.log(50_280) + spec.width * 0.02**2 / 2
    assert round(spec.expected_first_loss, 3) == loss


@pytest.mark.parametrize(("typed", "meant"), [("160m", "160M"), ("41M", "410M"), ("tin", "tiny")])
def test_unknown_size_gets_the_nearest_name_and_all_that_exist(typed: str, meant: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        named(typed)
    message = str(refusal.value)
    assert repr(typed) in message
    assert f"did you mean {meant}?" in message
    assert all(size in message for size in SIZES)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"width": 33, "heads": 2}, r"width: got 33, which 2 heads do not divide"),
        ({"width": 6, "heads": 2}, r"rope_fraction: 1.0 of a head of 3 rotates 3"),
        ({"width": 16, "heads": 2, "rope_fraction": 0.4}, r"rope_fraction: 0.4 .* rotates 3"),
    ],
)
def test_widths_that_do_not_divide_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ModelSpec(layers=1, **settings)


@pytest.mark.parametrize(("fraction", "rotated"), [(1.0, 64), (0.5, 32), (0.25, 16), (0.0, 0)])
def test_rotated_dimensions_are_the_fraction_of_a_head(fraction: float, rotated: int) -> None:
    spec = ModelSpec(layers=1, heads=12, width=768, rope_fraction=fraction)
    assert spec.rotated == rotated


@pytest.mark.parametrize("length", [1, 24])
@pytest.mark.parametrize("layers", [1, 3])
def test_training_flops_are_those_that_torch_counts(layers: int, length: int) -> None:
    spec = ModelSpec(layers=layers, heads=2, width=16, vocabulary=37, hidden_multiple=8)
    model = Transformer(spec, generator=torch.Generator().manual_seed(0))
    kernels = Kernels(attend=partial(by_products, mask_LL=causal_mask(length)))
    tokens_BL = torch.arange(2 * length).view(2, length) % 37
    with FlopCounterMode(display=False) as counter:
        x_BLD = model.hidden(tokens_BL, model.rotation(tokens_BL), kernels)
        model.head(x_BLD).sum().backward()
    norms = sum(each.numel() for each in model.parameters() if each.dim() == 1)
    counted = counter.get_total_flops() / (2 * length)  # of products alone
    assert spec.training_flops(length) == counted + 6 * norms
