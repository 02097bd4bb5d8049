"""Several races at once: one for every method, each under the same rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

from descentlab.errors import ConfigError, nearest
from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.scheduler import Decision, Leg, Outcome, Report, Scheduler

Make = Callable[[Sequence[Cell], Mapping[str, Kind]], Scheduler]
"""Makes the scheduler of one race from its cells and its axes."""


class Races:
    """Cells split by their values on the axes of names; each part has a scheduler of its own.

    It is asked and told like a scheduler. Cells of different races are never compared.

    Args:
        cells: of all races, with different keys.
        axes: the kind of each axis, by name.
        make: makes the scheduler of a race.

    Raises:
        ConfigError: for no cells, a key given twice, or a cell off the axes.
    """

    def __init__(self, cells: Sequence[Cell], axes: Mapping[str, Kind], make: Make) -> None:
        names = [name for name, kind in axes.items() if kind == "category"]
        numbers: dict[str, Kind] = {name: kind for name, kind in axes.items() if kind != "category"}
        parts: dict[str, list[Cell]] = {}
        self._race_of: dict[str, str] = {}
        if not cells:
            raise ConfigError("the grid has no cells; give at least one")
        for cell in cells:
            if missing := [name for name in axes if name not in cell.point]:
                raise ConfigError(f"cell {cell.key}: has no value for {', '.join(missing)}")
            race = " ".join(f"{name}={cell.point[name]}" for name in names)
            if cell.key in self._race_of:
                raise ConfigError(f"cell {cell.key}: given twice")
            self._race_of[cell.key] = race
            point = {name: value for name, value in cell.point.items() if name not in names}
            parts.setdefault(race, []).append(
                Cell(
                    key=cell.key,
                    point=point,
                    budget=cell.budget,
                    no_drop_before=cell.no_drop_before,
                )
            )
        self.schedulers = {race: make(part, numbers) for race, part in parts.items()}

    def ask(self) -> list[Leg]:
        """What to train next, a leg of each race in turn, so that none has to wait."""
        asked = [scheduler.ask() for scheduler in self.schedulers.values()]
        return [leg for turn in zip_longest(*asked) for leg in turn if leg is not None]

    def tell(self, key: str, report: Report) -> None:
        """Take in how a cell stands.

        Raises:
            ConfigError: as ``Scheduler.tell`` does.
        """
        if key not in self._race_of:
            raise ConfigError(f"cell {key!r}: in no race; {nearest(key, self._race_of)}")
        self.schedulers[self._race_of[key]].tell(key, report)

    @property
    def over(self) -> bool:
        return all(scheduler.over for scheduler in self.schedulers.values())

    @property
    def cost(self) -> float:
        """Share of the price of all grids together that was spent so far."""
        races = self.schedulers.values()
        price = sum(each.grid.price for each in races)
        return sum(each.cost * each.grid.price for each in races) / price

    @property
    def decisions(self) -> dict[str, list[Decision]]:
        """By race, what was decided and why."""
        return {race: each.decisions for race, each in self.schedulers.items()}

    def results(self, *, seed_sd: float) -> dict[str, Outcome]:
        """By race, what was found so far; ``seed_sd`` as for ``Scheduler.result``."""
        return {race: each.result(seed_sd=seed_sd) for race, each in self.schedulers.items()}
