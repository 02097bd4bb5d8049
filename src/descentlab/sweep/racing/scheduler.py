"""The contract of all schedulers: ask what to train next, tell what came out.

    while legs := scheduler.ask():
        … train the legs, in any order, as many at once as there is room …
        scheduler.tell(key, report)      # for each, as it ends
    scheduler.result()

``ask`` returns all that may be trained at once and changes nothing; what is being trained
stays in it until it is told. So nothing is lost with a killed driver: a new scheduler that is
told the recorded reports in their order asks for the same as the old one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple, TypedDict

import msgspec

from descentlab.errors import ConfigError, nearest
from descentlab.runs.races import Decision, Verdict
from descentlab.seeding import permutation
from descentlab.sweep.racing.curve import EMPTY, Curve
from descentlab.sweep.racing.grid import Cell, Grid, Kind

ROUNDING = 1e-9
SEED_SD = 0.0045
"""Nats: the standard deviation of a final loss over seeds. The paper's 2σ is about 0.2 of
perplexity at 22."""


class Leg(NamedTuple):
    """Train a cell until a share of its budget, from where it stands."""

    key: str
    until: float


class Report(NamedTuple):
    """How a cell stands."""

    fraction: float
    """The share of its budget that it has been trained for."""
    curve: Curve = EMPTY
    """Its training losses up to there."""
    loss: float | None = None
    """Its final held-out loss in nats, once it is whole."""
    diverged: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a race found."""

    winner: str | None
    """None if no cell came to its end with a finite loss."""
    loss: float | None
    """The winner's, in nats."""
    within_noise: list[str]
    """Cells that came to their end and whose loss is the winner's but for noise: not more than
    2√2 standard deviations of seeds above it. The winner is the first."""
    finished: list[str]
    """All that came to their end, best first."""
    unfinished: dict[str, float]
    """Cells that were dropped or never begun, and how far they came. Nothing is known of their
    final losses."""
    diverged: list[str]
    cost: float
    """Share of the whole grid's price."""


class Usual(TypedDict, total=False):
    """What every scheduler may be given besides its cells and axes."""

    seed: int
    budget: float


