"""Whether Adam's running estimate of the noise is what Signum lacks: constants in its place."""

from __future__ import annotations

from descentlab.analysis.claims.evidence import CONSTANT, MOLLIFIED, PER_TENSOR
from descentlab.analysis.claims.ledger import Claim
from descentlab.paper.claims.table1 import PAIRED, below

RERUN = "descent reproduce constant-variance --scale {scale} --seeds 8"

CLAIMS = (
    Claim(
        key="mollifier-does-not-close-the-gap",
        statement="A fixed mollifier ε in Signum, m/(|m|+ε), does not reach Adam.",
        where="Figures 4, 5",
        needs="adam and signum with ε > 0, each tuned",
        test=PAIRED,
        judge=below("adam", MOLLIFIED),
        settle="a study of signum with optimizer.eps over several decades, beside adam",
    ),
    Claim(
        key="constant-variance-loses",
        statement="One constant in place of Adam's σ², the best for all coordinates, loses to it.",
        where="Figure 5, Section 4",
        needs="adam with β1 = β2 and the same with σ² constant, each tuned",
        test=PAIRED,
        judge=below("adam", CONSTANT),
        settle=RERUN,
    ),
    Claim(
        key="constant-variance-per-tensor-loses",
        statement="A constant for each tensor, proportional to its mean of σ², loses to it, too.",
        where="Figure 5, Section 4; our extension",
        needs="adam with β1 = β2 and the same with σ² constant by tensor, each tuned",
        test=PAIRED,
        judge=below("adam", PER_TENSOR),
        settle=RERUN,
    ),
)
