"""Every claim of the paper as data, a file for each group of them.

from descentlab.paper.claims import CLAIMS, judged
ledger = judged([Store(Path("store"))])
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    import pandas as pd

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


def judged(
    stores: Sequence[Store],
    *,
    runs: Collection[str] | None = None,
    keys: Collection[str] | None = None,
    loaded: Sequence[pd.DataFrame] | None = None,
) -> Ledger:
    """What the runs of some stores say of every claim.

    Args:
        stores: where the runs are.
        runs: the ids of those to judge by; all if left out.
        keys: of the claims to judge; all if left out.
        loaded: what ``load`` gives of each store, if it is known.

    Raises:
        ConfigError: if no store has a run that could say something.
    """
    known = scales(stores, runs, loaded)
    if not known:
        names = ", ".join(str(store.root) for store in stores)
        raise ConfigError(f"store: {names} has no run to judge a claim by; import or train some")
    return judge([each for each in CLAIMS if keys is None or each.key in keys], known)
