"""Several races: one for every method, each under the same rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from descentlab.errors import ConfigError
from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.scheduler import Scheduler

Make = Callable[[Sequence[Cell], Mapping[str, Kind]], Scheduler]
"""Makes the scheduler of one race from its cells and its axes."""


def races(cells: Sequence[Cell], axes: Mapping[str, Kind], make: Make) -> dict[str, Scheduler]:
    """Split cells by their values on the axes of names, and give each part a scheduler.

    Args:
        cells: of all races, with different keys.
        axes: the kind of each axis, by name.
        make: makes the scheduler of a race.

    Returns:
        By what all cells of a race share, such as ``method=adam``, its scheduler.

    Raises:
        ConfigError: for no cells, a key given twice, or a cell off the axes.
    """
    names = [name for name, kind in axes.items() if kind == "category"]
    numbers: dict[str, Kind] = {name: kind for name, kind in axes.items() if kind != "category"}
    parts: dict[str, list[Cell]] = {}
    keys: set[str] = set()
    if not cells:
        raise ConfigError("the grid has no cells; give at least one")
    for cell in cells:
        if missing := [name for name in axes if name not in cell.point]:
            raise ConfigError(f"cell {cell.key}: has no value for {', '.join(missing)}")
        if cell.key in keys:
            raise ConfigError(f"cell {cell.key}: given twice")
        keys.add(cell.key)
        race = " ".join(f"{name}={cell.point[name]}" for name in names)
        point = {name: value for name, value in cell.point.items() if name not in names}
        parts.setdefault(race, []).append(
            Cell(
                key=cell.key,
                point=point,
                budget=cell.budget,
                no_drop_before=cell.no_drop_before,
            )
        )
    return {race: make(part, numbers) for race, part in parts.items()}
