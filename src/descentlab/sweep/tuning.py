"""Fair tuning: every method searches its own grid and gets the same number of trials.

A search starts from a product grid. Where the best point lies on an edge, the grid is
extended there, at most twice. Searches that needed fewer trials then get as many more,
spent at half steps around their best point, so that no method is tuned more than
another.

A point has one value on each axis. Learning rates lie on a geometric axis; decays on one
that is geometric in ``1−β``, which ends at β=0.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Point = tuple[float, ...]
"""A value on each axis of a search."""

MAX_EXTENSIONS = 2


@dataclass
class Axis(ABC):
    """A setting that is tuned, and the values that the grid gives it, in rising order."""

    name: str
    values: list[float]

    @abstractmethod
    def shifted(self, value: float, steps: float) -> float:
        """The value so many steps of the axis further up; fractions of steps are allowed."""

    @abstractmethod
    def beyond(self, *, up: bool) -> float:
        """The value one step beyond an end of the grid."""

    def ends_at(self, value: float) -> bool:
        """Whether nothing lies below a value."""
        return False

    def close(self, one: float, other: float) -> bool:
        """Whether two values are the same but for rounding."""
        return math.isclose(one, other, rel_tol=1e-3)


@dataclass
class Geometric(Axis):
    """Each value is a fixed ratio above the one before."""

    def shifted(self, value: float, steps: float) -> float:
        return rounded(value * (self.values[1] / self.values[0]) ** steps)

    def beyond(self, *, up: bool) -> float:
        last, inner = (self.values[-1], self.values[-2]) if up else self.values[:2]
        return last**2 / inner


@dataclass
class Decays(Axis):
    """Decays β of a moving average; ``1−β`` halves from one to the next."""

    least: float = 0.0
    """Where the axis ends below; above 0 for a method that cannot do without an average."""

    def shifted(self, value: float, steps: float) -> float:
        return max(self.least, nearer_zero(value, -steps))

    def beyond(self, *, up: bool) -> float:
        return max(self.least, nearer_zero(self.values[-1 if up else 0], -1.0 if up else 1.0))

    def ends_at(self, value: float) -> bool:
        return value <= self.least

    def close(self, one: float, other: float) -> bool:
        return math.isclose(1 - one, 1 - other, rel_tol=1e-3)


@dataclass
class Search:
    """One method's search.

    Use: run ``start()``; then ``observe`` the scores and run ``extension()`` until it is
    empty; then run ``refinement(count)`` for the trials that others had more.

    Args:
        axes: of the grid.
    """

    axes: Sequence[Axis]
    scores: dict[Point, float] = field(default_factory=dict)
    """Final loss of every trial; infinite where it diverged."""
    passed_over: set[Point] = field(default_factory=set)
    """Trials that were not trained to their end, since racing had seen enough of them."""
    extensions: int = 0

    def start(self) -> list[Point]:
        """The points of the grid."""
        return list(itertools.product(*(axis.values for axis in self.axes)))

    def observe(self, scores: Mapping[Point, float]) -> None:
        """Take in the scores of trials."""
        self.scores.update(scores)

    @property
    def trials(self) -> set[Point]:
        """Every point that was tried, to its end or not."""
        return self.passed_over | self.scores.keys()

    @property
    def best(self) -> Point:
        """The finished trial with the lowest score; of equals, the one with the lower values."""
        return min(self.scores, key=lambda point: (self.scores[point], point))

    @property
    def best_by_name(self) -> dict[str, float]:
        """The best point's value on each axis."""
        return {axis.name: value for axis, value in zip(self.axes, self.best, strict=True)}

    def edges(self) -> list[str]:
        """Where the best point touches the end of what was tried: ``low lr``, ``high beta``, …

        β=0 is no edge, since no decay lies beyond it.
        """
        return [f"{'high' if up else 'low'} {axis.name}" for axis, up in self._edges()]

    def _edges(self) -> list[tuple[Axis, bool]]:
        touched: list[tuple[Axis, bool]] = []
        for axis, value in zip(self.axes, self.best, strict=True):
            if value <= min(axis.values) and not axis.ends_at(value):
                touched.append((axis, False))
            if value >= max(axis.values):
                touched.append((axis, True))
        return touched

    def extension(self) -> list[Point]:
        """New points beyond each edge that the best touches; none once it lies inside.

        Each call that returns points counts as one of at most ``MAX_EXTENSIONS``.
        """
        edges = self._edges()
        if not edges or self.extensions == MAX_EXTENSIONS:
            return []
        self.extensions += 1
        for axis, up in edges:
            axis.values.insert(len(axis.values) if up else 0, axis.beyond(up=up))
        return [point for point in self.start() if point not in self.trials]

    def refinement(self, count: int) -> list[Point]:
        """``count`` new points nearest to the best, at half steps of all axes."""
        dimensions = len(self.axes)
        reach = 1 + math.ceil((count + len(self.trials)) ** (1 / dimensions))
        steps = sorted(
            itertools.product(range(-reach, reach + 1), repeat=dimensions),
            key=lambda step: (sum(each**2 for each in step), step),
        )
        found: list[Point] = []
        for half_steps in steps:
            if len(found) == count:
                break
            point = tuple(
                axis.shifted(value, each / 2)
                for axis, value, each in zip(self.axes, self.best, half_steps, strict=True)
            )
            if point not in found and not self._tried(point):
                found.append(point)
        return found

    def _tried(self, point: Point) -> bool:
        return any(
            all(
                axis.close(one, other)
                for axis, one, other in zip(self.axes, point, known, strict=True)
            )
            for known in self.trials
        )


def nearer_zero(beta: float, doublings: float) -> float:
    """The decay with ``1−β`` doubled so many times, and 0 where that passes 1.

    >>> nearer_zero(0.8, 1), nearer_zero(0.6, 2), nearer_zero(0.9, -1)
    (0.6, 0.0, 0.95)
    """
    return max(0.0, round(1 - (1 - beta) * 2**doublings, 10))


def rounded(value: float) -> float:
    """The value with four significant digits, as settings are printed and stored.

    >>> rounded(0.00565685)
    0.005657
    """
    return float(f"{value:.4g}")


def shortfalls(searches: Sequence[Search]) -> list[int]:
    """How many trials each search is behind the one that had most."""
    most = max(len(search.trials) for search in searches)
    return [most - len(search.trials) for search in searches]
