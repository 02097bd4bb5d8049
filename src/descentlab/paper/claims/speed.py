"""How much faster Adam is than Signum, and how many of its settings beat Signum's best."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from descentlab.analysis.claims.evidence import Evidence, on_tuning_seed
from descentlab.analysis.claims.finding import Finding, LackingEvidence, Verdict, shown, verdict
from descentlab.analysis.claims.ledger import Claim
from descentlab.analysis.claims.seed_noise import Losses, SeedNoise, of_runs
from descentlab.analysis.comparison import Contender
from descentlab.analysis.statistics.budget_to_match import ENOUGH_SETTINGS
from descentlab.analysis.statistics.estimate import Estimate
from descentlab.analysis.statistics.speed_up import share_between_budgets, share_within_curve
from descentlab.paper.claims.table1 import RERUN

SHARE, SHARE_MARGIN = 0.75, 0.1
MOST = 0.5
POINTS = 100
"""Of a curve at least, to find a place on it."""


@dataclass(frozen=True, kw_only=True)
class BudgetShare:
    """The share of Signum's budget in which Adam reaches Signum's final loss."""

    between: Estimate | None
    """Between Adam's tuned optima at several budgets, if there are several."""
    within: Estimate | None
    """Within the curves of Adam's winner, if they are on record; an upper bound."""
    caveats: tuple[str, ...]

    @property
    def best(self) -> Estimate:
        """Between budgets where there are two, else within one curve."""
        found = self.between or self.within
        assert found is not None
        return found

    def __str__(self) -> str:
        said = f"adam needs {shown(self.best, '.0%')} of signum's budget"
        if self.between and self.within:
            said += f" between its optima; {shown(self.within, '.0%')} within one curve"
        return said


def budget_share(evidence: Evidence) -> BudgetShare:
    """Estimate it from separately annealed budgets and within curves.

    Raises:
        LackingEvidence: if there are neither several budgets nor curves.
    """
    adam, signum = evidence.contenders("adam", "signum")
    between, within = _between(evidence, adam, signum), _within(evidence, adam, signum)
    if between is None and within is None:
        raise LackingEvidence("adam was tuned at one budget, and its curves are not on record")
    caveats = tuple(dict.fromkeys((*adam.caveats, *signum.caveats)))
    if between is None:
        late = (
            "within one run, whose learning rate is still high there: the share is an upper bound"
        )
        caveats += (late,)
    return BudgetShare(between=between, within=within, caveats=caveats)


def _between(evidence: Evidence, adam: Contender, signum: Contender) -> Estimate | None:
    budgets = _budgets(evidence)
    if len(budgets) < 2:
        return None
    per_step = evidence.condition["batch_size"] * evidence.condition["sequence_length"]
    noise = _noise(adam, signum)
    share = share_between_budgets(
        [steps * per_step for steps in budgets],
        [_losses(evidence.at(steps=steps).contender("adam")) for steps in budgets],
        _losses(signum),
        reference=evidence.condition["steps"] * per_step,
        noise=noise.sd if noise else None,
    )
    return _told(share, noise)


def _within(evidence: Evidence, adam: Contender, signum: Contender) -> Estimate | None:
    if evidence.curves is None:
        return None
    curves = evidence.curves(adam.run_ids)
    curves = curves[curves["kind"] == "training"]
    points = curves.groupby("fraction")["loss"].agg(["mean", "size"])
    whole = points[points["size"] == curves["run"].nunique()]
    if len(whole) < POINTS:
        return None
    noise = _noise(adam, signum)
    share = share_within_curve(
        whole.index.to_numpy(dtype=float),
        whole["mean"].to_numpy(dtype=float),
        [a - b for a, b in zip(_losses(signum), _losses(adam), strict=True)],
        noise=noise.sd if noise else None,
        drawn_positions=bool(curves["step"].isna().any()),
    )
    return _told(share, noise)


def _budgets(evidence: Evidence) -> list[int]:
    """Steps for which Adam was tuned, everything else equal; a stray run is no tuning."""
    others = {name: value for name, value in evidence.condition.items() if name != "steps"}
    runs = replace(evidence, condition=others, unequal_budgets=False).grid("adam")
    counts = runs.groupby("steps").size()
    enough = counts[counts >= ENOUGH_SETTINGS * counts.max()]
    return [int(str(each)) for each in enough.index]


def _losses(contender: Contender) -> list[float]:
    return [min(contender.choice)] if contender.noise else contender.losses


def _noise(adam: Contender, signum: Contender) -> SeedNoise | None:
    both = [each.noise for each in (adam, signum) if each.noise]
    return max(both, key=lambda each: each.sd) if both else None


def _told(share: Estimate, noise: SeedNoise | None) -> Estimate:
    return replace(share, method=f"{share.method}; {noise.source}") if noise else share


