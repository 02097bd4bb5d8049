"""The values of an axis: a list, or a range that says how one value follows from another.

In a study's TOML a range is a table in place of a list, or of an item of one::

    { log = [1e-4, 1e-2], count = 5 }        1e-4, 3.162e-4, 1e-3, 3.162e-3, 1e-2
    { powers_of_two = [-1, 2], times = 1e-3 }       5e-4, 1e-3, 2e-3, 4e-3
    { half_powers_of_two = [1, 2] }                 2, 2.828, 4
    { halving_one_minus = [0.8, 0.9875] }           0.8, 0.9, 0.95, 0.975, 0.9875

In Python the functions of the same names return the same lists. What has to be rounded has
four significant digits, so that settings are stored as they are printed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from descentlab.config import shown
from descentlab.errors import ConfigError, nearest
from descentlab.sweep.tuning import nearer_zero, rounded

LARGEST = 100_000
"""Values of an axis, and runs of a study; more are a mistake."""


def log(first: float, last: float, *, count: int) -> list[float]:
    """``count`` values at equal ratios from ``first`` to ``last``, both included.

    Raises:
        ConfigError: if an end is not positive, or the count is below 2.

    >>> log(1e-4, 1e-2, count=5)
    [0.0001, 0.0003162, 0.001, 0.003162, 0.01]
    """
    if not (first > 0 and last > 0):
        raise ConfigError(f"log: got {first:g} to {last:g}; both ends must be above 0")
    _allow(count, "log")
    ratio = (math.log(last) - math.log(first)) / (count - 1)
    inner = [rounded(first * math.exp(ratio * place)) for place in range(1, count - 1)]
    return [first, *inner, last]


def powers_of_two(first: int, last: int, *, times: float = 1) -> list[float]:
    """``times · 2ᵏ`` for k from ``first`` to ``last``; exact.

    Raises:
        ConfigError: if an exponent is not whole.

    >>> powers_of_two(-1, 2, times=1e-3), powers_of_two(3, 5)
    ([0.0005, 0.001, 0.002, 0.004], [8, 16, 32])
    """
    return [_power(each, times) for each in _exponents(first, last, 1, "powers_of_two")]


def half_powers_of_two(first: float, last: float, *, times: float = 1) -> list[float]:
    """``times · 2ᵏ`` for k from ``first`` to ``last`` in steps of ½.

    Raises:
        ConfigError: if an exponent is no multiple of ½.

    >>> half_powers_of_two(0, 1.5, times=4e-3)
    [0.004, 0.005657, 0.008, 0.01131]
    """
    return [_power(each, times) for each in _exponents(first, last, 2, "half_powers_of_two")]


def halving_one_minus(first: float, last: float) -> list[float]:
    """Decays from ``first`` to ``last``; ``1−β`` halves from one to the next, as in the paper.

    Raises:
        ConfigError: if an end is not in [0, 1), or the last is not among them.

    >>> halving_one_minus(0.8, 0.9875)
    [0.8, 0.9, 0.95, 0.975, 0.9875]
    """
    if not 0 <= first <= last < 1:
        raise ConfigError(
            f"halving_one_minus: got {first:g} to {last:g}; give decays in [0, 1), the lower first"
        )
    halvings = math.log2((1 - first) / (1 - last))
    values = [nearer_zero(first, -place) for place in range(round(halvings) + 1)]
    if not math.isclose(1 - values[-1], 1 - last, rel_tol=1e-6):
        below, above = (nearer_zero(first, -step(halvings)) for step in (math.floor, math.ceil))
        raise ConfigError(
            f"halving_one_minus: from {first:g} it does not come to {last:g}; next to that it "
            f"has {below:.10g} and {above:.10g}"
        )
    return [first, *values[1:-1], last] if len(values) > 1 else [first]


Range = Callable[..., list[float]]

RANGES: Mapping[str, tuple[Range, str | None, type]] = {
    "log": (log, "count", float),
    "powers_of_two": (powers_of_two, "times", int),
    "half_powers_of_two": (half_powers_of_two, "times", float),
    "halving_one_minus": (halving_one_minus, None, float),
}
"""By name: the function, the option that it has, and the kind of its two ends."""


def values_of(given: object, place: str) -> list[Any]:
    """The values of an axis as a study writes it.

    Args:
        given: a list, whose items may be ranges, or a range.
        place: where it stands, to begin an error with.

    Raises:
        ConfigError: if it is neither, or the range is not allowed.

    >>> values_of([0, {"halving_one_minus": [0.8, 0.9]}], "axes.optimizer.beta")
    [0, 0.8, 0.9]
    """
    if isinstance(given, list):
        values: list[Any] = []
        for each in given:
            values += _range(each, place) if _is_range(each) else [each]
        return values
    if _is_range(given):
        return _range(given, place)
    hint = " and write the dotted key in quotes" if isinstance(given, Mapping) else ""
    raise ConfigError(
        f"{place}: give a list of values in brackets{hint}, or a range as in "
        "{ log = [1e-4, 1e-2], count = 5 }"
    )


def _is_range(given: object) -> bool:
    """Whether a table has the name of a range for a key, or nearly so and a list beside it."""
    return isinstance(given, Mapping) and any(
        name in RANGES
        or (isinstance(ends, list) and get_close_matches(name, RANGES, 1, cutoff=0.8))
        for name, ends in given.items()
    )


def _range(given: Any, place: str) -> list[float]:
    name = next((each for each in given if each in RANGES), None)
    if name is None:
        wrong = next(iter(given))
        raise ConfigError(f"{place}.{wrong}: unknown range; {nearest(wrong, RANGES)}")
    function, option, kind = RANGES[name]
    ends = given[name]
    options = {key: value for key, value in given.items() if key != name}
    if unknown := [key for key in options if key != option]:
        allowed = [option] if option else []
        raise ConfigError(
            f"{place}.{unknown[0]}: unknown setting of {name}; {nearest(unknown[0], allowed)}"
        )
    if option == "count" and option not in options:
        raise ConfigError(f"{place}: {name} needs a count, as in {{ {name} = {ends}, count = 5 }}")
    is_pair = isinstance(ends, list) and len(ends) == 2
    if not is_pair or not all(_is_number(each, kind) for each in ends):
        numbers = "whole numbers" if kind is int else "numbers"
        raise ConfigError(
            f"{place}.{name}: got {shown(ends)}; give two {numbers}, the first and the last"
        )
    for key, value in options.items():
        if not _is_number(value, int if key == "count" else float):
            allowed = "a whole number" if key == "count" else "a number"
            raise ConfigError(f"{place}.{key}: got {shown(value)}; give {allowed}")
    try:
        return function(*ends, **options)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def _is_number(value: object, kind: type) -> bool:
    """Whether it is a finite number of a size that settings can have."""
    numbers = int if kind is int else (int, float)
    return isinstance(value, numbers) and not isinstance(value, bool) and abs(value) < 1e300


def _exponents(first: float, last: float, per_one: int, name: str) -> list[float]:
    ends = (first * per_one, last * per_one)
    if not all(float(each).is_integer() for each in ends):
        steps = "whole numbers" if per_one == 1 else "multiples of 0.5"
        raise ConfigError(f"{name}: got {first:g} to {last:g}; exponents must be {steps}")
    if not -1000 <= first <= last <= 1000:
        raise ConfigError(
            f"{name}: got {first:g} to {last:g}; give exponents from -1000 to 1000, the lower first"
        )
    return [place / per_one for place in range(round(ends[0]), round(ends[1]) + 1)]


def _power(exponent: float, times: float) -> float:
    if not exponent.is_integer():
        return rounded(times * 2.0**exponent)
    power = 2.0**exponent
    return int(power) * times if exponent >= 0 else power * times


def _allow(count: int, name: str) -> None:
    if not 2 <= count <= LARGEST:
        raise ConfigError(f"{name}: count is {count}; allowed are 2 to {LARGEST:,}")
