"""Conventions of training under one name: what a spec leaves out, they fill in.

``conventions = "paper"`` at the top of a spec stands for the choices of the public trainer
behind the paper (plainLM, as it was at the time), as far as the paper, that trainer and the
released runs tell them; ``descentlab``, the default, for the defaults of every setting.
What a spec says itself always wins. Names are resolved before a spec is built: a run is the
same whether it names its conventions or writes them out, and keeps them should they change.

docs/conventions.md lists every difference, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from descentlab.config import shown
from descentlab.errors import ConfigError, nearest

Defaults = Mapping[str, Mapping[str, Any]]

_EVERY = {"weight_decay": 0.1, "clip_norm": 1.0, "decay": "decoupled"}
_AVERAGES = {"eps": 1e-8, "bias_correction": True, "init": "zero"}

PAPER: Defaults = MappingProxyType(
    {
        "model": {
            "hidden_multiple": 256,
            "rope_fraction": 1.0,
            "rope_base": 500_000.0,
            "norm_eps": 1e-6,
            "init_std": 0.02,
        },
        "schedule": {"warmup": 0.1, "floor": 1e-5, "floor_unit": "absolute", "count_from": 0},
    }
)
"""Settings by table. A named ``model.size`` says all of its own."""

PAPER_METHODS: Defaults = MappingProxyType(
    {
        "adam": {**_EVERY, **_AVERAGES},
        "rmsprop": {**_EVERY, **_AVERAGES},
        "signum": {**_EVERY, "eps": 0.0, "init": "gradient"},
        "emasign": {**_EVERY, "init": "zero"},
        "signsgd": _EVERY,
        "sgd": {**_EVERY, "weight_decay": 0.0, "coordinate_clip": "none", "init": "gradient"},
    }
)
"""Settings by method. SGD's dampening is its β, as by default. The paper does not tell where
emasign's average starts, nor does its trainer, which has no emasign."""

CONVENTIONS: Mapping[str, tuple[Defaults, Defaults]] = MappingProxyType(
    {"descentlab": ({}, {}), "paper": (PAPER, PAPER_METHODS)}
)
"""By name: the settings of tables, and of methods."""


def with_conventions(settings: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return the settings with their ``conventions`` written out, and that key gone.

    Args:
        settings: tables as in a spec file; what is no table is left to be refused later.
        where: the file or command that they came from.

    Raises:
        ConfigError: if no conventions have that name.

    >>> spec = {"conventions": "paper", "optimizer": {"method": "signum", "eps": 1e-3}}
    >>> filled = with_conventions(spec, where="spec.toml")["optimizer"]
    >>> filled["eps"], filled["init"], filled["clip_norm"]
    (0.001, 'gradient', 1.0)
    """
    filled = dict(settings)
    name = filled.pop("conventions", "descentlab")
    if not isinstance(name, str) or name not in CONVENTIONS:
        raise ConfigError(
            f"{where}: conventions: none are called {shown(name)}; "
            f"{nearest(shown(name), CONVENTIONS)}"
        )
    tables, methods = CONVENTIONS[name]
    for table, defaults in tables.items():
        filled[table] = _beneath(filled.get(table, {}), defaults)
    if "optimizer" in filled:
        filled["optimizer"] = _method(filled["optimizer"], methods)
    probes = filled.get("probes")
    if isinstance(probes, Mapping) and isinstance(probes.get("shadows"), list | tuple):
        shadows = [_method(each, methods) for each in probes["shadows"]]
        filled["probes"] = {**probes, "shadows": shadows}
    return filled


def _beneath(given: Any, defaults: Mapping[str, Any]) -> Any:
    return {**defaults, **given} if isinstance(given, Mapping) else given


def _method(given: Any, methods: Defaults) -> Any:
    """Fill in the settings of a method, by its name."""
    name = given.get("method") if isinstance(given, Mapping) else None
    return _beneath(given, methods.get(name, {}) if isinstance(name, str) else {})