def _needs_less(evidence: Evidence) -> Finding:
    share = budget_share(evidence)
    return _finding(share, verdict(share.best, below=1.0))


def _needs_three_quarters(evidence: Evidence) -> Finding:
    share = budget_share(evidence)
    within = (SHARE - SHARE_MARGIN, SHARE + SHARE_MARGIN)
    return _finding(share, verdict(share.best, within=within))


def _finding(share: BudgetShare, told: Verdict) -> Finding:
    reason = share.best.reason or ""
    if told == "cannot be told" and not reason:
        reason = "the interval includes shares on both sides of what is claimed"
    single = "published" in share.best.method
    return Finding(
        claim="",
        verdict=told,
        effect=str(share),
        estimate=share.best,
        counted="runs, with seed noise as published" if single else "seeds",
        reason=reason,
        caveats=share.caveats,
    )


def beaten(evidence: Evidence, *, tuned: bool) -> Finding:
    """How many of Adam's runs, or of its pairs of β after tuning, end below the best Signum.

    Runs that were stopped may or may not have ended there, and bound the share on both sides.
    """
    runs, target = (on_tuning_seed(evidence.grid(method)) for method in ("adam", "signum"))
    noises = [evidence.seed_noise("adam"), evidence.seed_noise("signum")]
    if not (runs["beta1"] != runs["beta2"]).any():
        raise LackingEvidence("adam ran with β1 = β2 alone, not on a grid of both")
    pairs = runs.groupby(["beta1", "beta2"], dropna=False).ngroup().to_numpy()

    def share(losses: Losses) -> NDArray[np.float64]:
        each = losses[0]
        if tuned:
            each = np.stack([each[..., pairs == pair].min(-1) for pair in set(pairs)], axis=-1)
        return (each < losses[1]).mean(-1)

    estimate = of_runs(
        share,
        (runs["loss"].to_numpy(dtype=float), noises[0]),
        (target["loss"].to_numpy(dtype=float), noises[1]),
        n=len(set(pairs)) if tuned else len(runs),
        method="share of them below the best run of signum",
    )
    what = "pairs of β, each at its best learning rate," if tuned else "runs of adam"
    count = round(estimate.value * estimate.n)
    stopped = len(evidence.stopped("adam"))
    if stopped and not tuned:
        total = estimate.n + stopped
        bounds = estimate.low * estimate.n / total, (estimate.high * estimate.n + stopped) / total
        estimate = replace(estimate, low=bounds[0], high=bounds[1])
    told = verdict(estimate, above=MOST)
    best = math.exp(target["loss"].min())
    return Finding(
        claim="",
        verdict=told,
        effect=f"{count} of {estimate.n} {what} end below {best:.2f}: {shown(estimate, '.1%')}",
        estimate=estimate,
        counted="pairs of β" if tuned else "runs",
        reason="the interval includes one half" if told == "cannot be told" else "",
        caveats=(f"{stopped} runs of adam were stopped before their end",) if stopped else (),
    )


def _grid_share(evidence: Evidence) -> Finding:
    return beaten(evidence, tuned=False)


def _pairs_share(evidence: Evidence) -> Finding:
    return beaten(evidence, tuned=True)


_BUDGETS = (
    "adam and signum, each tuned; best with adam tuned at two budgets, or else with curves of its "
    "winner"
)

CLAIMS = (
    Claim(
        key="adam-is-faster",
        statement="Adam reaches Signum's final loss with less of the budget.",
        where="Section 3, Figure 2",
        needs=_BUDGETS,
        test="Budget to match, as a share of Signum's, below 1",
        judge=_needs_less,
        settle=RERUN,
    ),
    Claim(
        key="signum-slows-down-by-a-quarter",
        statement="Signum is a 25% slowdown: Adam needs three quarters of its budget.",
        where="Section 3, Figure 2",
        needs=_BUDGETS,
        test=f"Budget to match within {SHARE} ± {SHARE_MARGIN}, margin chosen by us",
        judge=_needs_three_quarters,
        settle="adam tuned at 3/4 of signum's budget, three seeds of each winner",
    ),
    Claim(
        key="most-adam-runs-beat-signum",
        statement="Most runs of Adam beat the best run of Signum.",
        where="Figures 1, 2",
        needs="a grid of learning rate × β1 × β2 of adam, and signum tuned",
        test="Share of runs below the best Signum above one half",
        judge=_grid_share,
        settle="descent sweep of adam's whole grid, without racing, beside signum's",
    ),
    Claim(
        key="most-adam-betas-beat-signum",
        statement="With the learning rate tuned, most pairs of β of Adam beat the best Signum.",
        where="Figures 1, 2; our reading",
        needs="a grid of learning rate × β1 × β2 of adam, and signum tuned",
        test="Share of pairs below the best Signum above one half",
        judge=_pairs_share,
        settle="descent sweep of adam's whole grid, without racing, beside signum's",
    ),
)
