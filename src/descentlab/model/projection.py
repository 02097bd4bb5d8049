"""Projections ``x · Wᵀ``: torch's own, and in float32 by oneDNN.

Torch has oneDNN on board but leaves float32 to MKL, which on processors of other makers uses
vectors of half the width: there oneDNN is twice as fast. The products of a projection and of
its gradients are

    y = x·Wᵀ      ∂x = ∂y·W      ∂W = ∂yᵀ·x

and each is one call of the same kernel, which computes ``a·bᵀ`` for row-major a and b.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Project = Callable[[Tensor, Tensor], Tensor]


def plain(x: Tensor, weight: Tensor) -> Tensor:
    """``x · weightᵀ`` in the type of ``x``, for ``[…, k]`` and ``[n, k]``."""
    return F.linear(x, weight.to(x.dtype))


@torch.library.custom_op("descentlab::product", mutates_args=())
def product(a: Tensor, b: Tensor) -> Tensor:
    """``a·bᵀ`` for matrices ``[m, k]`` and ``[n, k]`` of float32 on a CPU."""
    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")


@product.register_fake
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], b.shape[0])


class _Projection(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return product(x, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor]:
        (grad,) = gradients
        x, weight = ctx.saved_tensors
        # The kernel copies what is not row-major: its first operand should be the narrower.
        if weight.shape[0] >= weight.shape[1]:
            grad_weight = product(x.t(), grad.t()).t()
        else:
            grad_weight = product(grad.t(), x.t())
        return product(grad, weight.t()), grad_weight


def by_onednn(x: Tensor, weight: Tensor) -> Tensor:
    """``x · weightᵀ`` for ``[…, k]`` and ``[n, k]`` of float32 on a CPU."""
    rows = _Projection.apply(x.reshape(-1, x.shape[-1]), weight)
    return rows.view(*x.shape[:-1], weight.shape[0])


@functools.cache
def onednn_is_faster() -> bool | None:
    """Whether ``by_onednn`` takes less than 4/5 of torch's time here; None if it does not work.

    Measured once in a process, on one product of 2·10⁸ operations, for some 20 ms.
    """
    x, weight = torch.ones(2048, 128), torch.ones(384, 128)
    try:
        times = [_seconds(project, x, weight) for project in (product, F.linear)]
    except (AttributeError, RuntimeError, NotImplementedError):  # another build of torch
        return None
    return times[0] < 0.8 * times[1]


def _seconds(project: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor) -> float:
    """The least of a few times."""
    times: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        project(x, weight)
        times.append(time.perf_counter() - began)
    return min(times)
