"""Conventions of Adam and Signum that the paper varies: ε, and how moving averages start."""

from __future__ import annotations

from typing import Any

from descentlab.analysis.claims.contenders import equal_perplexity, lower_perplexity, weakest
from descentlab.analysis.claims.evidence import Evidence, with_common_seeds
from descentlab.analysis.claims.finding import Finding, LackingEvidence
from descentlab.analysis.claims.ledger import Claim
from descentlab.analysis.comparison import Contender, Published, plus_minus
from descentlab.paper.claims.table1 import PAIRED
from descentlab.paper.published import TABLE2, TABLE3

MARGIN = 0.01
"""Of perplexity, as a share: twice the seed noise of a tuned Adam."""
SMALL = (1e-6, 1e-8, 1e-10, 1e-12, 1e-15)
USUAL, LARGE = 1e-8, 1e-3
ZI_BC = {"init": "zero", "bias_correction": True}
ZI = {"init": "zero", "bias_correction": False}
GI = {"init": "gradient", "bias_correction": False}
EQUAL = f"Paired difference within ±{MARGIN:.0%} of perplexity, margin chosen by us"
STARTS = "descent sweep examples/adam-starts.toml"
EPS = "a study of tuned adam with optimizer.eps = [1e-3, 1e-6, 1e-8, 1e-10, 1e-12, 1e-15]"


def _pair(
    evidence: Evidence, method: str, first: dict[str, Any], second: dict[str, Any]
) -> list[Contender]:
    """A method with two conventions, each tuned over the settings that it ran with."""
    named = [
        evidence.contender(method, called=f"{method} with {_spelled(each)}", **each)
        for each in (first, second)
    ]
    return with_common_seeds(named)


def _spelled(variant: dict[str, Any]) -> str:
    if "eps" in variant:
        return f"ε={variant['eps']:g}"
    start = "start at zero" if variant["init"] == "zero" else "start at the first gradient"
    corrected = {True: ", corrected", False: ", uncorrected", None: ""}
    return start + corrected[variant.get("bias_correction")]


def _small_eps(evidence: Evidence) -> Finding:
    tried = set(evidence.runs.loc[evidence.runs["method"] == "adam", "eps"].dropna())
    small = [each for each in SMALL if each in tried and each != USUAL]
    if not small or USUAL not in tried:
        raise LackingEvidence("adam ran with one ε, or none is on record")
    pairs = [_pair(evidence, "adam", {"eps": each}, {"eps": USUAL}) for each in small]
    return weakest([equal_perplexity("", *pair, margin=MARGIN) for pair in pairs])


def _large_eps(evidence: Evidence) -> Finding:
    usual, large = _pair(evidence, "adam", {"eps": USUAL}, {"eps": LARGE})
    return lower_perplexity("", usual, large)


def _correction(evidence: Evidence) -> Finding:
    return equal_perplexity("", *_pair(evidence, "adam", ZI_BC, ZI), margin=MARGIN)


def _gradient_start(evidence: Evidence) -> Finding:
    return lower_perplexity("", *_pair(evidence, "adam", ZI_BC, GI))


def _signum_start(evidence: Evidence) -> Finding:
    starts = {"init": "gradient"}, {"init": "zero"}
    return equal_perplexity("", *_pair(evidence, "signum", *starts), margin=MARGIN)


def _numbers(*rows: Published) -> str:
    return " against ".join(plus_minus(each.mean, each.two_sigma) for each in rows)


CLAIMS = (
    Claim(
        key="small-eps-does-not-matter",
        statement="Adam's ε does not matter from 1e-6 down "
        f"({_numbers(TABLE2[1e-6], TABLE2[1e-8])} at 1e-8).",
        where="Table 2",
        needs="tuned adam with several ε up to 1e-6, three seeds each",
        test=EQUAL,
        judge=_small_eps,
        settle=EPS,
    ),
    Claim(
        key="large-eps-hurts",
        statement=f"ε = 1e-3 hurts Adam ({_numbers(TABLE2[1e-3], TABLE2[1e-8])} at 1e-8).",
        where="Table 2",
        needs="tuned adam with ε = 1e-3 and 1e-8, three seeds each",
        test=PAIRED,
        judge=_large_eps,
        settle=EPS,
    ),
    Claim(
        key="bias-correction-does-not-matter",
        statement="Started at zero, Adam does not need its bias correction "
        f"({_numbers(TABLE3['adam ZI−BC'], TABLE3['adam ZI+BC'])} with it).",
        where="Table 3",
        needs="tuned adam, started at zero, corrected and not, three seeds each",
        test=EQUAL,
        judge=_correction,
        settle=STARTS,
    ),
    Claim(
        key="gradient-start-hurts-adam",
        statement="Starting Adam's averages at the first gradient hurts "
        f"({_numbers(TABLE3['adam GI−BC'], TABLE3['adam ZI+BC'])} from zero).",
        where="Table 3",
        needs="tuned adam from zero, corrected, and from the first gradient, three seeds each",
        test=PAIRED,
        judge=_gradient_start,
        settle=STARTS,
    ),
    Claim(
        key="start-does-not-matter-to-signum",
        statement="Where Signum's average starts does not matter "
        f"({_numbers(TABLE3['signum GI'], TABLE3['signum ZI'])} from zero).",
        where="Table 3, Figure 17",
        needs="tuned signum from zero and from the first gradient, three seeds each",
        test=EQUAL,
        judge=_signum_start,
        settle=STARTS,
    ),
)
