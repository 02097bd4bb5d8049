"""A training curve that grows, kept to a bounded number of points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

MOST_POINTS = 800
"""More than a chart has pixels to show; at this many, neighbours are merged in pairs."""
DIGITS = 6
"""Significant ones of a loss that is drawn."""


class Part(msgspec.Struct, frozen=True):
    """The points of a curve from some place on; what a page had from there on is replaced."""

    start: int
    steps: list[int]
    losses: list[float | None]
    """In nats; None where it was not finite."""
    held_out: list[tuple[int, float | None]]
    """Every evaluation on held-out text, whole: step and loss."""


class Place(NamedTuple):
    """Up to where a curve was told."""

    merged: int
    points: int
    held_out: int


BEGINNING = Place(0, 0, 0)


class GrowingCurve:
    """Means of equal stretches of a run's training losses, and its losses on held-out text."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._losses: list[float | None] = []
        self._held_out: list[tuple[int, float | None]] = []
        self._stretch = 1
        self._merged = 0
        self._open: list[float] = []

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take in records of a run's metrics, in their order."""
        for record in records:
            step = int(record.get("step", 0))
            if "loss" in record:
                self._open.append(float(record["loss"]))
                if len(self._open) == self._stretch:
                    self._steps.append(step)
                    self._losses.append(_finite(math.fsum(self._open) / self._stretch))
                    self._open.clear()
                    if len(self._steps) == MOST_POINTS:
                        self._merge()
            if "validation_loss" in record:
                self._held_out.append((step, _finite(float(record["validation_loss"]))))

    def _merge(self) -> None:
        pairs = zip(self._losses[::2], self._losses[1::2], strict=True)
        self._losses = [
            None if one is None or two is None else _finite((one + two) / 2) for one, two in pairs
        ]
        self._steps = self._steps[1::2]
        self._stretch *= 2
        self._merged += 1

    @property
    def place(self) -> Place:
        """Up to where it goes by now."""
        return Place(self._merged, len(self._steps), len(self._held_out))

    def since(self, told: Place = BEGINNING) -> Part:
        """What a page needs that was told the curve up to a place."""
        start = told.points if told.merged == self._merged else 0
        return Part(start, self._steps[start:], self._losses[start:], self._held_out)


def _finite(loss: float) -> float | None:
    return float(f"{loss:.{DIGITS}g}") if math.isfinite(loss) else None
