"""The paper's transformer, to be read from top to bottom (Section A).

Shapes are in the names:
    B batch, L sequence, D width, N heads, H head width, F hidden size, V vocabulary.

Pre-norm blocks with residual additions, RMSNorm, rotary positions, a gated unit with
SiLU, one fused projection for queries, keys and values, no biases, no dropout, an
untied head.
"""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from descentlab.model.kernels import PLAIN, Kernels
from descentlab.model.spec import ModelSpec


class RMSNorm(nn.Module):
    """``x / sqrt(mean(x²) + eps) · weight``, normalised in float32 whatever ``x`` is."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x_BLD: Tensor) -> Tensor:
        """``[B, L, D]`` → the same shape and type; the mean square is taken in float32."""
        wide_BLD = x_BLD.float()
        scale_BL1 = torch.rsqrt(wide_BLD.square().mean(-1, keepdim=True) + self.eps)
        return (wide_BLD * scale_BL1).to(x_BLD.dtype) * self.weight.to(x_BLD.dtype)


@functools.lru_cache(maxsize=32)
def rotations(length: int, rotated: int, base: float, device: torch.device | None = None) -> Tensor:
    """Cosine and sine ``[length, rotated/2, 2]`` of the angles ``position · base^(−2i/rotated)``.

    They are in float32 whatever the model is in, so they are no buffer of it. Equal
    arguments give the same tensor again.
    """
    with torch.inference_mode(False):  # an evaluation may be the first to ask
        pair_P = torch.arange(0, rotated, 2, dtype=torch.float32, device=device)
        position_L = torch.arange(length, dtype=torch.float32, device=device)
        angle_LP = position_L[:, None] * base ** (-pair_P / rotated)
        return torch.view_as_real(torch.polar(torch.ones_like(angle_LP), angle_LP))


def rotate(x_BNLH: Tensor, rotation_LP2: Tensor) -> Tensor:
    """Turn each neighbouring pair ``(2i, 2i+1)`` of the first 2P dimensions by its angle."""
    rotated = 2 * rotation_LP2.shape[-2]
    pairs_BNLP2 = x_BNLH[..., :rotated].float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():  # which fuses real numbers, and leaves complex ones alone
        turned_BNLP2 = _times_real(pairs_BNLP2, rotation_LP2)
    else:
        turned_BNLP2 = _times_complex(pairs_BNLP2, rotation_LP2)
    turned = turned_BNLP2.flatten(-2).to(x_BNLH.dtype)
    if rotated == x_BNLH.shape[-1]:
        return turned
    return torch.cat((turned, x_BNLH[..., rotated:]), dim=-1)


def _times_complex(x_2: Tensor, y_2: Tensor) -> Tensor:
    """Multiply pairs (real, imaginary) in the last dimension as one operation."""
    product = torch.view_as_complex(x_2.contiguous()) * torch.view_as_complex(y_2)
    return torch.view_as_real(product)


def _times_real(x_2: Tensor, y_2: Tensor) -> Tensor:
    """The same written out, with the same rounding."""
    (a, b), (c, d) = x_2.unbind(-1), y_2.unbind(-1)
    return torch.stack((a * c - b * d, a * d + b * c), dim=-1)


class Attention(nn.Module):
    """Causal multi-head attention with scale ``1/sqrt(head width)``."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.qkv = nn.Linear(spec.width, 3 * spec.width, bias=False)
        self.out = nn.Linear(spec.width, spec.width, bias=False)

    def forward(self, x_BLD: Tensor, rotation_LP2: Tensor, kernels: Kernels) -> Tensor:
        """``[B, L, D]`` → what attention adds to it, of the same shape."""
        batch, length, width = x_BLD.shape
        qkv_3BNLH = (
            kernels.project(x_BLD, self.qkv.weight)
            .view(batch, length, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        q_BNLH, k_BNLH, v_BNLH = qkv_3BNLH.unbind(0)
        mixed_BNLH = kernels.attend(
            rotate(q_BNLH, rotation_LP2), rotate(k_BNLH, rotation_LP2), v_BNLH
        )
        mixed_BLD = mixed_BNLH.transpose(1, 2).reshape(batch, length, width)
        return kernels.project(mixed_BLD, self.out.weight)


class GatedUnit(nn.Module):
    """SwiGLU: ``fc2(silu(a) · b)`` with ``(a, b) = fc1(x)``."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.fc1 = nn.Linear(spec.width, 2 * spec.hidden, bias=False)
        self.fc2 = nn.Linear(spec.hidden, spec.width, bias=False)

    def forward(self, x_BLD: Tensor, kernels: Kernels) -> Tensor:
        """``[B, L, D]`` → what the unit adds to it, of the same shape."""
        a_BLF, b_BLF = kernels.project(x_BLD, self.fc1.weight).chunk(2, dim=-1)
        return kernels.project(F.silu(a_BLF) * b_BLF, self.fc2.weight)


class Block(nn.Module):
    """``x += attention(norm(x))``, then ``x += gated_unit(norm(x))``."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(spec.width, spec.norm_eps)
        self.attention = Attention(spec)
        self.gated_norm = RMSNorm(spec.width, spec.norm_eps)
        self.gated_unit = GatedUnit(spec)

    def forward(self, x_BLD: Tensor, rotation_LP2: Tensor, kernels: Kernels) -> Tensor:
        """The residual stream ``[B, L, D]`` after the block."""
        x_BLD = x_BLD + self.attention(self.attention_norm(x_BLD), rotation_LP2, kernels)
        return x_BLD + self.gated_unit(self.gated_norm(x_BLD), kernels)


class Transformer(nn.Module):
    """Next-token logits ``[B, L, V]`` for token ids ``[B, L]``.

    Args:
        spec: the model's sizes and settings.
        generator: draws the initial weights; the same state gives the same weights
            on every machine, since the drawing is done on the CPU.
    """

    def __init__(self, spec: ModelSpec, *, generator: torch.Generator) -> None:
        super().__init__()
        self.spec = spec
        with torch.random.fork_rng(devices=[]):  # torch's own layers draw before we do
            self.embedding = nn.Embedding(spec.vocabulary, spec.width)
            self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.layers))
            self.final_norm = RMSNorm(spec.width, spec.norm_eps)
            self.head = nn.Linear(spec.width, spec.vocabulary, bias=False)
        initialise(self, generator)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """Logits ``[B, L, V]`` of the token after each; for training see ``train.gradient``."""
        return self.head(self.hidden(tokens_BL, self.rotation(tokens_BL)))

    def rotation(self, tokens_BL: Tensor) -> Tensor:
        """The rotary table ``[L, P, 2]`` for sequences of this length, made once."""
        spec = self.spec
        return rotations(tokens_BL.shape[1], spec.rotated, spec.rope_base, tokens_BL.device)

    def hidden(self, tokens_BL: Tensor, rotation_LP2: Tensor, kernels: Kernels = PLAIN) -> Tensor:
        """What the head takes: the states ``[B, L, D]`` after the last norm.

        Args:
            tokens_BL: token ids.
            rotation_LP2: from ``rotation``; an argument, so that nobody compiles its making.
            kernels: how to compute.
        """
        x_BLD = _looked_up(self.embedding, tokens_BL)
        x_BLD = x_BLD.to(kernels.states or x_BLD.dtype)
        for block in self.blocks:
            if kernels.checkpoint and torch.is_grad_enabled():
                x_BLD = checkpoint(block, x_BLD, rotation_LP2, kernels, use_reentrant=False)
            else:
                x_BLD = block(x_BLD, rotation_LP2, kernels)
        return self.final_norm(x_BLD)


@torch.compiler.disable()
def _looked_up(embedding: nn.Embedding, tokens_BL: Tensor) -> Tensor:
    """Never compiled: threads would add up its compiled gradient in an order of their own."""
    return embedding(tokens_BL)


def initialise(model: Transformer, generator: torch.Generator) -> None:
    """Draw every matrix from N(0, std²); norms stay at one.

    The two projections that write into the residual stream of each block get
    ``std / sqrt(2·layers)``, so that its variance does not grow with depth.
    """
    std = model.spec.init_std
    residual_std = std / math.sqrt(2 * model.spec.layers)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() < 2:
                continue
            writes_residual = name.endswith(("attention.out.weight", "gated_unit.fc2.weight"))
            parameter.normal_(0.0, residual_std if writes_residual else std, generator=generator)
