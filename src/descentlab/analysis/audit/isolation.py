"""Whether the settings around a method's best support it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.search import Beside, Cell, Search
from descentlab.analysis.audit.studies import SEEDS_NEEDED, fresh_seeds, methods_of
from descentlab.analysis.audit.tables import Evidence, listed

CHECK = "isolated-optimum"
FAR = math.log(1.25)
"""In nats: a neighbour whose perplexity is a quarter higher does not support an optimum."""
FEWEST = 3
"""Cells of a search, or of a slice, for one to be alone among them."""


def isolated_optimum(evidence: Evidence) -> Iterator[Finding]:
    """Best settings that survived alone at their learning rate, or whose neighbours are no good."""
    for search in evidence.searches:
        best = search.best
        if best is None or len(search.cells) < FEWEST:
            continue
        beside = search.beside(best)
        alone = _alone(search, best)
        if alone or (beside and not _supported(search, beside)):
            yield _finding(search, best, beside, alone)


def _alone(search: Search, best: Cell) -> int:
    """How many others with its learning rate diverged, if none finished beside it."""
    if "lr" not in search.axes:
        return 0
    place = list(search.axes).index("lr")
    others = [
        cell
        for cell in search.cells.values()
        if cell.point[place] == best.point[place] and cell is not best and cell.finished
    ]
    lone = len(others) >= FEWEST - 1 and all(cell.diverged for cell in others)
    return len(others) if lone else 0


def _supported(search: Search, beside: list[Beside]) -> bool:
    """Whether a neighbour is near; or nobody can tell, since racing stopped all that were tried."""
    assert search.best is not None
    tried = [each.cell for each in beside if each.cell is not None]
    if tried and all(trial.paused for cell in tried for trial in cell.trials):
        return True
    return any(search.loss(cell) <= search.loss(search.best) + FAR for cell in tried)


def _finding(search: Search, best: Cell, beside: list[Beside], alone: int) -> Finding:
    lone = "is the only one of {} with its learning rate that did not diverge"
    neighbours = listed([f"{each.place} {_state(search, each, best)}" for each in beside])
    parts = [lone.format(alone + 1)] if alone else ["stands by itself"]
    parts += [f"beside it, {neighbours}"] if beside else []
    between = {"lr": _between(best.point[list(search.axes).index("lr")])} if (
        "lr" in search.axes) else {}  # fmt: skip
    judged = [each.loss for each in best.finished if each.seed not in search.tuning_seeds]
    fresh = search.tuning_seeds and judged
    return Finding(
        severity="warning",
        check=CHECK,
        where=search.where,
        what=f"the best of {search.method}, {search.shown(best)} (perplexity "
        f"{math.exp(search.loss(best)):.2f}), {'; '.join(parts)}"
        + (f"; {len(judged)} other seeds of it gave {_mean(judged)}" if fresh else ""),
        why="A setting that no neighbour supports may owe its rank to one lucky run.",
        settle=f"Run it and the learning rates around it with {SEEDS_NEEDED} fresh seeds, and "
        "choose by their means.",
        runs=(*best.runs, *(run for each in beside if each.cell for run in each.cell.runs)),
        study=f"seeds = {fresh_seeds(search.seeds)}\n"
        + methods_of({search.method: (search.settings(best), between)}),
    )


def _mean(losses: list[float]) -> str:
    """The perplexity of the mean loss."""
    mean = sum(losses) / len(losses)
    return "divergence" if math.isinf(mean) else f"{math.exp(mean):.2f}"


def _state(search: Search, beside: Beside, best: Cell) -> str:
    if beside.cell is None:
        return "was not tried"
    loss = search.loss(beside.cell)
    if math.isnan(loss):
        return "has no result"
    if math.isinf(loss):
        return "diverged"
    return f"is {math.exp(loss - search.loss(best)) - 1:.0%} worse"


def _between(lr: float) -> list[float]:
    """Half steps of two around a learning rate."""
    return [float(f"{lr * factor:.4g}") for factor in (2**-0.5, 1.0, 2**0.5)]
