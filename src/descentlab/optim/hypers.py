"""Which hyper-parameters are allowed, as numbers and as tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor

from descentlab.errors import ConfigError, nearest
from descentlab.optim.methods import EpsAt, Form, Initial

CHOICES: dict[str, tuple[str, ...]] = {
    "init": get_args(Initial),
    "eps_at": get_args(EpsAt),
    "form": get_args(Form),
}
"""Hyper-parameters that are one of a few names."""

SWITCHES = ("bias_correction", "decoupled_weight_decay", "maximize", "nesterov")
"""Hyper-parameters that are true or false."""

OPTIONAL = ("clip_norm", "coordinate_clip", "dampening")
"""Hyper-parameters that None leaves out."""


def check_hypers(hypers: Mapping[str, Any], decays: tuple[str, ...]) -> None:
    """Refuse hyper-parameters outside their range.

    Args:
        hypers: by name.
        decays: those that must lie in [0, 1); all other numbers in [0, ∞).

    Raises:
        ConfigError: naming the hyper-parameter, its value and what is allowed.
    """
    for name, value in hypers.items():
        high = 1.0 if name in decays else math.inf
        if name in CHOICES:
            if value not in CHOICES[name]:
                raise ConfigError(f"{name}: got {value!r}; {nearest(str(value), CHOICES[name])}")
        elif name in SWITCHES:
            if not isinstance(value, bool):
                raise ConfigError(f"{name}: got {value!r}; allowed are True and False")
        elif name == "betas":
            if not isinstance(value, tuple | list) or len(value) != 2:
                raise ConfigError(f"betas: got {value!r}; allowed is a pair (β1, β2)")
            for place, each in enumerate(value, start=1):
                _check(f"beta{place}", each, high)
        elif value is not None or name not in OPTIONAL:
            _check(name, value, high)


def plain(hyper: Any) -> Any:
    """Return a tensor without dimensions as the number it holds, anything else as it is.

    On a CPU alone, where that costs nothing, and not while torch compiles, which would make
    the number a constant.
    """
    single = isinstance(hyper, Tensor) and hyper.dim() == 0 and hyper.device.type == "cpu"
    return hyper.item() if single and not torch.compiler.is_compiling() else hyper


def _check(name: str, value: Any, high: float) -> None:
    if isinstance(value, Tensor):
        known = value.dim() <= 1 and not value.is_complex()
        allowed = known and bool(((value >= 0) & (value < high)).all())
    else:
        number = isinstance(value, float | int) and not isinstance(value, bool)
        allowed = number and 0 <= value < high
    if not allowed:
        given = value.tolist() if isinstance(value, Tensor) else value
        raise ConfigError(
            f"{name}: got {given!r}; allowed are numbers in [0, {high:g}), "
            "or a tensor of them of shape [] or [R]"
        )
