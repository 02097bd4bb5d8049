"""``descent replay``: what racing would have cost on sweeps that are over, and lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from descentlab.cli.table import aligned
from descentlab.errors import ConfigError, DataError

if TYPE_CHECKING:
    from descentlab.cli.progress import Screen
    from descentlab.sweep.racing.racing import Rules
    from descentlab.sweep.recorded import RecordedSweep
    from descentlab.sweep.replay import Score

    Row = tuple[str, Score, Rules | None]

Name = Literal["racing", "successive-halving", "asha", "median", "random", "none", "all"]

LEGEND = (
    "Cost: share of the price of the whole grid, mean and highest. Regret: perplexity of the "
    "chosen cell less that of the best, mean and highest; ∞ where no run came to its end."
)


def replay(
    stores: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="STORE ...")],
    *,
    racing: Name = "racing",
    seeds: int = 20,
    cells: int = 8,
    subgrids: bool = False,
    leave_one_out: bool = False,
    format: Literal["md", "json"] = "md",
) -> None:
    """Run the real scheduler over stored curves, and say what it costs and loses.

    Every sweep of the stores is replayed, those trained here and those imported. A seed
    draws which part of each curve's points is seen, and the order of the cells. All but
    racing itself get the budget that racing spent on the same sweep.

    Args:
        stores: folders of runs.
        racing: the scheduler; all for each of them, side by side.
        seeds: replays of each sweep.
        cells: of a sweep at least, for it to be replayed.
        subgrids: replay grids without one value, drawn anew for each seed, of each axis.
        leave_one_out: choose the rules of racing on all other sweeps, for each sweep in turn.
        format: a table for people, or JSON.
    """
    from descentlab.cli.progress import Screen
    from descentlab.sweep.replay import CANDIDATES
    from descentlab.sweep.replay import leave_one_out as held_out

    if seeds < 1:
        raise ConfigError(f"seeds: got {seeds}; at least 1 is needed")
    if leave_one_out and racing != "racing":
        raise ConfigError(f"leave-one-out: chooses the rules of racing, and {racing} has none")
    screen = Screen()
    sweeps = _sweeps(stores, cells, screen)
    estimate = _Estimate(screen)
    rows: list[Row]
    if leave_one_out:
        held = held_out(sweeps, CANDIDATES, range(seeds), estimate.show)
        rows = [("racing", each.parts if subgrids else each.whole, each.rules) for each in held]
    else:
        rows = _scores(sweeps, racing, seeds, subgrids, estimate)
    screen.clear()
    if format == "json":
        import msgspec

        print(msgspec.json.format(msgspec.json.encode([_plain(*row) for row in rows])).decode())
    else:
        print(f"{markdown(rows)}\n\n{LEGEND} Seeds: {seeds}.")


def _sweeps(stores: Sequence[Path], cells: int, screen: Screen) -> list[RecordedSweep]:
    from descentlab.runs.store import Store
    from descentlab.sweep.recorded import imported_runs, recorded_runs, sweeps_of

    opened = [Store(path) for path in stores]
    if not opened:
        raise ConfigError("replay: give at least one store")
    runs = [
        run
        for store in opened
        for run in [*recorded_runs(store, screen.tell), *imported_runs(store)]
    ]
    found = [each for each in sweeps_of(runs) if len(each.cells) >= cells]
    if not found:
        where = ", ".join(map(str, stores))
        raise DataError(
            f"{where}: {len(runs)} finished runs, but no sweep of {cells} cells or more among "
            "them; a sweep varies numbers of an optimizer and nothing else"
        )
    return found


def _scores(
    sweeps: Sequence[RecordedSweep], racing: Name, seeds: int, subgrids: bool, estimate: _Estimate
) -> list[Row]:
    from descentlab.sweep.racing.choice import SCHEDULERS
    from descentlab.sweep.replay import at_equal_cost

    names = list(SCHEDULERS) if racing == "all" else [racing]
    rows: list[Row] = []
    for number, sweep in enumerate(sweeps):
        found = at_equal_cost(sweep, names, range(seeds), subgrids=subgrids)
        rows += [(name, each, None) for name, each in found.items()]
        estimate.show(number + 1, len(sweeps))
    return rows


class _Estimate:
    """Shows how far a replay is, and the time that is left."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._began = time.monotonic()

    def show(self, done: int, total: int) -> None:
        from rich.text import Text

        from descentlab.cli.progress import duration

        left = (time.monotonic() - self._began) / done * (total - done)
        line = f"replayed {done} of {total}, {duration(left)} left"
        self._screen.draw(Text(line), line)


def markdown(rows: Sequence[Row]) -> str:
    """A table with a row for each sweep and scheduler, and the mean of each scheduler."""
    header = ["sweep", "cells", "scheduler", "cost", "highest", "regret", "highest"]
    lines = [
        [
            each.sweep,
            str(each.cells),
            name,
            f"{each.cost:.3f}",
            f"{each.highest_cost:.3f}",
            _regret(each.regret),
            _regret(each.highest_regret),
        ]
        for name, each, _ in rows
    ]
    for name in dict.fromkeys(name for name, *_ in rows):
        mine = [each for other, each, _ in rows if other == name]
        if len(mine) > 1:
            cost = sum(each.cost for each in mine) / len(mine)
            regret = sum(each.regret for each in mine) / len(mine)
            highest = (
                max(each.highest_cost for each in mine),
                max(each.highest_regret for each in mine),
            )
            numbers = [f"{cost:.3f}", f"{highest[0]:.3f}", _regret(regret), _regret(highest[1])]
            lines.append(["mean", "", name, *numbers])
    chosen = [f"- {each.sweep}: {_changes(rules)}" for _, each, rules in rows if rules is not None]
    notes = "\n\nRules that were best on the other sweeps:\n" + "\n".join(chosen) if chosen else ""
    return aligned(header, lines) + notes


def _changes(rules: Rules) -> str:
    """What is different from the default rules."""
    import msgspec

    from descentlab.sweep.racing.racing import Rules

    usual = msgspec.structs.asdict(Rules())
    return (
        " ".join(
            f"{name}={value:g}"
            for name, value in msgspec.structs.asdict(rules).items()
            if value != usual[name]
        )
        or "the default ones"
    )


def _regret(perplexity: float) -> str:
    return f"{perplexity:.3f}" if perplexity < float("inf") else "∞"


def _plain(name: str, found: Score, rules: Rules | None) -> dict[str, Any]:
    import msgspec

    return {
        "sweep": found.sweep,
        "cells": found.cells,
        "scheduler": name,
        "cost": found.cost,
        "highest_cost": found.highest_cost,
        "regret": _number(found.regret),
        "highest_regret": _number(found.highest_regret),
        "chosen": [each.chosen for each in found.replays],
    } | ({"rules": msgspec.to_builtins(rules)} if rules else {})


def _number(value: float) -> float | str:
    return value if value < float("inf") else "inf"
