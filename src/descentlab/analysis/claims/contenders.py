"""Tests of tuned methods against one another.

Where both ran with the same seeds, the seeds are paired. A method with a single run has an
interval only if its seed noise was measured elsewhere, and the estimate says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from descentlab.analysis.claims.finding import SEVERITY, Finding, Verdict, shown, verdict
from descentlab.analysis.claims.seed_noise import Losses, of_bests
from descentlab.analysis.comparison import Contender
from descentlab.analysis.statistics.equivalence import paired_equivalence
from descentlab.analysis.statistics.estimate import Estimate, without_interval
from descentlab.analysis.statistics.paired import differences, mean_interval, paired_difference
from descentlab.analysis.statistics.sample_size import more_seeds

MANY_SEEDS = 1000
"""More than anybody trains."""


def lower_perplexity(claim: str, better: Contender, worse: Contender) -> Finding:
    """Test that one contender's perplexity is below another's.

    Where their budgets differ, it has to be lower by more than the budgets could explain if
    perplexity fell in proportion to the steps.
    """
    if better.run_ids and better.run_ids == worse.run_ids:
        nothing = without_interval(0.0, len(better.losses), method="none", reason="the same runs")
        effect = f"{better.name} and {worse.name} are the same runs by construction"
        return Finding(claim=claim, verdict="does not hold", effect=effect, estimate=nothing)
    difference = difference_of(better, worse)
    allowed = _budget_ratio(better, worse)
    caveats = tuple(dict.fromkeys((*better.caveats, *worse.caveats)))
    if allowed:
        caveats += (f"unequal budgets: {_budgets(better, worse)}",)
    told = _beyond(difference, min(0.0, allowed), max(0.0, allowed))
    reason = difference.reason or ""
    if told == "cannot be told" and not reason:
        unexplained = allowed and _beyond(difference, 0.0, 0.0) != "cannot be told"
        reason = (
            "the difference is no larger than the unequal budgets could make it"
            if unexplained
            else "the interval includes no difference" + _seeds_to_tell(better, worse)
        )
    return Finding(
        claim=claim,
        verdict=told,
        effect=_percent_of(better.name, worse.name, difference),
        estimate=difference,
        counted=counted(better, worse),
        reason=reason,
        caveats=caveats,
    )


def equal_perplexity(claim: str, first: Contender, second: Contender, *, margin: float) -> Finding:
    """Test that two contenders' perplexities differ by less than a share of them.

    Args:
        claim: what is claimed.
        first, second: that are said to be equal.
        margin: the largest difference that does not matter, as a share: 0.01 is one percent.
    """
    bound = math.log1p(margin)
    if first.noise or second.noise:
        difference = difference_of(first, second)
    else:
        difference = paired_equivalence(first.losses, second.losses, bound)
    told = verdict(difference, within=(-bound, bound))
    reason = difference.reason or ""
    if told == "cannot be told" and not reason:
        more = _seeds_to_tell(first, second, margin=bound)
        reason = f"the interval lies neither within ±{margin:.0%} nor beyond it{more}"
    return Finding(
        claim=claim,
        verdict=told,
        effect=_percent_of(first.name, second.name, difference),
        estimate=difference,
        counted=counted(first, second),
        reason=reason,
        caveats=tuple(dict.fromkeys((*first.caveats, *second.caveats))),
    )


def all_lower_perplexity(claim: str, better: Sequence[Contender], worse: Contender) -> Finding:
    """Test that each of several contenders is below one."""
    return weakest([lower_perplexity(claim, each, worse) for each in better])


def weakest(findings: Sequence[Finding]) -> Finding:
    """The finding of a claim that all of several must hold.

    It is the weakest of theirs and needs no correction for the number of tests
    (intersection-union test, Berger 1982).
    """
    return min(findings, key=lambda each: (SEVERITY[each.verdict], -_number(each.estimate.high)))


def share_of_gap(
    claim: str,
    *,
    closes: Contender,
    worst: Contender,
    best: Contender,
    at_least: float | None = None,
    within: tuple[float, float] | None = None,
) -> Finding:
    """Estimate which share of the perplexity gap from worst to best a contender closes."""
    shares = _shares(closes, worst, best)
    unequal = _budget_ratio(worst, closes)
    if unequal:  # as far as the worst could fall with as many steps, and no further
        handicapped = replace(
            worst,
            losses=[each - unequal for each in worst.losses],
            choice=[each - unequal for each in worst.choice],
        )
        other = _shares(closes, handicapped, best)
        bounds = {"low": min(shares.low, other.low), "high": max(shares.high, other.high)}
        shares = replace(shares, **bounds)
    effect = f"{closes.name} closes {shown(shares, '.1%')} of the gap"
    if math.isnan(shares.value):
        effect = f"the gap that {closes.name} closes: {shares.reason}"
    told = verdict(shares, above=at_least, within=within)
    reason = shares.reason or ""
    if told == "cannot be told" and not reason:
        reason = "the interval includes shares on both sides of what is claimed"
    caveats = tuple(dict.fromkeys((*closes.caveats, *worst.caveats, *best.caveats)))
    if unequal:
        caveats += (
            f"unequal budgets: {_budgets(best, closes, worst)}; the interval allows for a "
            "perplexity that falls in proportion to the steps",
        )
    return Finding(
        claim=claim,
        verdict=told,
        effect=effect,
        estimate=shares,
        counted=counted(closes, worst, best),
        reason=reason,
        caveats=caveats,
    )


def counted(*contenders: Contender) -> str:
    """What the n of an estimate counts."""
    noisy = any(each.noise for each in contenders)
    return "run each, with seed noise as published" if noisy else "seeds"


def difference_of(first: Contender, second: Contender) -> Estimate:
    """The difference of two contenders' losses in nats."""
    if first.noise and second.noise:
        groups = [(first.choice, first.noise), (second.choice, second.noise)]
        return of_bests(_difference, groups, n=1, method="difference", against=0.0)
    difference = paired_difference(first.losses, second.losses)
    if len(first.losses) == 1 and (first.noise or second.noise):
        unknown = second.name if first.noise else first.name
        reason = f"single runs, and the seed noise of {unknown} is not known"
        return replace(difference, reason=reason)
    return difference


