"""An experiment of the paper as data: its studies at every scale, and what they are to show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from descentlab.contests.contest import TUNING_SEED, judging_seeds
from descentlab.paper.scales import Scale
from descentlab.paper.table1 import LADDER
from descentlab.sweep.study import Axes, Method, Study

OURS = ("tiny", "laptop", "workstation")
"""The scales that are not the paper's: there, most of its experiments have one seed."""
SEEDS = tuple(judging_seeds(3))
"""Of every mean over seeds: three, as in the paper, and none that anything is tuned on."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One of the paper's experiments."""

    key: str
    """Its name, E1 to E10."""
    title: str
    shows: str
    """What it is to tell, in a sentence."""
    studies: Callable[[Scale], list[Study]]
    """Its studies at a scale, each of named methods. A contest has none: it chooses its runs."""
    exhibits: tuple[str, ...]
    """The tables and figures that its runs are drawn in."""
    claims: tuple[str, ...]
    """Keys of the paper's claims that its runs bear on."""
    beside: tuple[str, ...] = ()
    """Keys of experiments whose runs have to be there as well to judge the claims."""
    judged: tuple[str, ...] = ()
    """Scales at which each method's best setting in each study runs with fresh seeds as well."""
    contest: str = ""
    """The contest that it is instead, if it is one."""


def study(
    name: str,
    scale: Scale,
    methods: Mapping[str, Method],
    *,
    edits: Sequence[Mapping[str, Any]] = (),
    seeds: Sequence[int] = (TUNING_SEED,),
) -> Study:
    """A study of an experiment at a scale, which is part of its name.

    Args:
        name: of the study.
        scale: whose settings its runs share,
        methods: by name, as tables have them.
        edits: what those settings are changed by, by dotted key.
        seeds: every setting runs with each.
    """
    whole = f"{name}-{scale.name}".replace("+", "-")
    return Study(name=whole, run=scale.edited(*edits), methods=dict(methods), seeds=list(seeds))


def around(centre: float, *steps: float) -> list[float]:
    """Learning rates at powers of two from a centre.

    >>> around(0.008, -1, 0, 1)
    [0.004, 0.008, 0.016]
    """
    return [centre * 2**step for step in steps]


def near(beta: float, below: int, above: int) -> list[float]:
    """A decay of the ladder with some neighbours.

    >>> near(0.8, 1, 2)
    [0.6, 0.8, 0.9, 0.95]
    """
    place = LADDER.index(beta)
    return list(LADDER[max(0, place - below) : place + above + 1])


def band(firsts: Iterable[float], *, reach: int = 2) -> Axes:
    """Pairs of decays, β2 at most ``reach`` places of the ladder from β1: a group of axes.

    >>> band([0.9], reach=1)
    {'optimizer.beta1': [0.9, 0.9, 0.9], 'optimizer.beta2': [0.8, 0.9, 0.95]}
    """
    return pairs({beta1: near(beta1, reach, reach) for beta1 in firsts})


def pairs(seconds: Mapping[float, Sequence[float]]) -> Axes:
    """Pairs of decays, for each β1 its own β2: a group of axes that vary together."""
    return {
        "optimizer.beta1": [beta1 for beta1, betas in seconds.items() for _ in betas],
        "optimizer.beta2": [beta2 for betas in seconds.values() for beta2 in betas],
    }
