"""What momentum, its place and clipping are worth."""

from __future__ import annotations

from descentlab.analysis.claims.evidence import WITH_MOMENTUM
from descentlab.analysis.claims.ledger import Claim
from descentlab.paper.claims.table1 import PAIRED, RERUN, below

CLAIMS = (
    Claim(
        key="sign-after-averaging",
        statement="Taking the sign of the averaged gradient (Signum) beats averaging signs.",
        where="Table 1, Section 3",
        needs="signum and emasign, each tuned",
        test=PAIRED,
        judge=below("signum", "emasign"),
        settle=RERUN,
    ),
    Claim(
        key="signum-needs-momentum",
        statement="Signum needs its momentum: sign descent without any ends above it.",
        where="Figures 1, 2",
        needs="signum with β > 0 and sign descent, each tuned",
        test=PAIRED,
        judge=below(WITH_MOMENTUM, "signsgd"),
        settle="a study of signum with optimizer.beta = [0, …] and three seeds (docs/studies.md)",
    ),
    Claim(
        key="adam-needs-momentum",
        statement="RMSprop, which is Adam with β1 = 0, ends above Adam.",
        where="Table 1",
        needs="adam and rmsprop, each tuned",
        test=PAIRED,
        judge=below("adam", "rmsprop"),
        settle=RERUN,
    ),
    Claim(
        key="clipping-helps-sgd",
        statement="Clipping the norm of the gradient helps SGD.",
        where="Table 1",
        needs="sgd with and without clipping, each tuned",
        test=PAIRED,
        judge=below("sgd+Gclip", "sgd"),
        settle=RERUN,
    ),
    Claim(
        key="clipping-coordinates-helps-sgd",
        statement="Clipping the coordinates of the momentum as well helps SGD further.",
        where="Table 1",
        needs="sgd clipped by norm, and by norm and coordinate, each tuned, with one budget",
        test=PAIRED,
        judge=below("sgd+Cclip", "sgd+Gclip"),
    ),
)
