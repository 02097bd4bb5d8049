"""Where a loss jumped up, and whether it came back: a pure function of the recorded losses."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

WINDOW = 50
"""Calm steps before a step that it is compared with."""
LEAST = 10
"""Calm steps that a comparison needs."""
DEVIATIONS = 8.0
"""Standard deviations above the median, as estimated by the median absolute deviation."""
SHARE = 0.02
"""Of the median that a spike must rise by at least, since calm losses may hardly vary."""


class Spike(NamedTuple):
    """Consecutive steps with a loss far above those before."""

    first: int
    last: int
    highest: float
    recovered: bool
    """Whether a calm step came after."""


def spikes(steps: Sequence[int], losses: Sequence[float]) -> list[Spike]:
    """Find the spikes of a loss curve.

    A step belongs to a spike if its loss exceeds the median m of the last 50 calm losses by
    more than 8 times 1.4826·MAD, an estimate of their standard deviation, and by 2% of m.

    Args:
        steps: in rising order.
        losses: one for each, in nats; infinite and NaN count as far above.

    >>> calm = [3.0 + 0.01 * (k % 3) for k in range(20)]
    >>> spikes(range(1, 26), [*calm, 9.0, 8.0, 3.0, 3.01, 3.0])
    [Spike(first=21, last=22, highest=9.0, recovered=True)]
    """
    found: list[Spike] = []
    calm: list[float] = []
    open_spike: Spike | None = None
    for step, loss in zip(steps, losses, strict=True):
        if len(calm) >= LEAST and not loss <= _limit(calm[-WINDOW:]):
            first = open_spike.first if open_spike else step
            highest = max(loss, open_spike.highest) if open_spike else loss
            open_spike = Spike(first, step, highest, recovered=False)
            continue
        if open_spike is not None:
            found.append(open_spike._replace(recovered=True))
            open_spike = None
        calm.append(loss)
    return [*found, open_spike] if open_spike else found


def _limit(calm: Sequence[float]) -> float:
    middle = median(calm)
    deviation = 1.4826 * median(abs(each - middle) for each in calm)
    return middle + max(DEVIATIONS * deviation, SHARE * abs(middle))
