"""Whether Adam stays ahead of Signum under other conditions."""

from __future__ import annotations

from descentlab.analysis.claims.contenders import lower_perplexity
from descentlab.analysis.claims.evidence import Evidence
from descentlab.analysis.claims.finding import Finding
from descentlab.analysis.claims.ledger import Claim
from descentlab.paper.claims.scales import at_other_text, at_quarter_length
from descentlab.paper.claims.table1 import PAIRED


def _short(evidence: Evidence) -> Finding:
    return lower_perplexity("", *at_quarter_length(evidence).contenders("adam", "signum"))


def _other_text(evidence: Evidence) -> Finding:
    return lower_perplexity("", *at_other_text(evidence).contenders("adam", "signum"))


CLAIMS = (
    Claim(
        key="adam-leads-at-short-sequences",
        statement="Adam ends below Signum with sequences of a quarter of the length, 512 there.",
        where="Figure 12",
        needs="adam and signum, each tuned, with short sequences and as many tokens",
        test=PAIRED,
        judge=_short,
        settle="both tuned at a quarter of data.sequence_length and four times training.steps",
    ),
    Claim(
        key="adam-leads-on-other-text",
        statement="Adam ends below Signum on another text without weight decay, FineWeb there.",
        where="Figure 16",
        needs="adam and signum, each tuned, on another text",
        test=PAIRED,
        judge=_other_text,
        settle="both tuned on another data.corpus with optimizer.weight_decay = 0",
    ),
)
