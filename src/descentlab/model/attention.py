"""Two ways to compute causal attention, ``softmax(q·kᵀ/sqrt(H) + mask)·v``.

Shapes: q, k, v and the result are ``[B, N, L, H]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Torch's own, which never holds the scores of a whole sequence."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def causal_mask(length: int, device: torch.device | None = None) -> Tensor:
    """``[length, length]`` of float32: 0 where a position may look, −∞ where it may not."""
    future_LL = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
    return torch.zeros(length, length, device=device).masked_fill(future_LL, -math.inf)


def by_products(q: Tensor, k: Tensor, v: Tensor, *, mask_LL: Tensor) -> Tensor:
    """Two matrix products and between them a softmax, in float32 at least, over all positions.

    It holds ``[B, N, L, L]`` scores, and is quicker on a CPU where L is short.

    Args:
        q: queries.
        k: keys.
        v: values.
        mask_LL: for sequences of this length or longer.
    """
    length = q.shape[-2]
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = (q @ k.transpose(-1, -2)).to(wide) / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores + mask_LL[:length, :length], dim=-1)
    return weights.to(v.dtype) @ v
