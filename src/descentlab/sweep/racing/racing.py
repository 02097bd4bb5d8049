"""Racing that compares like with like: the cheapest way that we know to the best cell.

Under a schedule that decays, runs of a high learning rate look worse than they are until the
end, so a loss at part of the budget orders runs of one learning rate only. Hence

1. **Halving within a learning rate.** At each rung, from a few percent of the budget on, the
   better half of the cells of every learning rate goes on. A cell is judged by its own loss and,
   less, by those of its neighbours of the same learning rate, since a single training step is
   noisy and the loss varies smoothly with the decays.
2. **Across learning rates, late.** From 0.3 of the budget on, a cell pauses that is worse than
   one of a higher learning rate, which has yet more to gain, or far worse than one of a
   lower. How far shrinks with what is left to train.
3. **Finals.** The best of what is left are trained to the end: first the best cell of each
   learning rate, then the second of each, and so on.
4. **A poll.** The neighbours of the best cell so far are trained until they can be compared
   with it, and those that may be better to their end; again around the new best, until no
   neighbour is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Unpack

import msgspec
import numpy as np

from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.rungs import check_rungs, rungs
from descentlab.sweep.racing.scheduler import Usual
from descentlab.sweep.racing.waves import Waves

Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Nats = Annotated[float, msgspec.Meta(ge=0)]


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers of racing. ``descent replay`` says what they cost and lose."""

    first: Share = 0.04
    """Fraction of the first rung."""
    eta: Annotated[float, msgspec.Meta(gt=1, le=16)] = 2.0
    """One of so many goes on from a rung, and rungs lie so far apart."""
    fewest: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Cells of a learning rate that halving leaves at least."""
    window: Share = 0.3
    """Share of the training so far whose mean loss is compared."""
    reach: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """Steps of the grid over which neighbours help to judge a cell; 0 for its own loss alone."""
    span: Nats = 0.3
    """A loss further above the best of its learning rate counts as this far, lest one that
    diverges spoils its neighbours."""
    across: Share = 0.3
    """Fraction from which learning rates are compared."""
    behind_higher: Nats = 0.02
    """How much worse than a cell of a higher learning rate a cell may be."""
    behind_lower: Nats = 0.35
    """The same for a lower one, times the share of the budget that is left."""
    finals: Annotated[int, msgspec.Meta(ge=1)] = 6
    """Cells that are trained to the end before the poll."""
    poll: Share = 0.4
    """Fraction at which a neighbour of the best is compared with it."""
    behind_best: Nats = 0.06
    """How much worse than the best it may be there, and half of what ``behind_lower`` allows
    more if its learning rate is higher."""
    polled: Annotated[int, msgspec.Meta(ge=0)] = 2
    """Neighbours that are trained to the end in one round; 0 for no poll."""


class Racing(Waves):
    """Halving within learning rates, then filters, then a poll of the best cell's neighbours.

    Args:
        cells, axes, seed, budget: as for every scheduler; nothing is random here.
        rules: its numbers.
    """

    name = "racing"

    def __init__(
        self,
        cells: Sequence[Cell],
        axes: Mapping[str, Kind],
        *,
        rules: Rules = Rules(),  # noqa: B008 frozen
        **usual: Unpack[Usual],
    ) -> None:
        self.rules = rules
        check_rungs(self.rules.first, self.rules.eta)
        self._compared: dict[float, list[str]] = {}
        self._finalists: set[str] = set()
        super().__init__(cells, axes, **usual)

    def _plan(self, keys: list[str]) -> Iterator[None]:
        alive = list(keys)
        spared = min(self._drop_from(key) for key in keys)  # nobody can be dropped before
        fractions = rungs(max(self.rules.first, spared), self.rules.eta)[:-1]
        for fraction in fractions:
            if all(self._spared(key, fraction) for key in alive):
                continue  # nobody can be dropped here, so nobody needs to pause
            alive = self._wave(alive, fraction)
            yield
            alive = self._sound(alive, fraction)
            alive = self._halved(alive, fraction)
            if fraction >= self.rules.across:
                alive = self._filtered(alive, fraction)
        finalists = self._ranked(alive, fractions[-1])
        self._finish(finalists)
        yield
        yield from self._polls()

    def _finish(self, keys: list[str]) -> None:
        self._finalists.update(self._wave(keys, 1.0))

    def _spared(self, key: str, fraction: float) -> bool:
        return fraction < self.grid.cells[key].no_drop_before

    def _score(self, key: str, fraction: float) -> float:
        return self.curve(key).smoothed(fraction, self.rules.window)

    def _halved(self, alive: list[str], fraction: float) -> list[str]:
        """The better half of each learning rate, among all that were compared at this rung."""
        earlier = self._compared.setdefault(fraction, [])
        earlier += [key for key in alive if key not in earlier]
        kept = []
        for group in self.grid.alike(earlier):
            if not (mine := [key for key in group if key in set(alive)]):
                continue
            scores = self._judged(group, fraction)
            order = sorted(group, key=lambda key: scores[key])
            count = max(self.rules.fewest, math.ceil(len(group) / self.rules.eta))
            last = order[min(count, len(order)) - 1]
            for key in mine:
                stays = scores[key] <= scores[last] or self._spared(key, fraction)
                kept += [key] * stays
                self._decide(
                    key,
                    fraction,
                    "kept" if stays else "paused",
                    "halving",
                    score=scores[key],
                    threshold=scores[last],
                    against=last,
                )
        return kept

    def _judged(self, group: list[str], fraction: float) -> dict[str, float]:
        """Losses of one learning rate, each averaged with its neighbours by their distance."""
        loss = np.array([self._score(key, fraction) for key in group])
        if self.rules.reach > 0:
            loss = np.minimum(loss, loss.min() + self.rules.span)
            place = np.array([self.grid.place(key) for key in group], float)
            distance = ((place[:, None] - place[None]) ** 2).sum(-1)
            weight = np.exp(-distance / (2 * self.rules.reach**2))
            loss = weight @ loss / weight.sum(1)
        return dict(zip(group, loss.tolist(), strict=True))

    def _filtered(self, alive: list[str], fraction: float) -> list[str]:
        """Without the cells that another learning rate has beaten for good."""
        score = {key: self._score(key, fraction) for key in alive}
        kept = []
        for key in alive:
            bounds = [
                (score[other] + self._allowance(key, other, fraction), other)
                for other in alive
                if self.grid.rate(other) != self.grid.rate(key)
            ]
            threshold, against = min(bounds, default=(math.inf, None))
            stays = score[key] <= threshold or self._spared(key, fraction)
            if stays:
                kept.append(key)
            self._decide(
                key,
                fraction,
                "kept" if stays else "paused",
                "across learning rates",
                score=score[key],
                threshold=threshold,
                against=against,
            )
        return kept

    def _allowance(self, key: str, other: str, fraction: float) -> float:
        """How much worse than a cell of another learning rate one may be."""
        if self.grid.rate(other) > self.grid.rate(key):
            return self.rules.behind_higher
        return self.rules.behind_lower * (1 - fraction)

    def _ranked(self, alive: list[str], fraction: float) -> list[str]:
        """The best of each learning rate, then the second of each, and so on."""
        score = {key: self._score(key, fraction) for key in alive}
        groups = [sorted(group, key=lambda key: score[key]) for group in self.grid.alike(alive)]
        order = sorted(
            ((turn, score[key], key) for group in groups for turn, key in enumerate(group)),
            key=lambda each: each[:2],
        )
        for place, (_, loss, key) in enumerate(order):
            verdict = "kept" if place < self.rules.finals else "paused"
            self._decide(key, fraction, verdict, "finals", score=loss)
        return [key for *_, key in order[: self.rules.finals]]

    def _polls(self) -> Iterator[None]:
        """Look around the best cell until none of its neighbours is better."""
        centre = None
        while self.rules.polled:
            best = self.best(self._finalists)
            if best is None or best == centre:
                return
            centre = best
            near = [
                key
                for key in self.grid.neighbours(best)
                if key not in self._finalists and key not in self._dropped
            ]
            fraction = max([self.rules.poll, *(self._drop_from(key) for key in near)])
            near = self._wave(near, fraction)
            yield
            self._finish(self._promising(self._sound(near, fraction), best, fraction))
            yield

    def _drop_from(self, key: str) -> float:
        return self.grid.cells[key].no_drop_before

    def _promising(self, near: list[str], best: str, fraction: float) -> list[str]:
        """The neighbours that are about as good as the best was here, the best of them first."""
        score = {key: self._score(key, fraction) for key in near}
        found = []
        for key in sorted(near, key=lambda key: score[key]):
            threshold = self._score(best, fraction) + self.rules.behind_best
            if self.grid.rate(key) > self.grid.rate(best):
                threshold += self.rules.behind_lower * (1 - fraction) / 2
            stays = score[key] <= threshold and len(found) < self.rules.polled
            if stays:
                found.append(key)
            self._decide(
                key,
                fraction,
                "kept" if stays else "paused",
                "poll",
                score=score[key],
                threshold=threshold,
                against=best,
            )
        return found
