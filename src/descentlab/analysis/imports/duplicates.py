"""Runs that were imported twice: the same run in two sweeps, or one curve under two settings."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from descentlab.config import canonical_json
from descentlab.optim.methods import AnyMethod, Method
from descentlab.runs.imported import ImportedRun


class Repeated(NamedTuple):
    """A run that is there already."""

    first: ImportedRun
    later: ImportedRun
    same_settings: bool
    same_curve: bool


def repeated(runs: Iterable[ImportedRun]) -> list[Repeated]:
    """Find runs with the settings, or with the curve, of an earlier one.

    Settings are compared in the one form in which all their spellings are stored, together with
    text, model, batch, steps and seed; runs of which one of these is not known are compared by
    their curves alone, value by value.
    """
    by_settings: dict[Hashable, ImportedRun] = {}
    by_curve: dict[bytes, ImportedRun] = {}
    found: list[Repeated] = []
    for run in runs:
        key, curve = _key(run), run.curve.tobytes()
        before = by_settings.setdefault(key, run) if key is not None else run
        alike = by_curve.setdefault(curve, run) if curve else run
        first = before if before is not run else alike
        if first is not run:
            found.append(Repeated(first, run, before is first, curve == first.curve.tobytes()))
    return found


def _key(run: ImportedRun) -> Hashable | None:
    conditions = (run.dataset, run.model, run.sequence_length, run.batch_size, run.steps)
    if None in conditions:
        return None
    return (*conditions, run.seed, settings_key({"method": run.method, **run.settings}))


def settings_key(optimizer: Mapping[str, Any]) -> bytes:
    """What all spellings of a method and its settings have in common.

    Args:
        optimizer: as a spec has it.

    >>> settings_key({"method": "rmsprop", "lr": 0.1, "beta": 0.9}) == settings_key(
    ...     {"method": "adam", "lr": 0.1, "beta1": 0.0, "beta2": 0.9}
    ... )
    True
    """
    method: Method = msgspec.convert(dict(optimizer), AnyMethod)
    return canonical_json(method.canonical())
