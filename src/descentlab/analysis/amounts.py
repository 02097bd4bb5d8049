"""How numbers of tokens are written for people."""

from __future__ import annotations

_UNITS = ((1e12, "trillion", "T"), (1e9, "billion", "B"), (1e6, "million", "M"))
_UNITS += ((1e3, "thousand", "k"), (1.0, "", ""))


def unit_of(tokens: float) -> tuple[float, str, str]:
    """The largest unit that a number fills when three digits of it are written; name and letter."""
    return next((each for each in _UNITS if tokens >= 0.9995 * each[0]), _UNITS[-1])


def amount(tokens: float) -> str:
    """A number of tokens as people say it.

    >>> amount(3_250_585_600), amount(327_680), amount(320), amount(999_950_000)
    ('3.25 billion', '328 thousand', '320', '1 billion')
    """
    unit, name, _ = unit_of(tokens)
    return f"{tokens / unit:.3g} {name}".rstrip()


def short(tokens: float) -> str:
    """The same in a table's cell, or where names are made of it.

    >>> short(5_412_000_000_000), short(3_250_585_600), short(327_680), short(7_680), short(0)
    ('5.41T', '3.25B', '328k', '7.68k', '0')
    """
    unit, _, letter = unit_of(tokens)
    return f"{tokens / unit:.3g}{letter}"
