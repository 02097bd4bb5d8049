"""One method's search over its grid, raced: fair tuning at a part of the grid's price.

What ``tuning.Search`` does with whole runs, this does with as much of each as racing needs:
race the grid; where the best lies on an edge, extend the grid there and let the new points
into the race; then let in as many points as other methods tried more. All methods are raced
under the same rules, and every point that entered counts as a trial.
"""

from __future__ import annotations

from collections.abc import Sequence

from descentlab.sweep.racing.full_grid import FullGrid
from descentlab.sweep.racing.grid import Cell, Kind, no_drop_before
from descentlab.sweep.racing.racing import Racing, Rules
from descentlab.sweep.racing.scheduler import Report
from descentlab.sweep.tuning import Axis, Decays, Point, Search


class RacedSearch:
    """A search that asks for parts of runs.

    Use: train what ``ask`` names and ``tell`` of it until nothing is asked; call
    ``extension`` and go on likewise until that lets in no more points; then ``refinement``
    for the trials that others had more, and go on a last time. ``search`` has the best point,
    the edges that it touches, and the scores.

    Args:
        axes: of the grid; the one named ``lr`` holds learning rates.
        method: the method's name, by which runs of SGD are spared for long.
        rules: of the race; None to train every point to its end.
    """

    def __init__(
        self,
        axes: Sequence[Axis],
        *,
        method: str,
        rules: Rules | None = Rules(),  # noqa: B008 frozen
    ) -> None:
        self.search = Search(axes)
        self._no_drop_before = no_drop_before(method)
        self._points: dict[str, Point] = {}
        kinds: dict[str, Kind] = {axis.name: _kind(axis) for axis in axes}
        cells = self._cells(self.search.start())
        self.race = FullGrid(cells, kinds) if rules is None else Racing(cells, kinds, rules=rules)

    def ask(self) -> list[tuple[Point, float]]:
        """Points, and the share of its budget until which each is to be trained."""
        return [(self._points[key], until) for key, until in self.race.ask()]

    def tell(self, point: Point, report: Report) -> None:
        """Take in how a point's run stands."""
        self.race.tell(_key(point), report)
        if self.race.over:
            outcome = self.race.result()
            self.search.observe(
                {
                    self._points[key]: self.race.final(key)
                    for key in [*outcome.finished, *outcome.diverged]
                }
            )
            self.search.passed_over = {
                self._points[key] for key in outcome.unfinished if key not in outcome.diverged
            }

    def point(self, cell: str) -> Point:
        """The point that a cell of the race is."""
        return self._points[cell]

    def reached(self, point: Point) -> float:
        """The share of its budget that a point was trained for."""
        return self.race.reached(_key(point))

    def extension(self) -> list[Point]:
        """Let in new points beyond each edge that the best touches, and return them."""
        return self._enter(self.search.extension())

    def refinement(self, count: int) -> list[Point]:
        """Let in ``count`` points nearest to the best, and return them."""
        return self._enter(self.search.refinement(count))

    def _enter(self, points: list[Point]) -> list[Point]:
        if points:
            self.race.enter(self._cells(points))
        return points

    def _cells(self, points: Sequence[Point]) -> list[Cell]:
        names = [axis.name for axis in self.search.axes]
        self._points |= {_key(point): point for point in points}
        return [
            Cell(
                key=_key(point),
                point=dict(zip(names, point, strict=True)),
                no_drop_before=self._no_drop_before,
            )
            for point in points
        ]


def _key(point: Point) -> str:
    return " ".join(map(repr, point))


def _kind(axis: Axis) -> Kind:
    if axis.name == "lr":
        return "rate"
    return "decay" if isinstance(axis, Decays) else "ordered"
