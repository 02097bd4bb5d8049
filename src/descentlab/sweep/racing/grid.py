"""A grid of settings: its cells, which of them are alike, and which are neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from descentlab.errors import ConfigError

Kind = Literal["rate", "decay", "ordered", "category"]
"""What lies along an axis: learning rates, decays β, other numbers, or names.

Only the order of numbers is used, so it does not matter whether an axis is geometric, or
geometric in 1−β. Names have no order: cells that differ in one are in different races.
"""

Value = float | int | str


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One setting, whose run may be trained to any share of its budget."""

    key: str
    """A name of its own, such as the run's id."""
    point: Mapping[str, Value]
    """Its value on each axis."""
    budget: float = 1.0
    """What a whole run costs, in any unit that all cells share."""
    no_drop_before: float = 0.0
    """The share of the budget before which a loss tells too little to drop the cell."""


def no_drop_before(method: str) -> float:
    """The share of its budget before which no run of a method should be dropped.

    Runs of SGD, with whatever clipping, change places until late.

    >>> no_drop_before("sgd+Cclip"), no_drop_before("adam")
    (0.6, 0.0)
    """
    return 0.6 if method.lower().startswith(("sgd", "clipsgd")) else 0.0


class Grid:
    """Cells and the axes on which they lie; cells of the product may be missing.

    Args:
        cells: with different keys and different points.
        axes: the kind of each axis, by name; at most one has learning rates.

    Raises:
        ConfigError: for no cells, keys or points given twice, points off the axes, or
            budgets that are not positive.
    """

    def __init__(self, cells: Sequence[Cell], axes: Mapping[str, Kind]) -> None:
        self.axes = dict(axes)
        self.cells: dict[str, Cell] = {}
        self._ordered = [name for name, kind in axes.items() if kind != "category"]
        self._rates = [name for name, kind in axes.items() if kind == "rate"]
        self._decays = [name for name, kind in axes.items() if kind == "decay"]
        if len(self._rates) > 1:
            raise ConfigError(f"axes {' and '.join(self._rates)}: only one may hold learning rates")
        if not cells:
            raise ConfigError("the grid has no cells; give at least one")
        self.add(cells)

    def add(self, cells: Sequence[Cell]) -> None:
        """Put further cells into the grid, as where it is extended beyond an edge."""
        points = {self._point(cell): key for key, cell in self.cells.items()}
        for cell in cells:
            _check(cell, self.axes)
            if cell.key in self.cells:
                raise ConfigError(f"cell {cell.key}: given twice")
            point = self._point(cell)
            if (other := points.setdefault(point, cell.key)) != cell.key:
                raise ConfigError(f"cells {other} and {cell.key}: have the same settings")
            self.cells[cell.key] = cell
        self._places = self._ranks()
        self._at = {
            (self._category(cell), self._places[key]): key for key, cell in self.cells.items()
        }

    def _point(self, cell: Cell) -> tuple[Value, ...]:
        return tuple(cell.point[name] for name in self.axes)

    def _category(self, cell: Cell) -> tuple[Value, ...]:
        return tuple(cell.point[name] for name, kind in self.axes.items() if kind == "category")

    def _ranks(self) -> dict[str, tuple[int, ...]]:
        values = {
            name: sorted({float(cell.point[name]) for cell in self.cells.values()})
            for name in self._ordered
        }
        return {
            key: tuple(values[name].index(float(cell.point[name])) for name in self._ordered)
            for key, cell in self.cells.items()
        }

    @property
    def price(self) -> float:
        """What it costs to train every cell to its end."""
        return sum(cell.budget for cell in self.cells.values())

    def rate(self, key: str) -> float:
        """A cell's learning rate; 0 for all where no axis holds learning rates."""
        return float(self.cells[key].point[self._rates[0]]) if self._rates else 0.0

    def alike(self, keys: Sequence[str]) -> list[list[str]]:
        """The keys in groups that may be compared from early on: one learning rate each."""
        groups: dict[float, list[str]] = {}
        for key in keys:
            groups.setdefault(self.rate(key), []).append(key)
        return [groups[rate] for rate in sorted(groups)]

    def place(self, key: str) -> tuple[int, ...]:
        """The ranks of a cell's values along the axes of numbers."""
        return self._places[key]

    def neighbours(self, key: str) -> list[str]:
        """The cells one step from a cell: along one axis, or along all its decays together.

        With a learning rate and two decays these are eight, less at the grid's borders.
        """
        here = self._places[key]
        steps = [
            tuple(sign * (name == other) for other in self._ordered)
            for name in self._ordered
            for sign in (-1, 1)
        ]
        if len(self._decays) > 1:
            steps += [
                tuple(sign * (other in self._decays) for other in self._ordered) for sign in (-1, 1)
            ]
        category = self._category(self.cells[key])
        places = [tuple(a + b for a, b in zip(here, step, strict=True)) for step in steps]
        return [self._at[category, place] for place in places if (category, place) in self._at]


def _check(cell: Cell, axes: Mapping[str, Kind]) -> None:
    if set(cell.point) != set(axes):
        raise ConfigError(
            f"cell {cell.key}: has values for {', '.join(sorted(cell.point)) or 'no axis'}; "
            f"the axes are {', '.join(sorted(axes)) or 'none'}"
        )
    for name, kind in axes.items():
        value = cell.point[name]
        if kind != "category" and (isinstance(value, str) or not abs(value) < float("inf")):
            raise ConfigError(f"cell {cell.key}: {name} is {value!r}; a finite number is needed")
    if not 0 < cell.budget < float("inf"):
        raise ConfigError(f"cell {cell.key}: budget is {cell.budget}; it must be above 0")
    if not 0 <= cell.no_drop_before <= 1:
        raise ConfigError(
            f"cell {cell.key}: no_drop_before is {cell.no_drop_before}; it lies in [0, 1]"
        )
