"""Attention over all pairs against torch's own, in float64, and its mask."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from descentlab.model.attention import by_products, causal_mask, fused


def qkv(length: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (3, 2, 2, length, 8)
    q, k, v = torch.randn(shape, generator=generator, dtype=torch.float64).unbind(0)
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_()


@pytest.mark.parametrize("length", [1, 2, 13])
@pytest.mark.parametrize("seed", range(2))
def test_products_give_the_values_and_gradients_of_the_fused_attention(
    length: int, seed: int
) -> None:
    tensors = qkv(length, seed)
    mask_LL = causal_mask(13)  # serves shorter sequences too
    expected, found = fused(*tensors), by_products(*tensors, mask_LL=mask_LL)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(9)).double()
    for ours, theirs in zip(
        torch.autograd.grad(found, tensors, upstream),
        torch.autograd.grad(expected, tensors, upstream),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_mask_hides_the_future_alone() -> None:
    assert causal_mask(3).tolist() == [
        [0.0, -math.inf, -math.inf],
        [0.0, 0.0, -math.inf],
        [0.0, 0.0, 0.0],
    ]


def test_weights_of_bfloat16_are_normalised_in_float32() -> None:
    q = torch.zeros(1, 1, 400, 8, dtype=torch.bfloat16)
    v = torch.ones(1, 1, 400, 8, dtype=torch.bfloat16)
    mixed = by_products(q, q, v, mask_LL=causal_mask(400))
    # 1/400 rounds to 8 bits by 2^-9 at most, and so does the sum of 400 equal values.
    torch.testing.assert_close(mixed, v, rtol=2**-8, atol=0)
