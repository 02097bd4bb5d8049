"""A race on one seed, whose best run with the other seeds, to be compared in pairs.

Settings race on one seed, since a race on every seed would each stop other settings, and few
would have all seeds. The best of those that came to their end are then trained whole with
every other seed: all that the race could not tell from its winner but for noise, at least
``FEWEST`` and at most ``MOST``.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from descentlab.runs.races import Decision
from descentlab.sweep.racing.scheduler import SEED_SD, Leg, Outcome, Report, Scheduler

FEWEST, MOST = 3, 6
"""Settings that run with all seeds."""


class Replicated(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that came to its end with every seed."""

    keys: list[str]
    """Of its runs, seed by seed; the first is that of the race."""
    losses: list[float | None]
    """Final held-out losses in nats; None where it diverged."""

    @property
    def mean(self) -> float:
        """Over the seeds, infinite if one diverged."""
        return statistics.fmean(math.inf if each is None else each for each in self.losses)


class Replicates:
    """One race, and the other seeds of its best; asked and told like a scheduler.

    Args:
        race: on the first seed.
        others: by key of a cell, the keys of its runs with the other seeds, the same for all.
    """

    def __init__(self, race: Scheduler, others: Mapping[str, Sequence[str]]) -> None:
        self.race = race
        self._others = {key: list(others.get(key, [])) for key in race.grid.cells}
        self._reports: dict[str, Report] = {}

    @property
    def cells(self) -> Iterable[str]:
        """The keys of all runs that may be asked for."""
        return [*self._others, *(key for keys in self._others.values() for key in keys)]

    def ask(self) -> list[Leg]:
        """What to train next; empty when nothing is left."""
        if legs := self.race.ask():
            return legs
        return [
            Leg(key, 1.0)
            for cell in self._chosen()
            for key in self._others[cell]
            if key not in self._reports
        ]

    def tell(self, key: str, report: Report) -> None:
        """Take in how a run stands.

        Raises:
            ConfigError: as ``Scheduler.tell`` does.
        """
        if key in self._others or key not in self.cells:
            self.race.tell(key, report)
        elif report.loss is not None or report.diverged:
            self._reports[key] = report._replace(loss=_loss(report.loss))

    def _chosen(self) -> list[str]:
        """The cells that run with all seeds, the best first."""
        result = self.race.result()
        return result.finished[: min(MOST, max(FEWEST, len(result.within_noise)))]

    @property
    def decisions(self) -> list[Decision]:
        """Those of the race, and which of its cells run with the other seeds."""
        if not self.race.over or not any(self._others.values()):
            return self.race.decisions
        chosen = self._chosen()
        return self.race.decisions + [
            Decision(
                fraction=1.0,
                cell=key,
                verdict="kept" if key in chosen else "paused",
                rule="other seeds",
                score=self.race.final(key),
                threshold=self.race.final(chosen[-1]),
                against=chosen[-1],
            )
            for key in self.race.result().finished
        ]

    def replicated(self) -> list[Replicated]:
        """The settings that have a result with every seed, the lowest mean loss first."""
        unfinished = self.race.result().unfinished
        found = [
            Replicated(
                keys=[key, *others],
                losses=[
                    _loss(self.race.final(key)),
                    *(self._reports[each].loss for each in others),
                ],
            )
            for key, others in self._others.items()
            if key not in unfinished and all(each in self._reports for each in others)
        ]
        return sorted(found, key=lambda each: each.mean)

    def result(self, *, seed_sd: float = SEED_SD) -> Outcome:
        """What was found so far: once settings have run with every seed, by their means.

        A setting is within noise of the winner if its mean is above the winner's by no more than
        two standard errors of that difference. They come from the differences seed by seed, but
        are not taken to be smaller than ``seed_sd`` has them, as those of few seeds may be by
        chance.

        Args:
            seed_sd: standard deviation of a final loss over seeds, in nats.
        """
        alone = self.race.result(seed_sd=seed_sd)
        found = self.replicated()
        if not found or len(found[0].keys) == 1:
            return alone
        best = found[0]
        if not math.isfinite(best.mean):
            return msgspec.structs.replace(
                alone, winner=None, loss=None, within_noise=[], cost=self.cost
            )
        near = [
            each.keys[0]
            for each in found
            if math.isfinite(each.mean)
            and each.mean - best.mean <= 2 * _standard_error(each, best, seed_sd)
        ]
        return msgspec.structs.replace(
            alone, winner=best.keys[0], loss=best.mean, within_noise=near, cost=self.cost
        )

    @property
    def cost(self) -> float:
        """Share of what all settings cost with all seeds that was spent so far."""
        return self.spent / self.price

    @property
    def price(self) -> float:
        """What all settings cost with all seeds, in the cells' unit."""
        cells = self.race.grid.cells
        return sum(cells[key].budget * (1 + len(others)) for key, others in self._others.items())

    @property
    def spent(self) -> float:
        """What was spent of it so far."""
        cells = self.race.grid.cells
        return self.race.cost * self.race.grid.price + sum(
            cells[key].budget * sum(each in self._reports for each in others)
            for key, others in self._others.items()
        )


def _loss(loss: float | None) -> float | None:
    """Of a run that has ended; None if it diverged."""
    return loss if loss is not None and math.isfinite(loss) else None


def _standard_error(one: Replicated, other: Replicated, seed_sd: float) -> float:
    """Of the mean difference between two settings that ran with the same seeds, in nats."""
    pairs = zip(one.losses, other.losses, strict=True)
    differences = [a - b for a, b in pairs if a is not None and b is not None]
    spread = max(statistics.stdev(differences), math.sqrt(2) * seed_sd)
    return spread / math.sqrt(len(differences))
