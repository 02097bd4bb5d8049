"""Methods side by side: how each was tuned, and what its best setting reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from descentlab.analysis.claims.seed_noise import SeedNoise

SYMBOLS = {
    "beta": "β",
    "beta1": "β1",
    "beta2": "β2",
    "variance": "c",
    "weight_decay": "λ",
    "clip_norm": "clip",
    "coordinate_clip": "clip of coordinates",
    "eps": "ε",
}
"""What settings are called where people read them."""


def symbol(name: str) -> str:
    """What a setting is called where people read it.

    >>> symbol("beta"), symbol("arguments.momentum"), symbol("rest.lr_ratio")
    ('β', 'momentum', 'rest.lr_ratio')
    """
    return SYMBOLS.get(name, name.removeprefix("arguments."))


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One method's tuning and its result with fresh seeds.

    ``losses`` are final held-out losses in nats, by seed, in the same order for every
    contender; a diverged run's is infinite, so that it ranks worst.
    """

    name: str
    best: Mapping[str, float]
    """Its best setting by name, in the order to show: the learning rate first."""
    losses: list[float]
    trials: int
    """Settings tried in tuning."""
    diverged: int
    """Of all its runs, tuning and fresh seeds."""
    runs: int
    edges: list[str]
    """Edges of the tuned grid that the best setting lies on."""
    same_as: str | None = None
    """A contender whose runs are, by construction, the same runs."""
    choice: Sequence[float] = ()
    """Losses of all the settings that the best was chosen from, where it has no fresh seeds."""
    noise: SeedNoise | None = None
    """Of its loss, where that was measured on other runs."""
    seeds: tuple[int, ...] = ()
    """Of the losses, where they are known one by one."""
    steps: int | None = None
    """Updates of each of its runs, where they may differ from another contender's."""
    run_ids: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    """What a verdict on it rests on, for people."""

    @property
    def perplexities(self) -> list[float]:
        """The exponential of each loss; infinite for a run that diverged."""
        return [math.exp(loss) if loss < 700 else math.inf for loss in self.losses]

    @property
    def mean(self) -> float:
        """Mean perplexity over seeds; infinite if a run diverged."""
        return float(np.mean(self.perplexities))

    @property
    def two_sigma(self) -> float:
        """Twice the standard deviation over seeds; undefined for fewer than two."""
        finite = len(self.losses) > 1 and math.isfinite(self.mean)
        return 2 * float(np.std(self.perplexities, ddof=1)) if finite else math.nan


@dataclass(frozen=True)
class Published:
    """A published mean ± 2σ over three seeds."""

    mean: float
    two_sigma: float


def ranked(contenders: Sequence[Contender]) -> list[Contender]:
    """Best mean perplexity first, diverged last."""
    return sorted(contenders, key=lambda each: each.mean)


def table(contenders: Sequence[Contender], published: dict[str, Published]) -> pd.DataFrame:
    """One row per contender, best first, with the published number beside it."""
    rows = []
    for each in ranked(contenders):
        paper = published.get(each.name)
        rows.append(
            {
                "method": each.name,
                **{name: each.best.get(name, math.nan) for name in _tuned(contenders)},
                "perplexity": each.mean,
                "two_sigma": each.two_sigma,
                "n": len(each.losses),
                "trials": each.trials,
                "diverged": each.diverged,
                "runs": each.runs,
                "on_edge": ", ".join(each.edges),
                "same_runs_as": each.same_as or "",
                **({"steps": each.steps} if _budgets_differ(contenders) else {}),
                "paper_perplexity": paper.mean if paper else math.nan,
                "paper_two_sigma": paper.two_sigma if paper else math.nan,
            }
        )
    return pd.DataFrame(rows)


def markdown(contenders: Sequence[Contender], published: dict[str, Published]) -> str:
    """The table for people, as aligned Markdown with notes below it."""
    tuned = _tuned(contenders)
    header = ["method", *(f"best {symbol(name)}" for name in tuned), "perplexity ± 2σ"]
    budgets = _budgets_differ(contenders)
    header += ["n", "trials", "diverged", *(["steps"] if budgets else [])]
    header += ["paper"] if published else []
    best_first = ranked(contenders)
    rows = [
        [
            each.name + ("*" if each.edges else ""),
            *(_setting(each.best.get(name)) for name in tuned),
            plus_minus(each.mean, each.two_sigma),
            str(len(each.losses)),
            str(each.trials),
            f"{each.diverged}/{each.runs}",
            *([f"{each.steps:,}" if each.steps else "–"] if budgets else []),
            *([_in_the_paper(published.get(each.name))] if published else []),
        ]
        for each in best_first
    ]
    notes = [
        f"{each.name} and {each.same_as} are the same runs, trained once."
        for each in best_first
        if each.same_as
    ]
    if any(each.edges for each in contenders):
        notes.append("\\* The best setting lies on an edge of what was tried.")
    return "\n\n".join([aligned(header, rows), *notes])


def _budgets_differ(contenders: Sequence[Contender]) -> bool:
    return len({each.steps for each in contenders}) > 1


def _setting(value: float | None) -> str:
    """A tuned value as tables have it; no clipping is infinite."""
    if value is None:
        return ""
    return "none" if math.isinf(value) else f"{value:.4g}"


def _tuned(contenders: Sequence[Contender]) -> list[str]:
    """Every setting that some contender tuned, in the order of their first mention."""
    return list(dict.fromkeys(name for each in contenders for name in each.best))


def _in_the_paper(number: Published | None) -> str:
    return plus_minus(number.mean, number.two_sigma) if number else ""


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up; the cells must be safe already.

    >>> print(aligned(["method", "n"], [["adam", "3"]]))
    | method | n |
    | ------ | - |
    | adam   | 3 |
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(_line(cells, widths) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def plus_minus(mean: float, two_sigma: float) -> str:
    """Write ``21.86 ± 0.21``; without a spread, the mean alone.

    >>> plus_minus(21.857, 0.21), plus_minus(float("inf"), float("nan"))
    ('21.86 ± 0.21', 'diverged')
    """
    if math.isinf(mean):
        return "diverged"
    if math.isnan(mean):
        return "–"
    return f"{mean:.2f}" + ("" if math.isnan(two_sigma) else f" ± {two_sigma:.2f}")
