"""Projections ``x · Wᵀ``: torch's own, of bfloat16 factors, and in float32 by oneDNN.

Torch has oneDNN on board but leaves float32 to MKL, which on processors of other makers uses
vectors of half the width: there oneDNN is twice as fast. The products of a projection and of
its gradients are

    y = x·Wᵀ      ∂x = ∂y·W      ∂W = ∂yᵀ·x

and each is one call of the same kernel, which computes ``a·bᵀ`` for row-major a and b.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Project = Callable[[Tensor, Tensor], Tensor]


def plain(x: Tensor, weight: Tensor) -> Tensor:
    """``x · weightᵀ`` for ``[…, k]`` and ``[n, k]`` of one type."""
    return F.linear(x, weight)


def in_bfloat16(x: Tensor, weight: Tensor) -> Tensor:
    """``x · weightᵀ`` of factors rounded to bfloat16, as ``torch.autocast`` computes it.

    Unlike autocast it is part of the program that is compiled, which can then be cached.
    """
    return F.linear(x.to(torch.bfloat16), weight.to(torch.bfloat16))


@torch.library.custom_op("descentlab::product", mutates_args=())
def product(a: Tensor, b: Tensor) -> Tensor:
    """``a·bᵀ`` for matrices ``[m, k]`` and ``[n, k]`` of float32 on a CPU."""
    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")


@product.register_fake
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], b.shape[0])


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    a, b = ctx.saved_tensors
    # The kernel copies what is not row-major: its first operand should be the narrower.
    narrow = b.shape[0] < b.shape[1]
    grad_b = product(grad.t(), a.t()) if narrow else product(a.t(), grad.t()).t()
    return product(grad, b.t()), grad_b


product.register_autograd(_backward, setup_context=_keep)


def by_onednn(x: Tensor, weight: Tensor) -> Tensor:
    """``x · weightᵀ`` for ``[…, k]`` and ``[n, k]`` of float32 on a CPU."""
    rows = product(x.reshape(-1, x.shape[-1]), weight)
    return rows.view(*x.shape[:-1], weight.shape[0])


@functools.cache
def onednn_is_faster() -> bool | None:
    """Whether ``by_onednn`` takes less than 4/5 of torch's time here; None if it does not work.

    Measured once in a process, on one product of 2·10⁸ operations, for some 30 ms. Both take
    turns and their best times count, so that other work on the machine changes no answer.
    """
    x, weight = torch.ones(2048, 128), torch.ones(384, 128)
    best = [math.inf, math.inf]
    try:
        for _ in range(10):
            for place, project in enumerate((product, F.linear)):
                began = time.perf_counter()
                project(x, weight)
                best[place] = min(best[place], time.perf_counter() - began)
    except (AttributeError, RuntimeError):  # another build of torch
        return None
    return best[0] < 0.8 * best[1]