def _seeds_to_tell(first: Contender, second: Contender, margin: float | None = None) -> str:
    """How many more paired seeds have an 80% chance of a verdict, for people."""
    if first.noise or second.noise or len(first.losses) < 2:
        return ""
    more = more_seeds(differences(first.losses, second.losses), margin=margin)
    if more.reason is not None or not 0 < more.value <= MANY_SEEDS:
        return ""
    seeds = "1 more seed tells" if more.value == 1 else f"{more.value:.0f} more seeds tell"
    return f"; if it is as large as it looks, {seeds} it at a chance of 80%"


def _difference(losses: Losses) -> NDArray[np.float64]:
    return losses[0] - losses[1]


def _share(losses: Losses) -> NDArray[np.float64]:
    closes, worst, best = (np.exp(each) for each in losses)
    return (worst - closes) / (worst - best)


def _shares(closes: Contender, worst: Contender, best: Contender) -> Estimate:
    if closes.noise and worst.noise and best.noise:
        groups = [(each.choice, each.noise) for each in (closes, worst, best) if each.noise]
        return of_bests(_share, groups, n=1, method="share of the gap in perplexity")
    triples = list(zip(worst.perplexities, closes.perplexities, best.perplexities, strict=True))
    without = sum(not high > low for high, _, low in triples)
    shares = mean_interval(
        [
            (high - middle) / (high - low) if high > low else math.nan
            for high, middle, low in triples
        ]
    )
    if without:
        reason = f"{best.name} is not below {worst.name} with {without} of {len(triples)} seeds"
        shares = replace(shares, reason=reason)
    return shares


def _beyond(estimate: Estimate, below: float, above: float) -> Verdict:
    """Below the lower bound, above the upper one, or neither."""
    if verdict(estimate, below=below) == "holds":
        return "holds"
    return "does not hold" if verdict(estimate, above=above) == "holds" else "cannot be told"


def _budget_ratio(first: Contender, second: Contender) -> float:
    """The logarithm of the second's steps over the first's; 0 where they are not known."""
    if not first.steps or not second.steps:
        return 0.0
    return math.log(second.steps / first.steps)


def _budgets(*contenders: Contender) -> str:
    return ", ".join(f"{each.name} {each.steps:,} steps" for each in contenders)


def _percent_of(first: str, second: str, difference: Estimate) -> str:
    """Say a difference of losses as a ratio of perplexities."""
    if math.isnan(difference.value):
        return f"{first} against {second}: {difference.reason}"
    value, low, high = (_exp(each) for each in (difference.value, difference.low, difference.high))
    ratio = replace(difference, value=value, low=low, high=high)
    return f"perplexity of {first} is {shown(ratio, '.1%')} of {second}'s"


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _number(value: float) -> float:
    return math.inf if math.isnan(value) else value
