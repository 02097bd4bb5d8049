"""Every optimizer for one coordinate, as a loop over Python floats (float64).

Each function maps the coordinate's gradients, in order, to its directions. Nothing is
vectorised and nothing is shared between the methods, so that each reads like its formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Directions = Callable[[Sequence[float]], list[float]]


def sign(x: float) -> float:
    return 0.0 if x == 0 else math.copysign(1.0, x)


def clipped(x: float, limit: float) -> float:
    return max(-limit, min(limit, x))


def adam(
    gradients: Sequence[float],
    *,
    beta1: float,
    beta2: float,
    eps: float = 1e-8,
    eps_at: str = "outside",
    bias_correction: bool = True,
    init: str = "zero",
) -> list[float]:
    m = v = 0.0
    directions = []
    for k, g in enumerate(gradients, start=1):
        if k == 1 and init == "gradient":
            m, v = g, g**2
        else:
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
        correction1 = 1 - beta1**k if bias_correction else 1.0
        correction2 = 1 - beta2**k if bias_correction else 1.0
        if eps_at == "outside":
            direction = (m / correction1) / (math.sqrt(v / correction2) + eps)
        elif eps_at == "inside":
            direction = (m / correction1) / math.sqrt(v / correction2 + eps)
        else:
            # Kingma & Ba, section 2: the corrections go into the step size.
            direction = math.sqrt(correction2) / correction1 * m / (math.sqrt(v) + eps)
        directions.append(direction)
    return directions


def adam_variance(gradients: Sequence[float], *, beta: float, **conventions: Any) -> list[float]:
    """Adam with β1=β2, from its moments: the variance form must give the same."""
    return adam(gradients, beta1=beta, beta2=beta, **conventions)


def rmsprop(
    gradients: Sequence[float],
    *,
    beta: float,
    eps: float = 1e-8,
    bias_correction: bool = True,
    init: str = "zero",
) -> list[float]:
    v = 0.0
    directions = []
    for k, g in enumerate(gradients, start=1):
        v = g**2 if k == 1 and init == "gradient" else beta * v + (1 - beta) * g**2
        corrected = v / (1 - beta**k) if bias_correction else v
        directions.append(g / (math.sqrt(corrected) + eps))
    return directions


def signum(
    gradients: Sequence[float],
    *,
    beta: float,
    eps: float = 0.0,
    coordinate_clip: float = math.inf,
    init: str = "zero",
) -> list[float]:
    m = 0.0
    directions = []
    for k, g in enumerate((clipped(each, coordinate_clip) for each in gradients), start=1):
        m = g if k == 1 and init == "gradient" else beta * m + (1 - beta) * g
        directions.append(sign(m) if eps == 0 else m / (abs(m) + eps))
    return directions


def constant_variance(
    gradients: Sequence[float],
    *,
    beta: float,
    variance: float,
    bias_correction: bool = True,
    init: str = "zero",
) -> list[float]:
    m = 0.0
    directions = []
    for k, g in enumerate(gradients, start=1):
        m = g if k == 1 and init == "gradient" else beta * m + (1 - beta) * g
        corrected = m / (1 - beta**k) if bias_correction else m
        scale = math.hypot(corrected, math.sqrt(variance))
        directions.append(corrected / scale if scale else 0.0)
    return directions


def emasign(gradients: Sequence[float], *, beta: float, init: str = "zero") -> list[float]:
    m = 0.0
    directions = []
    for k, g in enumerate(gradients, start=1):
        m = sign(g) if k == 1 and init == "gradient" else beta * m + (1 - beta) * sign(g)
        directions.append(m)
    return directions


def signsgd(gradients: Sequence[float]) -> list[float]:
    return [sign(g) for g in gradients]


def sgd(
    gradients: Sequence[float],
    *,
    momentum: float,
    dampening: float | None = None,
    nesterov: bool = False,
    coordinate_clip: float | None = None,
    init: str = "gradient",
) -> list[float]:
    tau = momentum if dampening is None else dampening
    m = 0.0
    directions = []
    for k, g in enumerate(gradients, start=1):
        m = g if k == 1 and init == "gradient" else momentum * m + (1 - tau) * g
        d = momentum * m + (1 - tau) * g if nesterov else m
        directions.append(d if coordinate_clip is None else clipped(d, coordinate_clip))
    return directions


def weights_over_time(
    directions: Directions,
    start_N: NDArray[np.float64],
    gradients_KN: NDArray[np.float64],
    lrs: Sequence[float],
    weight_decay: float,
) -> NDArray[np.float64]:
    """The weights ``[K, N]`` after each step: ``w ← w − η·λ·w``, then ``w ← w − η·d``."""
    steps, count = gradients_KN.shape
    weights_KN = np.empty((steps, count))
    for n in range(count):
        w = float(start_N[n])
        direction = directions([float(g) for g in gradients_KN[:, n]])
        for k, (d, lr) in enumerate(zip(direction, lrs, strict=True)):
            w = w - lr * weight_decay * w
            w = w - lr * d
            weights_KN[k, n] = w
    return weights_KN
