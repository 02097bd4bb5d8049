"""Where the design of a study is too weak for the answer that it asks for.

Each check returns sentences; none, if it has nothing to say. What is known of optima comes
from results, or from who asks: nothing is made up here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from descentlab.config import canonical_json
from descentlab.sweep.study import SEED, Point, Study, label

SEEDS_NEEDED = 3
"""For a comparison: the fewest that give an interval worth the name; the paper's number."""
VALUES_NEEDED = 3
"""On an axis, for an optimum to lie inside."""
TUNED = ("optimizer.", "schedule.")
"""What the keys of tuned settings begin with; others are conditions under which one tunes."""
EVERY_METHOD_HAS = ("optimizer.weight_decay", "optimizer.clip_norm")
"""Settings of optimizers that are no method's own."""

Flat = Mapping[str, Any]
"""Settings of a run by dotted key."""


def few_seeds(study: Study) -> list[str]:
    """Comparisons whose settings run with fewer seeds than ``SEEDS_NEEDED``."""
    methods = list(study.methods or [None])
    counts = {name: len(set(study.seeds_of(name))) for name in methods}
    if len(methods) == 1 and not study.axes_of(methods[0]):
        return []  # nothing is compared
    return [
        f"{_whose(name)}{count} seed{'s' * (count > 1)} for each setting: a comparison needs "
        f"{SEEDS_NEEDED}, as in seeds = {SEEDS_NEEDED}"
        for name, count in counts.items()
        if count < SEEDS_NEEDED
    ]


def unequal_trials(points: Sequence[Point]) -> list[str]:
    """Methods that are tried at different numbers of settings."""
    tried: dict[str | None, set[bytes]] = defaultdict(set)
    for point in points:
        setting = {key: value for key, value in point.values.items() if key != SEED}
        tried[point.method].add(canonical_json(setting))
    counts = {name: len(settings) for name, settings in tried.items()}
    if len(set(counts.values())) < 2:
        return []
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return [f"methods are tried at different numbers of settings ({listed}): more tries win"]


def short_axes(study: Study) -> list[str]:
    """Axes of numbers that are too short for an optimum to lie inside."""
    found: dict[str, None] = {}
    for name in study.methods or [None]:
        for key, values in study.axes_of(name).items():
            count = len({value for value in values if _is_number(value)})
            if 0 < count < VALUES_NEEDED and key.startswith(TUNED):
                where = study.place_of(name, key)
                said = "1 value" if count == 1 else f"{count} values"
                found[f"{where} has {said}: an optimum inside needs {VALUES_NEEDED}"] = None
    return list(found)


def different_nuisance(study: Study, fixed: Mapping[str, Flat]) -> list[str]:
    """Settings that are no method's own, and yet differ between methods.

    Args:
        study: its methods.
        fixed: by method, the whole settings of one of its runs.
    """
    if len(fixed) < 2:
        return []
    varied = {name: set(study.axes_of(name)) for name in fixed}
    keys = {key: None for flat in fixed.values() for key in flat if _is_nuisance(key)}
    found = []
    for key in keys:
        tuned = [name for name in fixed if key in varied[name]]
        others = {name: flat.get(key) for name, flat in fixed.items() if name not in tuned}
        values = {canonical_json(value) for value in others.values()}
        listed = ", ".join(f"{value} for {name}" for name, value in others.items())
        if tuned and others:
            found.append(f"{key} is varied for {', '.join(tuned)} alone; it is {listed}")
        elif len(values) > 1:
            found.append(f"{key} differs between methods: {listed}")
    return found


def optima_on_edges(study: Study, results: Iterable[tuple[Point, float]]) -> list[str]:
    """Best settings that touch the end of an axis, where the next value inside is worse.

    Settings are compared by the mean over their seeds, within one method and under equal
    conditions (what is not tuned). β=0 is no edge, since no decay lies beyond it.

    Args:
        study: its axes.
        results: finished points with their loss, infinite after divergence.
    """
    losses: dict[tuple[str | None, str], dict[str, _Setting]] = defaultdict(dict)
    for point, loss in results:
        tuned = {key: each for key, each in point.values.items() if key.startswith(TUNED)}
        others = {k: v for k, v in point.values.items() if k not in tuned and k != SEED}
        group = losses[point.method, label(others)]
        group.setdefault(_name(tuned), _Setting(tuned)).losses.append(loss)
    found = []
    for (method, condition), settings in losses.items():
        best = min(settings.values(), key=lambda each: each.mean)
        if not math.isfinite(best.mean):
            continue
        under = f" with {condition}" if condition else ""
        for key, values in study.axes_of(method).items():
            edge = _edge(key, values, best.values.get(key), settings, best)
            if edge is not None:
                found.append(
                    f"{_whose(method)}the best of {len(settings)} finished settings{under} has "
                    f"{label({key: best.values[key]})}, the {edge} of its axis: extend it there"
                )
    return found


def known_optimum_outside(
    study: Study, method: str | None, optimum: Mapping[str, float], source: str
) -> list[str]:
    """Axes at whose end, or beyond it, an optimum lies that is known from elsewhere.

    Args:
        study: its axes.
        method: one of its methods.
        optimum: by dotted key, the best value.
        source: whose results say so.
    """
    found = []
    for key, values in study.axes_of(method).items():
        numbers = [float(value) for value in values if _is_number(value)]
        if key not in optimum or len(numbers) < 2:
            continue
        edge = "low" if optimum[key] <= min(numbers) else "high"
        if min(numbers) < optimum[key] < max(numbers):
            continue
        found.append(
            f"{_whose(method)}the best {key.rpartition('.')[2]} of {source} is {optimum[key]:g}, "
            f"on the {edge} edge of {study.place_of(method, key)} or beyond it"
        )
    return found


class _Setting:
    """A tuned setting and its losses, one for each seed."""

    def __init__(self, values: Flat) -> None:
        self.values = values
        self.losses: list[float] = []

    @property
    def mean(self) -> float:
        return sum(self.losses) / len(self.losses)


def _edge(
    key: str, values: Sequence[Any], value: Any, settings: Mapping[str, _Setting], best: _Setting
) -> str | None:
    """Which end of an axis the best lies on, if it is seen to."""
    numbers = sorted({each for each in values if _is_number(each)})
    if not key.startswith(TUNED) or len(numbers) < 2 or not _is_number(value):
        return None
    if value not in (numbers[0], numbers[-1]) or (value == numbers[0] == 0):
        return None
    inside = numbers[1] if value == numbers[0] else numbers[-2]
    inner = settings.get(_name({**best.values, key: inside}))
    if inner is None:  # not finished, or not in the study
        return None
    return "lowest" if value == numbers[0] else "highest"


def _name(setting: Mapping[str, Any]) -> str:
    return canonical_json(dict(setting)).decode()


def _whose(method: str | None) -> str:
    return f"{method}: " if method is not None else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_nuisance(key: str) -> bool:
    own = key.startswith("optimizer.") and key not in EVERY_METHOD_HAS
    return not own and not key.startswith("execution.") and key != SEED
