"""The whole step of every optimizer in float64, written from the formulas alone.

Nothing is shared with the package, and where a formula has two forms the other one stands
here: the variance is ``v − m²``, clipping and decay are steps of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def weights_over_time(
    kind: str, start: Array, gradients: Iterable[Array], **settings: Any
) -> list[Array]:
    """The weights after each gradient, with the optimizer's own names for its settings."""
    given = {**DEFAULTS[kind], **settings}
    w, memory, over_time = start.copy(), {}, []
    for k, raw in enumerate(gradients, start=1):
        g = raw.copy()
        if given.get("clip_norm") is not None:
            g *= min(1.0, given["clip_norm"] / (np.sqrt((g**2).sum()) + 1e-6))
        if given.get("maximize"):
            g = -g
        decay = given.get("weight_decay", 0.0)
        if given.get("decoupled_weight_decay", True):
            d = DIRECTIONS[kind](g, k, memory, given)
            w = w - given["lr"] * decay * w - given["lr"] * d
        else:
            w = w - given["lr"] * DIRECTIONS[kind](g + decay * w, k, memory, given)
        over_time.append(w)
    return over_time


DEFAULTS: dict[str, dict[str, Any]] = {
    "Adam": {"beta": 0.95, "eps": 1e-8, "init": "zero"},
    "RMSprop": {"alpha": 0.95, "eps": 1e-8, "init": "zero"},
    "Signum": {"beta": 0.95, "eps": 0.0, "init": "zero"},
    "ConstantVariance": {"beta": 0.95, "variance": 1e-8, "init": "zero"},
    "EMASign": {"beta": 0.95, "init": "zero"},
    "SignSGD": {},
    "SGD": {"momentum": 0.0, "init": "gradient"},
}


def averaged(name: str, x: Array, k: int, beta: float, memory: dict[str, Array], init: str) -> None:
    before = x if init == "gradient" else np.zeros_like(x)
    memory[name] = beta * memory.get(name, before) + (1 - beta) * x
    if k == 1 and init == "gradient":
        memory[name] = x


def adam(g: Array, k: int, memory: dict[str, Array], s: dict[str, Any]) -> Array:
    beta1, beta2 = s.get("betas") or (s["beta"], s["beta"])
    averaged("m", g, k, beta1, memory, s["init"])
    averaged("v", g**2, k, beta2, memory, s["init"])
    return divided(memory["m"], memory["v"], k, beta1, beta2, s)


def rmsprop(g: Array, k: int, memory: dict[str, Array], s: dict[str, Any]) -> Array:
    averaged("v", g**2, k, s["alpha"], memory, s["init"])
    return divided(g, memory["v"], k, 0.0, s["alpha"], s)


def divided(m: Array, v: Array, k: int, beta1: float, beta2: float, s: dict[str, Any]) -> Array:
    corrected = s.get("bias_correction", True)
    bias1, bias2 = (1 - beta1**k, 1 - beta2**k) if corrected else (1.0, 1.0)
    place = s.get("eps_at", "outside")
    if place == "inside":
        return (m / bias1) / np.sqrt(v / bias2 + s["eps"])
    if place == "uncorrected":
        return (m / bias1) * np.sqrt(bias2) / (np.sqrt(v) + s["eps"])
    return (m / bias1) / (np.sqrt(v / bias2) + s["eps"])


def signum(g: Array, k: int, memory: dict[str, Array], s: dict[str, Any]) -> Array:
    limit = s.get("coordinate_clip")
    clipped = g if limit is None else np.clip(g, -limit, limit)
    averaged("m", clipped, k, s["beta"], memory, s["init"])
    m = memory["m"]
    return np.sign(m) if s["eps"] == 0 else m / (np.abs(m) + s["eps"])


def constant_variance(g: Array, k: int, memory: dict[str, Array], s: dict[str, Any]) -> Array:
    averaged("m", g, k, s["beta"], memory, s["init"])
    m = memory["m"] / (1 - s["beta"] ** k if s.get("bias_correction", True) else 1.0)
    return m / np.sqrt(m**2 + s["variance"])


def emasign(g: Array, k: int, memory: dict[str, Array], s: dict[str, Any]) -> Array:
    averaged("m", np.sign(g), k, s["beta"], memory, s["init"])
    return memory["m"]


def signsgd(g: Array, k: int, memory: dict[str, Array], s: dict[str, Any]) -> Array:
    return np.sign(g)


def sgd(g: Array, k: int, memory: dict[str, Array], s: dict[str, Any]) -> Array:
    beta, tau = s["momentum"], s.get("dampening")
    tau = beta if tau is None else tau
    if beta == 0:
        tau, memory["m"] = 0.0, g
    elif k == 1 and s["init"] == "gradient":
        memory["m"] = g
    else:
        memory["m"] = beta * memory.get("m", np.zeros_like(g)) + (1 - tau) * g
    d = (1 - tau) * g + beta * memory["m"] if s.get("nesterov") else memory["m"]
    limit = s.get("coordinate_clip")
    return d if limit is None else np.clip(d, -limit, limit)


DIRECTIONS = {
    "Adam": adam,
    "RMSprop": rmsprop,
    "Signum": signum,
    "ConstantVariance": constant_variance,
    "EMASign": emasign,
    "SignSGD": signsgd,
    "SGD": sgd,
}
