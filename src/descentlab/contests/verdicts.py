"""Who beat whom, in sentences: each against the best, and each against the next."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from descentlab.analysis.claims.contenders import difference_of, lower_perplexity
from descentlab.analysis.claims.finding import Finding
from descentlab.analysis.comparison import Contender, ranked
from descentlab.analysis.statistics.estimate import Estimate
from descentlab.analysis.statistics.multiple_tests import holm

LEVEL = 0.05


@dataclass(frozen=True)
class Against:
    """A contender against the best."""

    name: str
    percent: Estimate
    """By how much its perplexity is above the best's, paired by seed."""
    p_value: float
    """Of no difference, adjusted by Holm's method for all that are compared with the best."""


def against_best(contenders: Sequence[Contender]) -> list[Against]:
    """Compare every contender with the one of the lowest mean perplexity.

    That one was chosen by looking at the same seeds: with many contenders of equal merit, the
    best looks better than it is. Holm's correction is for the number of comparisons.
    """
    best, *others = ranked(contenders)
    estimates = [difference_of(each, best) for each in others]
    adjusted = holm([each.p_value for each in estimates]).tolist() if others else []
    return [
        Against(each.name, in_percent(estimate), p_value)
        for each, estimate, p_value in zip(others, estimates, adjusted, strict=True)
    ]


def in_percent(difference: Estimate) -> Estimate:
    """A difference of losses in nats as a change of perplexity in percent."""
    low, value, high = (
        percent(each) for each in (difference.low, difference.value, difference.high)
    )
    return Estimate(
        value,
        low,
        high,
        difference.n,
        method=difference.method,
        reason=difference.reason,
        p_value=difference.p_value,
        confidence=difference.confidence,
    )


def percent(nats: float) -> float:
    """The change of perplexity that a change of the loss makes.

    >>> round(percent(0.01), 3), percent(float("inf"))
    (1.005, inf)
    """
    return 100 * math.expm1(nats) if nats < 700 else math.inf


def neighbours(contenders: Sequence[Contender]) -> list[Finding]:
    """Whether each is better than the next of the ranking, with the seeds that it would take."""
    order = ranked(contenders)
    return [
        lower_perplexity(f"{better.name} below {worse.name}", better, worse)
        for better, worse in itertools.pairwise(order)
    ]


def sentence(finding: Finding) -> str:
    """A verdict on two neighbours in words, the first being the better by its mean.

    >>> from descentlab.analysis.statistics.paired import paired_difference
    >>> a, b = [3.0, 3.1, 3.3], [3.1, 3.21, 3.4]
    >>> estimate = paired_difference(a, b)
    >>> found = Finding(claim="A below B", verdict="holds", effect="", estimate=estimate)
    >>> sentence(found)
    'A below B: yes, by 9.8% [8.5%, 11.1%] of perplexity'
    """
    change = in_percent(finding.estimate)
    # Of a finding the first is the better: what it lies below by is what it is spared.
    sizes = [-each for each in (change.value, change.high, change.low)]
    if finding.verdict == "holds":
        return "{}: yes, by {:.1f}% [{:.1f}%, {:.1f}%] of perplexity".format(finding.claim, *sizes)
    looks = "" if math.isnan(change.value) else f"; it looks like {sizes[0]:.1f}%"
    reason = finding.reason or finding.effect
    return f"{finding.claim}: cannot be told: {reason}{looks}"
