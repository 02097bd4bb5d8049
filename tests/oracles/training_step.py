"""A training step of the paper's transformer in NumPy float64, gradients derived by hand.

Forward pass, backward pass, clipping and update, each from its formula; nothing of torch or of
the package. The forward pass is that of ``transformer.py`` beside it, over arrays instead of
loops. Matrices act from the left: ``y = x·Wᵀ``.

B batch, L sequence, D width, N heads, H head width, F hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, Array]


@dataclass(frozen=True)
class Shape:
    """What the weights themselves do not tell."""

    layers: int
    heads: int
    rope_base: float = 500_000.0
    eps: float = 1e-6


def gradient_of(
    weights: Weights, rows_BL1: NDArray[np.int64], shape: Shape
) -> tuple[float, Weights]:
    """The mean cross-entropy of a batch in nats, and its gradient by every weight."""
    inputs_BL, targets_BL = rows_BL1[:, :-1], rows_BL1[:, 1:]
    gradients: Weights = {}
    x_BLD = weights["embedding.weight"][inputs_BL]
    ways_back = []
    for layer in range(shape.layers):
        for sublayer in (attention, gated_unit):
            y_BLD, way_back = sublayer(f"blocks.{layer}.", weights, x_BLD, shape)
            ways_back.append(way_back)
            x_BLD = x_BLD + y_BLD
    normed_BLD, norm_back = rms_norm("final_norm.weight", weights, x_BLD, shape.eps)
    logits_BLV, head_back = linear("head.weight", weights, normed_BLD)
    loss, dlogits_BLV = cross_entropy(logits_BLV, targets_BL)

    dx_BLD = norm_back(head_back(dlogits_BLV, gradients), gradients)
    for way_back in reversed(ways_back):
        dx_BLD = dx_BLD + way_back(dx_BLD, gradients)
    dembedding_VD = np.zeros_like(weights["embedding.weight"])
    np.add.at(dembedding_VD, inputs_BL, dx_BLD)
    gradients["embedding.weight"] = dembedding_VD
    return loss, gradients


Back = Callable[[Array, Weights], Array]
"""From the gradient by an output to that by its input; notes those by weights on the way."""


def linear(name: str, weights: Weights, x: Array) -> tuple[Array, Back]:
    def back(dy: Array, gradients: Weights) -> Array:
        gradients[name] = np.tensordot(dy, x, axes=([0, 1], [0, 1]))
        return dy @ weights[name]

    return x @ weights[name].T, back


def rms_norm(name: str, weights: Weights, x_BLD: Array, eps: float) -> tuple[Array, Back]:
    """``n = x/r`` with ``r = sqrt(mean(x²)+eps)``; ``∂n_i/∂x_j = (δ_ij − n_i·n_j/D)/r``."""
    r_BL1 = np.sqrt(np.mean(x_BLD**2, axis=-1, keepdims=True) + eps)
    n_BLD = x_BLD / r_BL1

    def back(dy_BLD: Array, gradients: Weights) -> Array:
        gradients[name] = np.sum(dy_BLD * n_BLD, axis=(0, 1))
        dn_BLD = dy_BLD * weights[name]
        return (dn_BLD - n_BLD * np.mean(dn_BLD * n_BLD, axis=-1, keepdims=True)) / r_BL1

    return n_BLD * weights[name], back


def rotated(x_BNLH: Array, base: float, direction: int = 1) -> Array:
    """Turn each pair (2i, 2i+1) at position t by ``direction·t·base^(−2i/H)``."""
    length, head = x_BNLH.shape[2:]
    angles_LP = direction * np.outer(np.arange(length), base ** (-np.arange(0, head, 2) / head))
    turned_BNLP = (x_BNLH[..., 0::2] + 1j * x_BNLH[..., 1::2]) * np.exp(1j * angles_LP)
    result_BNLH = np.empty_like(x_BNLH)
    result_BNLH[..., 0::2], result_BNLH[..., 1::2] = turned_BNLP.real, turned_BNLP.imag
    return result_BNLH


def attention(prefix: str, weights: Weights, x_BLD: Array, shape: Shape) -> tuple[Array, Back]:
    """``softmax(q·kᵀ/sqrt(H))·v`` over the past of each position, between two projections."""
    batch, length, width = x_BLD.shape
    head = width // shape.heads

    def split(y_BLD: Array) -> Array:
        return y_BLD.reshape(batch, length, shape.heads, head).transpose(0, 2, 1, 3)

    def joined(y_BNLH: Array) -> Array:
        return y_BNLH.transpose(0, 2, 1, 3).reshape(batch, length, width)

    normed_BLD, norm_back = rms_norm(prefix + "attention_norm.weight", weights, x_BLD, shape.eps)
    qkv, qkv_back = linear(prefix + "attention.qkv.weight", weights, normed_BLD)
    q_BNLH, k_BNLH, v_BNLH = map(split, np.split(qkv, 3, axis=-1))
    q_BNLH, k_BNLH = rotated(q_BNLH, shape.rope_base), rotated(k_BNLH, shape.rope_base)
    scores_BNLL = q_BNLH @ k_BNLH.swapaxes(2, 3) / np.sqrt(head)
    scores_BNLL[..., np.triu(np.ones((length, length), dtype=bool), 1)] = -np.inf
    p_BNLL = np.exp(scores_BNLL - scores_BNLL.max(-1, keepdims=True))
    p_BNLL /= p_BNLL.sum(-1, keepdims=True)
    y_BLD, out_back = linear(prefix + "attention.out.weight", weights, joined(p_BNLL @ v_BNLH))

    def back(dy_BLD: Array, gradients: Weights) -> Array:
        dmixed_BNLH = split(out_back(dy_BLD, gradients))
        dp_BNLL = dmixed_BNLH @ v_BNLH.swapaxes(2, 3)
        dscores_BNLL = p_BNLL * (dp_BNLL - np.sum(dp_BNLL * p_BNLL, axis=-1, keepdims=True))
        dq_BNLH = rotated(dscores_BNLL @ k_BNLH / np.sqrt(head), shape.rope_base, -1)
        dk_BNLH = rotated(dscores_BNLL.swapaxes(2, 3) @ q_BNLH / np.sqrt(head), shape.rope_base, -1)
        dv_BNLH = p_BNLL.swapaxes(2, 3) @ dmixed_BNLH
        dqkv = np.concatenate([*map(joined, (dq_BNLH, dk_BNLH, dv_BNLH))], axis=-1)
        return norm_back(qkv_back(dqkv, gradients), gradients)

    return y_BLD, back


def gated_unit(prefix: str, weights: Weights, x_BLD: Array, shape: Shape) -> tuple[Array, Back]:
    """``fc2(a·s(a)·b)`` with ``(a, b) = fc1(x)`` and the logistic function s."""
    normed_BLD, norm_back = rms_norm(prefix + "gated_norm.weight", weights, x_BLD, shape.eps)
    ab, fc1_back = linear(prefix + "gated_unit.fc1.weight", weights, normed_BLD)
    a_BLF, b_BLF = np.split(ab, 2, axis=-1)
    s_BLF = 1 / (1 + np.exp(-a_BLF))
    y_BLD, fc2_back = linear(prefix + "gated_unit.fc2.weight", weights, a_BLF * s_BLF * b_BLF)

    def back(dy_BLD: Array, gradients: Weights) -> Array:
        dproduct_BLF = fc2_back(dy_BLD, gradients)
        da_BLF = dproduct_BLF * b_BLF * (s_BLF + a_BLF * s_BLF * (1 - s_BLF))
        db_BLF = dproduct_BLF * a_BLF * s_BLF
        return norm_back(fc1_back(np.concatenate([da_BLF, db_BLF], axis=-1), gradients), gradients)

    return y_BLD, back


def cross_entropy(logits_BLV: Array, targets_BL: NDArray[np.int64]) -> tuple[float, Array]:
    """Its mean over all targets, and the gradient ``(softmax − 1[target])/(B·L)``."""
    shifted_BLV = logits_BLV - logits_BLV.max(-1, keepdims=True)
    log_p_BLV = shifted_BLV - np.log(np.exp(shifted_BLV).sum(-1, keepdims=True))
    target_BLV = np.eye(logits_BLV.shape[-1])[targets_BL]
    loss = -np.sum(log_p_BLV * target_BLV) / targets_BL.size
    return float(loss), (np.exp(log_p_BLV) - target_BLV) / targets_BL.size


def clipped(gradients: Weights, limit: float) -> tuple[float, Weights]:
    """The norm over all weights, and the gradients times ``min(1, limit/(norm + 1e-6))``."""
    norm = np.sqrt(sum(np.sum(each**2) for each in gradients.values()))
    factor = min(1.0, limit / (norm + 1e-6))
    return float(norm), {name: factor * each for name, each in gradients.items()}


Rule = Callable[[int, Array, dict[str, Array]], Array]
"""From step k, gradient and one weight's memory, empty at k=1, to the direction."""


