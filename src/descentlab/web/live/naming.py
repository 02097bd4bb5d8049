"""What the live view calls runs: their method, and what people vary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from descentlab.config import flat
from descentlab.runs.identity import Run
from descentlab.runs.labels import method_label

USUAL = ("lr", "beta", "beta1", "beta2")
"""Settings of an optimizer that its runs are always called by."""
IN_THE_METHOD = ("optimizer.method", "optimizer.clip_norm", "optimizer.coordinate_clip")
"""What a method's label tells, for SGD at least."""
ELSEWHERE = ("execution.", "data.", "probes")
"""What settings begin with that seldom tell runs apart."""


def method_of(run: Run) -> str:
    """The method as tables name it, by what was asked for."""
    settings = optimizer_of(run)
    return method_label(str(settings.get("method", "?")), settings)


def optimizer_of(run: Run) -> dict[str, Any]:
    """The table ``optimizer`` as it was asked for, empty if the run has none."""
    found = run.settings.get("optimizer")
    return dict(found) if isinstance(found, Mapping) else {}


def usual_label(method: str, settings: Mapping[str, Any], seed: object) -> str:
    """Name a run by its method, its learning rate, its averages and its seed.

    >>> usual_label("adam", {"lr": 0.008, "beta": 0.8, "beta1": None}, 1)
    'adam lr=0.008 beta=0.8 seed=1'
    """
    parts = [f"{name}={short(settings[name])}" for name in USUAL if settings.get(name) is not None]
    return " ".join([method, *parts, *([] if seed is None else [f"seed={seed}"])])


def others(run: Run) -> dict[str, object]:
    """The settings that a run's usual label does not have, by dotted key.

    Tables within tables, such as a number for each tensor, are left out.
    """
    usual = {f"optimizer.{name}" for name in USUAL} | {*IN_THE_METHOD, "seed"}
    return {
        key: value
        for key, value in flat(run.settings)
        if key not in usual and key.count(".") < 2 and not key.startswith(ELSEWHERE)
    }


def short(value: object) -> str:
    """A setting as a label has it.

    >>> short(0.0080), short("zero")
    ('0.008', 'zero')
    """
    return f"{value:g}" if isinstance(value, float) else str(value)[:60]
