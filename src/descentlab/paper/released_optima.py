"""The best settings among the runs that the paper's authors released, for a plan to know of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

SCALE = MappingProxyType(
    {
        "model.layers": 12,
        "model.heads": 12,
        "model.width": 768,
        "model.vocabulary": 50_280,
        "data.sequence_length": 2048,
        "training.batch_size": 256,
    }
)
"""The 160M models of Table 1, by dotted key of a run's settings."""

OPTIMA: tuple[tuple[Mapping[str, Any], Mapping[str, float]], ...] = (
    (
        {"optimizer.method": "adam", "training.steps": 6200},
        {
            "optimizer.lr": 8e-3,
            "optimizer.beta": 0.95,
            "optimizer.beta1": 0.95,
            "optimizer.beta2": 0.95,
        },
    ),
    (
        {"optimizer.method": "rmsprop", "training.steps": 6200},
        {"optimizer.lr": 2e-3, "optimizer.beta": 0.8},
    ),
    (
        {"optimizer.method": "signum", "optimizer.clip_norm": 1.0, "training.steps": 6200},
        {"optimizer.lr": 5e-4, "optimizer.beta": 0.95},
    ),
    (
        {"optimizer.method": "signum", "optimizer.clip_norm": "none", "training.steps": 6200},
        {"optimizer.lr": 5e-4, "optimizer.beta": 0.9},
    ),
)
"""The best settings of the released 160M runs on SlimPajama, 3.25 billion tokens: what a run's
settings must be, and what was best then."""


def released_optimum(settings: Mapping[str, Any]) -> Mapping[str, float] | None:
    """The best settings of the released runs of a method, if a run has their scale.

    Args:
        settings: of the run, by dotted key.

    >>> at_laptop = {"model.layers": 2, "optimizer.method": "adam"}
    >>> released_optimum(at_laptop) is None
    True
    """
    for needed, best in OPTIMA:
        if all(settings.get(key) == value for key, value in {**SCALE, **needed}.items()):
            return best
    return None
