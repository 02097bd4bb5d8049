"""Table 1: the order of seven tuned methods, and how much of the gap Signum closes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from descentlab.analysis.claims.contenders import lower_perplexity, share_of_gap, weakest
from descentlab.analysis.claims.evidence import Evidence
from descentlab.analysis.claims.finding import Finding
from descentlab.analysis.claims.ledger import Claim, corrected
from descentlab.paper.published import TABLE1

RERUN = "descent reproduce table1 --scale {scale} --seeds 8"
PAIRED = "Paired difference of losses over seeds that tuning did not see"
SHARE, SHARE_MARGIN = 0.96, 0.03


def below(first: str, second: str) -> Callable[[Evidence], Finding]:
    """The judge of one method's perplexity below another's."""
    return partial(_below, first=first, second=second)


def _below(evidence: Evidence, first: str, second: str) -> Finding:
    return lower_perplexity("", *evidence.contenders(first, second))


def pair_key(first: str, second: str) -> str:
    """The name of the claim that one method ends below another.

    >>> pair_key("rmsprop", "sgd+Cclip")
    'rmsprop-below-sgd-cclip'
    """
    return f"{first}-below-{second}".lower().replace("+", "-")


def _pair(first: str, second: str) -> Claim:
    mean, other = TABLE1[first].mean, TABLE1[second].mean
    return Claim(
        key=pair_key(first, second),
        statement=f"Tuned {first} ends below tuned {second} ({mean:.2f} against {other:.2f}).",
        where="Table 1",
        needs=f"{first} and {second}, each tuned, with the same budget and seeds",
        test=f"{PAIRED}; Holm over the six neighbours",
        judge=below(first, second),
        settle=RERUN,
        family="the order of Table 1",
    )


def _whole_order(evidence: Evidence) -> Finding:
    """Uncorrected where all hold; that one pair does not is one of six tests."""
    found = {first: _below(evidence, first, second) for first, second in pairwise(TABLE1)}
    strict = corrected(found, "neighbours")
    return weakest(
        [each if each.verdict == "holds" else strict[key] for key, each in found.items()]
    )


def _closes(evidence: Evidence) -> Finding:
    signum, sgd, adam = evidence.contenders("signum", "sgd", "adam")
    within = (SHARE - SHARE_MARGIN, SHARE + SHARE_MARGIN)
    return share_of_gap("", closes=signum, worst=sgd, best=adam, within=within)


CLAIMS = (
    *(_pair(first, second) for first, second in pairwise(TABLE1)),
    Claim(
        key="order-of-seven",
        statement=f"Tuned, seven methods rank {', '.join(TABLE1)}.",
        where="Table 1",
        needs="all seven methods, each tuned, with the same budget and seeds",
        test="All six neighbours must hold, each at 95% (intersection-union, so uncorrected)",
        judge=_whole_order,
        settle=RERUN,
    ),
    Claim(
        key="signum-closes-the-gap",
        statement="Signum closes 96% of the gap in perplexity from SGD to Adam.",
        where="Section 3, Table 1",
        needs="sgd, signum and adam, each tuned, with the same budget and seeds",
        test=f"Share of the gap within {SHARE:.0%} ± {SHARE_MARGIN:.0%}, margin chosen by us",
        judge=_closes,
        settle=RERUN,
    ),
)
