"""Section 5: on quadratics, the gap between the methods is one between the blocks.

No stored runs are needed: 100 draws of each problem take a fraction of a second.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from descentlab.analysis.claims.contenders import weakest
from descentlab.analysis.claims.finding import Finding, shown, verdict
from descentlab.analysis.claims.ledger import Claim
from descentlab.analysis.statistics.estimate import Estimate

if TYPE_CHECKING:
    import numpy as np

DRAWS, STEPS, BATCH, BETA = 100, 500, 3, 0.95
DECADE = 1.0
MOLLIFIED = tuple(f"signum, ε = {eps:g}" for eps in (1e-2, 1e-1, 1.0, 10.0))
"""Figure 7's, as the module of the panel calls them."""
ALIKE = math.log10(2.0)
"""Of log10 of losses: within a factor of 2."""
NEEDS = f"{DRAWS} draws at the paper's learning rates, β = {BETA}; computed by this command"
TEST = "Median over draws of log10 of the ratio of losses, best of three learning rates each"
COMMAND = "descent quadratic --tune --lab"


def _best(problem: str, methods: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Final losses ``[draws]`` of each method at the best of the paper's learning rates."""
    from descentlab.quadratic.descent import drawn
    from descentlab.quadratic.losses import losses
    from descentlab.quadratic.outcomes import quantile
    from descentlab.quadratic.panel import mollified, panel
    from descentlab.quadratic.spectrum import PRESETS

    groups = drawn(PRESETS[problem], range(DRAWS), steps=STEPS, batch=BATCH)
    fixed = mollified(BETA)
    paper = {each.method: each for each in panel(BETA)}
    settings = {**paper, **fixed} if MOLLIFIED[0] in methods else paper
    results = losses(groups, [settings[name] for name in methods])
    final = {name: each[-1].numpy() for name, each in zip(methods, results, strict=True)}
    return {name: each[int(quantile(each, 0.5).argmin())] for name, each in final.items()}


def _ratio(problem: str, over: str, under: str) -> Estimate:
    losses = _best(problem, (over, under))
    return _gap(losses[over], losses[under])


def _gap(over: np.ndarray, under: np.ndarray) -> Estimate:
    from descentlab.quadratic.outcomes import gap

    found = gap(over, under)
    method = "median log10 of the ratio over draws, with bootstrap interval"
    return Estimate(found.median, found.low, found.high, found.n, method=method)


def _finding(estimate: Estimate, over: str, under: str, **side: Any) -> Finding:
    told = verdict(estimate, **side)
    return Finding(
        claim="",
        verdict=told,
        effect=f"log10 of {over}'s loss over {under}'s is {shown(estimate, '+.2f')}",
        estimate=estimate,
        counted="draws",
        reason="the interval includes the margin" if told == "cannot be told" else "",
    )


def _decade(problem: str, over: str, under: str) -> Finding:
    return _finding(_ratio(problem, over, under), over, under, above=DECADE)


def _alike() -> Finding:
    found = [
        _finding(_ratio("homogeneous", over, "adam"), over, "adam", within=(-ALIKE, ALIKE))
        for over in ("signum", "sgd")
    ]
    return replace(weakest(found), effect="; ".join(each.effect for each in found))


def _mollified() -> Finding:
    losses = _best("heterogeneous", ("adam", *MOLLIFIED))
    adam = losses.pop("adam")
    found = [(name, _gap(each, adam)) for name, each in losses.items()]
    name, closest = min(found, key=lambda each: each[1].value)
    return _finding(closest, name, "adam", above=0.0)


CLAIMS = (
    Claim(
        key="quadratic-adam-beats-signum",
        statement="With blocks of different eigenvalues Adam ends a decade and more below Signum.",
        where="Section 5, Figure 6",
        needs=NEEDS,
        test=f"{TEST}, above {DECADE:g}",
        compute=partial(_decade, "heterogeneous", "signum", "adam"),
        settle=COMMAND,
    ),
    Claim(
        key="quadratic-signum-beats-sgd",
        statement="With blocks of different eigenvalues Signum ends a decade and more below SGD.",
        where="Section 5, Figure 6",
        needs=NEEDS,
        test=f"{TEST}, above {DECADE:g}",
        compute=partial(_decade, "heterogeneous", "sgd", "signum"),
        settle=COMMAND,
    ),
    Claim(
        key="quadratic-homogeneous-alike",
        statement="With blocks alike Adam, Signum and SGD end within a factor of 2.",
        where="Section 5, Figure 6",
        needs=NEEDS,
        test=f"{TEST}, within ±{ALIKE:.2f}, Signum's and SGD's",
        compute=_alike,
        settle=COMMAND,
    ),
    Claim(
        key="quadratic-mollifiers-lose",
        statement="With blocks of different eigenvalues no fixed mollifier of Signum reaches Adam.",
        where="Section 5, Figure 7",
        needs=f"{NEEDS}, learning rate 0.01 for both, the paper's four ε",
        test="Median over draws of log10 of the ratio of losses, of the best ε, above 0",
        compute=_mollified,
        settle=COMMAND,
    ),
)
