"""Fractions of the budget at which runs pause and are compared."""

from __future__ import annotations

from descentlab.errors import ConfigError

WINDOW = 0.3
"""Share of the training so far whose mean loss is compared, the same for every run."""
LAST = 0.75
"""From here on a run is trained to its end: a rung so late saves too little."""


def rungs(first: float, eta: float) -> list[float]:
    """Rungs a factor of ``eta`` apart, the last at 1.

    >>> rungs(0.1, 2)
    [0.1, 0.2, 0.4, 1.0]
    """
    found = [first]
    while found[-1] * eta < LAST:
        found.append(found[-1] * eta)
    return [*found, 1.0]


def check_rungs(first: float, eta: float) -> None:
    """Refuse rungs that are none.

    Raises:
        ConfigError: for a first rung outside (0, 1), or a factor that is not above 1.
    """
    if not 0 < first < 1:
        raise ConfigError(f"first: got {first}; a share of the budget between 0 and 1")
    if not 1 < eta < float("inf"):
        raise ConfigError(f"eta: got {eta}; it must be above 1")
