"""Projections by another library, and of rounded factors, against torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own name for it
from torch import Tensor

from descentlab.model.projection import by_onednn, in_bfloat16, onednn_is_faster

SHAPES = {"wider": (24, 16), "narrower": (8, 40), "square": (16, 16)}


def gradients(project: Any, weight_shape: tuple[int, int], dtype: torch.dtype) -> list[Tensor]:
    """The projection of a batch, and its gradients, for one upstream gradient."""
    generator = torch.Generator().manual_seed(0)
    wide, narrow = weight_shape
    x = torch.randn(3, 5, narrow, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(weight_shape, generator=generator).to(dtype).requires_grad_()
    upstream = torch.randn(3, 5, wide, generator=generator)
    y = project(x, weight)
    return [y, *torch.autograd.grad(y, (x, weight), upstream.to(y.dtype))]


@pytest.mark.skipif(onednn_is_faster() is None, reason="this torch has no oneDNN")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_onednn_gives_torchs_values_and_gradients(shape: tuple[int, int]) -> None:
    expected = gradients(F.linear, shape, torch.float64)
    for ours, exact in zip(gradients(by_onednn, shape, torch.float32), expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_rounded_factors_give_the_bits_of_autocast(shape: tuple[int, int]) -> None:
    def autocast(x: Tensor, weight: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return F.linear(x, weight)

    ours, theirs = (gradients(each, shape, torch.float32) for each in (in_bfloat16, autocast))
    assert [each.dtype for each in ours] == [torch.bfloat16, torch.float32, torch.float32]
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))
