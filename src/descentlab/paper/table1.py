"""Table 1: the paper's seven methods, each tuned on its own grid of learning rates and decays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from descentlab.analysis.claims.contenders import (
    all_lower_perplexity,
    lower_perplexity,
    share_of_gap,
)
from descentlab.analysis.claims.finding import Finding
from descentlab.contests.contest import Contest, Design, Entry, Laboratory, Standing
from descentlab.contests.report import Report
from descentlab.paper import scales
from descentlab.paper.published import TABLE1
from descentlab.paper.scales import Name
from descentlab.sweep.racing.racing import Rules
from descentlab.sweep.tuning import Decays, Geometric

METHODS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "adam": {"method": "adam", "weight_decay": 0.1, "clip_norm": 1.0},
        "signum": {"method": "signum", "weight_decay": 0.1, "clip_norm": 1.0, "init": "gradient"},
        "rmsprop": {"method": "rmsprop", "weight_decay": 0.1, "clip_norm": 1.0},
        "emasign": {"method": "emasign", "weight_decay": 0.1, "clip_norm": 1.0},
        "sgd+Cclip": {"method": "sgd", "clip_norm": 1.0, "coordinate_clip": 1.0},
        "sgd+Gclip": {"method": "sgd", "clip_norm": 1.0},
        "sgd": {"method": "sgd", "clip_norm": "none"},
    }
)
"""The seven rows, as the paper ran them; adam has one β for both averages."""


RULES = Rules(first=0.06, across=0.2, behind_lower=0.2, finals=2, poll=0.3)
"""For runs of 160 steps on grids of 30 cells. 4% of the steps are 6, too few to compare, and less
than what it takes to pause a run and go on; and of so few cells, fewer have to be finished."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large the experiment is, and the grid that each method starts from."""

    purpose: str
    """What the table can tell at this scale, for people."""
    run: Mapping[str, Any]
    grids: Mapping[str, tuple[list[float], list[float]]]
    """By method: learning rates and decays."""


def powers_of_two(largest: float, count: int) -> list[float]:
    """Learning rates that double up to the largest.

    >>> powers_of_two(0.016, 3)
    [0.004, 0.008, 0.016]
    """
    return [largest / 2**halvings for halvings in reversed(range(count))]


LADDER = (0.0, 0.2, 0.6, 0.8, 0.9, 0.95, 0.975, 0.9875, 0.99375, 0.996875)
"""Decays; from 0.8 on, 1−β halves from one to the next, as in the paper."""

ADAPTIVE_DECAYS = [0.0, 0.2, 0.6, 0.8, 0.9, 0.95]
SGD_DECAYS = [0.2, 0.6, 0.8, 0.9, 0.95, 0.975]

LAPTOP_GRIDS = MappingProxyType(
    {
        "adam": (powers_of_two(0.064, 5), ADAPTIVE_DECAYS),
        "signum": (powers_of_two(0.032, 5), ADAPTIVE_DECAYS),
        "rmsprop": (powers_of_two(0.032, 5), ADAPTIVE_DECAYS),
        "emasign": (powers_of_two(0.064, 5), ADAPTIVE_DECAYS),
        "sgd+Cclip": (powers_of_two(16.0, 5), SGD_DECAYS),
        "sgd+Gclip": (powers_of_two(16.0, 5), SGD_DECAYS),
        "sgd": (powers_of_two(4.0, 5), SGD_DECAYS),
    }
)
"""Centred by one exploratory seed per method, then by the optima of grids of 4 × 4; what still lies
on an edge is extended."""

TINY_GRIDS = MappingProxyType(
    {
        "adam": (powers_of_two(0.032, 3), [0.0, 0.2, 0.6]),
        "signum": (powers_of_two(0.032, 3), [0.0, 0.2, 0.6]),
        "rmsprop": (powers_of_two(0.032, 3), [0.0, 0.2, 0.6]),
        "emasign": (powers_of_two(0.064, 3), [0.2, 0.6, 0.8]),
        "sgd+Cclip": (powers_of_two(2.0, 3), [0.2, 0.6, 0.8]),
        "sgd+Gclip": (powers_of_two(2.0, 3), [0.2, 0.6, 0.8]),
        "sgd": (powers_of_two(2.0, 3), [0.6, 0.8, 0.9]),
    }
)
"""Centred where nothing is extended, so that it takes as few runs as it can."""


def _around_best(name: Name) -> dict[str, tuple[list[float], list[float]]]:
    """Five learning rates and five decays about each method's best setting at a scale."""
    found = {}
    for method, best in scales.SCALES[name].best.items():
        place = LADDER.index(best.beta)
        found[method] = (powers_of_two(4 * best.lr, 5), list(LADDER[place - 2 : place + 3]))
    return found


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        name: Scale(purpose=scales.SCALES[name].purpose, run=scales.SCALES[name].run, grids=grids)
        for name, grids in (
            ("workstation", _around_best("workstation")),
            ("laptop", LAPTOP_GRIDS),
            ("tiny", TINY_GRIDS),
        )
    }
)
"""Where a contest is held; at the paper's scale Table 1 is the paper's own grids."""


def design(scale: str) -> Design:
    """The contest at one of ``SCALES``."""
    chosen = SCALES[scale]
    entries = {
        name: Entry(
            optimizer=METHODS[name],
            axes=(Geometric("lr", list(lrs)), Decays("beta", list(betas))),
        )
        for name, (lrs, betas) in chosen.grids.items()
    }
    return Design(name=f"table1-{scale}", run=chosen.run, entries=entries, rules=RULES)


def run(scale: str, laboratory: Laboratory) -> Report:
    """Hold the contest."""
    standing = Contest(design(scale), laboratory).run()
    return Report(
        name="table1",
        title=f"Table 1 at scale {scale}",
        purpose=SCALES[scale].purpose,
        standing=standing,
        findings=findings(standing),
        published=TABLE1,
    )


def findings(standing: Standing) -> list[Finding]:
    """The paper's claims about Table 1, judged by our runs."""
    adam, signum = standing.contender("adam"), standing.contender("signum")
    rmsprop, emasign = standing.contender("rmsprop"), standing.contender("emasign")
    sgd = standing.contender("sgd")
    return [
        lower_perplexity("adam below signum", adam, signum),
        lower_perplexity("signum below rmsprop", signum, rmsprop),
        all_lower_perplexity(
            "every adaptive or sign method below plain sgd", [adam, signum, rmsprop, emasign], sgd
        ),
        share_of_gap(
            "signum closes most of the gap from sgd to adam (96% in the paper)",
            closes=signum,
            worst=sgd,
            best=adam,
            at_least=0.5,
        ),
    ]