def adam(beta1: float, beta2: float, eps: float) -> Rule:
    """Averages from zero, corrected: ``(m/(1−β1^k)) / (sqrt(v/(1−β2^k)) + ε)``."""

    def direction(k: int, g: Array, memory: dict[str, Array]) -> Array:
        memory["m"] = beta1 * memory.get("m", np.zeros_like(g)) + (1 - beta1) * g
        memory["v"] = beta2 * memory.get("v", np.zeros_like(g)) + (1 - beta2) * g**2
        return memory["m"] / (1 - beta1**k) / (np.sqrt(memory["v"] / (1 - beta2**k)) + eps)

    return direction


def momentum(beta: float, start: str) -> Rule:
    """``m = β·m + (1−β)·g``; from the first gradient or from zero."""

    def direction(k: int, g: Array, memory: dict[str, Array]) -> Array:
        if k == 1:
            memory["m"] = g.copy() if start == "gradient" else (1 - beta) * g
        else:
            memory["m"] = beta * memory["m"] + (1 - beta) * g
        return memory["m"]

    return direction


def signum(beta: float, start: str) -> Rule:
    average = momentum(beta, start)
    return lambda k, g, memory: np.sign(average(k, g, memory))


@dataclass(frozen=True)
class Step:
    """What one step saw and made."""

    loss: float
    norm: float
    """Of the gradient, before clipping."""
    weights: Weights
    """After the update."""


def training(
    weights: Weights,
    batches: Iterable[NDArray[np.int64]],
    lrs: Iterable[float],
    *,
    shape: Shape,
    rule: Rule,
    weight_decay: float,
    limit: float,
) -> Iterator[Step]:
    """Train, one step at a time: ``w ← w − η·λ·w − η·d``, where vectors do not decay."""
    memory: dict[str, dict[str, Any]] = {name: {} for name in weights}
    for k, (rows_BL1, lr) in enumerate(zip(batches, lrs, strict=True), start=1):
        loss, gradients = gradient_of(weights, rows_BL1, shape)
        norm, gradients = clipped(gradients, limit)
        updated = {}
        for name, w in weights.items():
            decay = weight_decay if w.ndim == 2 else 0.0
            updated[name] = w - lr * decay * w - lr * rule(k, gradients[name], memory[name])
        weights = updated
        yield Step(loss, norm, weights)
