"""Every claim of the paper as data, a file for each group of them.

from descentlab.paper.claims import CLAIMS, judged
ledger = judged([Store(Path("store"))])
"""

from __future__ import annotations

from collections.abc import Sequence

from descentlab.analysis.claims.ledger import Claim, Ledger, judge
from descentlab.errors import ConfigError
from descentlab.paper.claims import (
    conventions,
    equal_betas,
    momentum,
    noise_estimate,
    persistence,
    quadratic,
    speed,
    table1,
)
from descentlab.paper.claims.scales import scales
from descentlab.runs.store import Store

CLAIMS: tuple[Claim, ...] = (
    *table1.CLAIMS,
    *speed.CLAIMS,
    *equal_betas.CLAIMS,
    *conventions.CLAIMS,
    *momentum.CLAIMS,
    *noise_estimate.CLAIMS,
    *persistence.CLAIMS,
    *quadratic.CLAIMS,
)


def judged(stores: Sequence[Store]) -> Ledger:
    """What the runs of some stores say of every claim.

    Raises:
        ConfigError: if no store has a run that could say something.
    """
    known = scales(stores)
    if not known:
        names = ", ".join(str(store.root) for store in stores)
        raise ConfigError(f"store: {names} has no run to judge a claim by; import or train some")
    return judge(CLAIMS, known)