class Scheduler(ABC):
    """Decides which cells of one grid are trained on.

    A subclass says what it wants in ``_begin`` and, after each report, in ``_advance``, by
    ``_want`` and ``_decide``, and nowhere else. An object is used by one thread.

    Args:
        cells: of one race.
        axes: on which they lie; none may be of the kind category.
        seed: of random choices, if it makes any.
        budget: share of the grid's price that may be asked for.
    """

    name: ClassVar[str]

    def __init__(
        self,
        cells: Sequence[Cell],
        axes: Mapping[str, Kind],
        *,
        seed: int = 0,
        budget: float = 1.0,
    ) -> None:
        if not 0 < budget <= 1:
            raise ConfigError(f"budget: got {budget}; a share of the grid's price in (0, 1]")
        self.grid = Grid(cells, axes)
        if names := [name for name, kind in axes.items() if kind == "category"]:
            raise ConfigError(f"axis {names[0]}: a race has no categories; use races() to split it")
        self.seed = seed
        self.budget = budget
        self.decisions: list[Decision] = []
        self._reports: dict[str, Report] = {}
        self._wanted: dict[str, float] = {}
        self._dropped: set[str] = set()
        self._shares: dict[str, float] = {}
        self._committed = 0.0
        self._begin()

    @property
    def cells(self) -> Iterable[str]:
        """The keys of all cells."""
        return self.grid.cells

    def ask(self) -> list[Leg]:
        """What to train next, the most urgent first; empty when the race is over."""
        return [Leg(key, until) for key, until in self._wanted.items()]

    def tell(self, key: str, report: Report) -> None:
        """Take in how a cell stands.

        It may have come further than was asked, as a run that had its result before. A
        report from before the fraction that was asked leaves it asked.

        Raises:
            ConfigError: for a cell that is not in the grid, a fraction that is no share, or a
                whole run without a loss.
        """
        report = self._checked(key, report)
        before = self._reports.get(key)
        if before is not None and (before.fraction > report.fraction or self._whole(key)):
            return  # an old report that came late
        self._reports[key] = report
        self._commit(key)
        until = self._wanted.get(key)
        if until is None or self._whole(key) or report.fraction >= until - ROUNDING:
            asked = self._wanted.pop(key, None) is not None
            self._commit(key)
            if report.diverged and key not in self._dropped:
                self._decide(key, report.fraction, "dropped", "diverged")
            if asked:
                self._advance(key)

    def _checked(self, key: str, report: Report) -> Report:
        if key not in self.grid.cells:
            raise ConfigError(f"cell {key!r}: not in this grid; {nearest(key, self.grid.cells)}")
        if not 0 <= report.fraction <= 1 + ROUNDING:
            raise ConfigError(f"cell {key}: fraction is {report.fraction}; it lies in [0, 1]")
        if report.diverged or (report.loss is not None and not math.isfinite(report.loss)):
            return report._replace(diverged=True, loss=math.inf)
        if report.fraction >= 1 - ROUNDING and report.loss is None:
            raise ConfigError(f"cell {key}: is whole, but no final loss was told")
        return report

    @abstractmethod
    def _begin(self) -> None:
        """Want the first legs."""

    @abstractmethod
    def _advance(self, key: str) -> None:
        """Decide, now that a leg has ended."""

    def _want(self, key: str, until: float) -> bool:
        """Ask for a cell to be trained; False if the budget does not allow it.

        What is trained that far already is not asked for again.
        """
        assert key not in self._dropped, key
        if self.reached(key) >= until - ROUNDING:
            return True
        extra = (until - self._shares.get(key, 0.0)) * self._budget(key)
        if self._committed + extra > self.budget * self.grid.price * (1 + ROUNDING):
            return False
        self._wanted[key] = until
        self._commit(key)
        return True

    def _decide(
        self,
        key: str,
        fraction: float,
        verdict: Verdict,
        rule: str,
        *,
        score: float | None = None,
        threshold: float | None = None,
        against: str | None = None,
    ) -> None:
        """Put a decision on record; what is dropped stays so."""
        if verdict == "dropped":
            self._dropped.add(key)
        self.decisions.append(
            Decision(
                fraction=fraction,
                cell=key,
                verdict=verdict,
                rule=rule,
                score=_finite(score),
                threshold=_finite(threshold),
                against=against,
            )
        )

    def _budget(self, key: str) -> float:
        return self.grid.cells[key].budget

    def _commit(self, key: str) -> None:
        """Keep count of what is paid and what was asked for."""
        share = max(self.reached(key), self._wanted.get(key, 0.0))
        self._committed += (share - self._shares.get(key, 0.0)) * self._budget(key)
        self._shares[key] = share

    def reached(self, key: str) -> float:
        """The share of its budget that a cell has been trained for."""
        return self._reports[key].fraction if key in self._reports else 0.0

    def final(self, key: str) -> float:
        """A cell's final loss in nats: infinite if it diverged or has none yet."""
        report = self._reports.get(key)
        return math.inf if report is None or report.loss is None else report.loss

    def curve(self, key: str) -> Curve:
        """The training losses that were told of a cell, up to now."""
        return self._reports[key].curve if key in self._reports else EMPTY

    def _diverged(self, key: str) -> bool:
        return key in self._reports and self._reports[key].diverged

    def _whole(self, key: str) -> bool:
        return key in self._reports and self._reports[key].loss is not None

    def shuffled(self, keys: list[str]) -> list[str]:
        """Keys in the random order that the seed gives."""
        return [keys[place] for place in permutation(len(keys), self.seed, "racing")]

    @property
    def over(self) -> bool:
        """Whether nothing is left to train."""
        return not self._wanted

    @property
    def cost(self) -> float:
        """Share of the whole grid's price that was spent so far."""
        spent = math.fsum(
            report.fraction * self._budget(key) for key, report in self._reports.items()
        )
        return spent / self.grid.price

    def best(self, among: Iterable[str] | None = None) -> str | None:
        """The cell with the lowest final loss so far; of equals, the first of the grid.

        Args:
            among: which to look at; all of the grid if left out.
        """
        looked_at = self.grid.cells if among is None else set(among)
        whole = [
            key for key in self.grid.cells if key in looked_at and math.isfinite(self.final(key))
        ]
        return min(whole, key=self.final) if whole else None

    def result(self, *, seed_sd: float = SEED_SD) -> Outcome:
        """What was found so far.

        Args:
            seed_sd: standard deviation of a final loss over seeds, in nats. Two losses differ
                by noise alone with a standard deviation √2 times that.
        """
        finished = sorted(
            (key for key in self.grid.cells if math.isfinite(self.final(key))), key=self.final
        )
        winner = finished[0] if finished else None
        limit = self.final(winner) + 2 * math.sqrt(2) * seed_sd if winner else -math.inf
        return Outcome(
            winner=winner,
            loss=self.final(winner) if winner else None,
            within_noise=[key for key in finished if self.final(key) <= limit],
            finished=finished,
            unfinished={key: self.reached(key) for key in self.grid.cells if not self._whole(key)},
            diverged=[key for key in self.grid.cells if self._diverged(key)],
            cost=self.cost,
        )


def _finite(number: float | None) -> float | None:
    """JSON has no other numbers."""
    return number if number is not None and math.isfinite(number) else None
