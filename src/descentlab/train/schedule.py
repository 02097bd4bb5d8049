"""The learning rate at each step: linear warm-up, then a cosine to a floor.

    η(t) = η·t/W                                      for t ≤ W, with η(0) = 0
    η(t) = f + ½(η−f)(1 + cos(π(t−W)/(T−W)))          for t > W

T is the number of updates and W the whole number of steps in the warm-up's share of it
(Section A of the paper). Update k = 1 … T takes η(k); or η(k−1) if updates are counted from 0,
as the public trainer behind the paper does: it steps its scheduler after its optimizer, so
that its first update has a learning rate of 0 and none has the floor.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from descentlab.config import Fraction, NonNegative


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Warm-up and cosine.

    The paper's floor is absolute, 1e-5, which is 0.1% of one optimizer's peak and 2% of
    another's: the schedule's shape then differs between optimizers. A fraction of the
    peak gives all of them the same shape.
    """

    warmup: Fraction = 0.1
    """Share of the steps."""
    floor: NonNegative = 0.0
    """Where the cosine ends."""
    floor_unit: Literal["fraction", "absolute"] = "fraction"
    """Whether ``floor`` is a fraction of the peak, or a learning rate."""
    count_from: Literal[0, 1] = 1
    """The t of the first update: 1, or 0 as in the paper's trainer."""

    def warmup_steps(self, steps: int) -> int:
        """How many whole steps the warm-up takes.

        >>> Schedule(warmup=0.29).warmup_steps(100)
        29
        """
        return int(round(self.warmup * steps, 9))  # 0.29 * 100 is 28.999999999999996

    def floor_lr(self, peak: float) -> float:
        """The learning rate that the cosine ends at, η(T)."""
        return self.floor * peak if self.floor_unit == "fraction" else self.floor

    def lr(self, step: int, *, steps: int, peak: float) -> float:
        """The learning rate of update ``step`` of ``steps``, counted from 1.

        >>> [round(Schedule(warmup=0.5).lr(k, steps=4, peak=1.0), 3) for k in (1, 2, 3, 4)]
        [0.5, 1.0, 0.5, 0.0]
        >>> from_zero = Schedule(warmup=0.5, count_from=0)
        >>> [round(from_zero.lr(k, steps=4, peak=1.0), 3) for k in (1, 2, 3, 4)]
        [0.0, 0.5, 1.0, 0.5]
        """
        warmup = self.warmup_steps(steps)
        t = step - 1 + self.count_from
        if t <= warmup:
            return peak * t / warmup if t else 0.0
        floor = self.floor_lr(peak)
        angle = math.pi * (t - warmup) / (steps - warmup)
        return floor + (peak - floor) * (1 + math.cos(angle)) / 2

    def canonical(self, *, steps: int, peak: float) -> dict[str, Any]:
        """The same schedule in steps and learning rates, of twelve digits."""
        curve = {
            "warmup_steps": self.warmup_steps(steps),
            "floor_lr": float(f"{self.floor_lr(peak):.12g}"),
        }
        # Left out where it is what it always was, so that ids stay as they were.
        return curve if self.count_from == 1 else {**curve, "count_from": self.count_from}
