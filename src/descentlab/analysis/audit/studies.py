"""What to train to settle a finding, as lines to put into a study for ``descent sweep``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from descentlab.analysis.audit.search import Search, number

Settings = Mapping[str, Any]
"""Of an optimizer, as a study has them."""

SEEDS_NEEDED = 3
"""For a comparison: the fewest that give an interval worth the name; the paper's number."""


def methods_of(entries: Mapping[str, tuple[Settings, Mapping[str, Sequence[float]]]]) -> str:
    """A study's table of methods: each with its settings, and axes in place of some.

    Args:
        entries: by method, its settings, and by name the values to try in place of some of them.

    >>> settings = {"method": "sgd", "lr": 0.25, "beta": 0.9}
    >>> print(methods_of({"sgd": (settings, {"lr": [0.5, 1.0]})}))
    [methods]
    sgd.optimizer = { method = "sgd", beta = 0.9 }
    sgd.axes = { "optimizer.lr" = [0.5, 1.0] }
    """
    lines = ["[methods]"]
    for name, (settings, axes) in entries.items():
        key = _key(name)
        fixed = {each: value for each, value in settings.items() if each not in axes}
        lines.append(f"{key}.optimizer = {_table(fixed)}")
        if axes:
            varied = {f'"optimizer.{each}"': list(values) for each, values in axes.items()}
            lines.append(f"{key}.axes = {_table(varied)}")
    return "\n".join(lines)


def fresh_seeds(used: set[int], count: int = SEEDS_NEEDED) -> list[int]:
    """Seeds that have not been used, beyond all that have.

    >>> fresh_seeds({0}), fresh_seeds({0, 101, 102}, 2)
    ([1, 2, 3], [103, 104])
    """
    first = max(used, default=0) + 1
    return list(range(first, first + count))


def outwards(search: Search, axis: str, *, up: bool, count: int = 2) -> list[float]:
    """The next values beyond an end of an axis, as it goes on there.

    Decays go on in ``1−β``, which halves or doubles up to β=0; all others by a fixed ratio,
    and from 0 nowhere.
    """
    values = search.axes[axis]
    last = values[-1 if up else 0]
    inner = next((each for each in (reversed(values) if up else values) if each != last), last)
    found: list[float] = []
    for _ in range(count):
        if axis.startswith("beta"):
            beta = 1 - (1 - last) * (0.5 if up else 2.0)
            last = max(0.0, round(beta, 10))
        elif inner > 0 and math.isfinite(last):
            last, inner = float(f"{last * last / inner:.4g}"), last
        else:
            break
        if last not in found and last not in values:
            found.append(last)
    return found


def _key(name: str) -> str:
    """A method's name in the letters that a study allows, quoted where TOML needs it."""
    first = name.partition(" = ")[0]  # of several names for the same runs
    kept = re.sub(r"[^A-Za-z0-9._+-]+", "-", first).strip("-")
    return kept if re.fullmatch(r"[A-Za-z0-9_-]+", kept) else f'"{kept}"'


def _table(values: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{name} = {_value(value)}" for name, value in values.items()) + " }"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return _table({f'"{name}"': each for name, each in value.items()})
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    text = number(float(value))
    return text if any(each in text for each in ".e") or isinstance(value, int) else f"{text}.0"
