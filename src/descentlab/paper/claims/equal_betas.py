"""Adam with β1 = β2: whether it is near-optimal, and which β2 is best for each β1."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from descentlab.analysis.claims.evidence import Evidence, cells
from descentlab.analysis.claims.finding import Finding, LackingEvidence, Verdict, shown, verdict
from descentlab.analysis.claims.ledger import Claim
from descentlab.analysis.claims.seed_noise import RIVALS, Losses, of_runs
from descentlab.analysis.statistics.estimate import CONFIDENCE, Estimate
from descentlab.analysis.statistics.near_optimality import family_regret
from descentlab.paper.claims.scales import at_410m, at_batch, at_other_text, at_quarter_length

At = Callable[[Evidence], Evidence]

MARGIN = 0.3
"""Of perplexity: what the paper says the equal pair never costs."""
CONVENTIONAL = (0.9, 0.95)
STUDY = "descent sweep examples/adam-betas.toml, and then its best pairs with three seeds"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One β1, every β2 with its learning rate tuned."""

    beta1: float
    equal: float
    """Loss at β2 = β1."""
    others: list[float]
    """Losses at every other β2."""
    best_beta2: float

    @property
    def gap(self) -> float:
        """Perplexity at β2 = β1 above that of the best β2; 0 if it is the best."""
        return max(0.0, math.exp(self.equal) - math.exp(min(self.others)))


def by_pair(evidence: Evidence) -> pd.DataFrame:
    """Adam's loss at every (β1, β2), the learning rate tuned: columns beta1, beta2, loss."""
    tuned = cells(evidence.grid("adam")).groupby(["beta1", "beta2"])["loss"].min().reset_index()
    if len(tuned) < 4 or not (tuned["beta1"] != tuned["beta2"]).any():
        raise LackingEvidence("adam ran with β1 = β2 alone, or with too few pairs of β")
    return tuned


def rows(evidence: Evidence) -> list[Row]:
    """The rows of β1 in which β2 = β1 was tried, and others with it.

    Raises:
        LackingEvidence: if there is none.
    """
    found, pairs = [], by_pair(evidence)
    for beta1 in sorted(set(pairs["beta1"])):
        row = pairs[pairs["beta1"] == beta1]
        equal, losses = row["beta2"].to_numpy() == beta1, row["loss"].to_numpy(dtype=float)
        if equal.any() and len(row) > 2 and np.isfinite(losses).any():
            found.append(
                Row(
                    beta1=float(beta1),
                    equal=float(losses[equal][0]),
                    others=[float(each) for each in losses[~equal]],
                    best_beta2=float(row["beta2"].to_numpy()[losses.argmin()]),
                )
            )
    if not found:
        raise LackingEvidence("in no row of β1 was β2 = β1 tried beside two others")
    return found


def gap_in_perplexity(
    family: list[float], others: list[float], *, noise: float, confidence: float = CONFIDENCE
) -> Estimate:
    """How much perplexity the best of a family lies above the best of the others.

    Others that no noise could make the best are left out of the null distribution.
    """
    best = min(others)
    rivals = [each for each in others if each <= best + RIVALS * noise]
    regret = family_regret(family, rivals, noise=noise, confidence=confidence)
    value, low, high = (
        math.exp(best) * math.expm1(each) for each in (regret.value, regret.low, regret.high)
    )
    return replace(regret, value=value, low=low, high=high, n=1 + len(others))


def near_optimal(evidence: Evidence) -> Finding:
    """Judge that β1 = β2 costs less than the margin in every row of β1."""
    found, noise = rows(evidence), evidence.seed_noise("adam")
    each_row = {
        row.beta1: gap_in_perplexity([row.equal], row.others, noise=noise.sd) for row in found
    }
    # That all rows hold needs no correction; that some row does not is one of several tests.
    strict = 1 - (1 - CONFIDENCE) / len(found)
    lows = {
        row.beta1: gap_in_perplexity([row.equal], row.others, noise=noise.sd, confidence=strict).low
        for row in found
    }
    worst = max(found, key=lambda row: row.gap)
    estimate = replace(
        each_row[worst.beta1],
        low=max(lows.values()),
        high=max(each.high for each in each_row.values()),
        n=len(found),
        method=f"largest regret of {len(found)} rows against noise alone; {noise.source}",
    )
    gaps = "/".join(f"{row.gap:.3f}".rstrip("0").rstrip(".") for row in found)
    betas = "/".join(f"{row.beta1:g}" for row in found)
    over = sum(row.gap > MARGIN for row in found)
    told = verdict(estimate, below=MARGIN)
    observed = f"{over} of {len(found)} observed gaps are above {MARGIN}" if over else ""
    room = f"none of {len(found)} observed gaps is above {MARGIN}, but noise leaves room for one"
    return Finding(
        claim="",
        verdict=told,
        effect=f"gap {gaps} perplexity at β1 = {betas}; the largest true one "
        f"in [{estimate.low:.2f}, {estimate.high:.2f}]",
        estimate=estimate,
        counted="rows of β1",
        reason=(observed or room) if told == "cannot be told" else "",
        caveats=(observed,) if over and told != "cannot be told" else (),
        settle=_more_seeds(found) if told == "cannot be told" else "",
    )


def _more_seeds(found: list[Row]) -> str:
    worst = max(found, key=lambda row: row.gap)
    return (
        f"three seeds of (β1, β2) = ({worst.beta1:g}, {worst.beta1:g}) and "
        f"({worst.beta1:g}, {worst.best_beta2:g}), each at its best learning rate"
    )


def _one_beta_is_enough(evidence: Evidence) -> Finding:
    pairs, noise = by_pair(evidence), evidence.seed_noise("adam")
    equal = pairs["beta1"] == pairs["beta2"]
    if not equal.any():
        raise LackingEvidence("no run of adam with β1 = β2")
    family, others = list(pairs.loc[equal, "loss"]), list(pairs.loc[~equal, "loss"])
    estimate = gap_in_perplexity(family, others, noise=noise.sd)
    told = verdict(estimate, below=MARGIN)
    return Finding(
        claim="",
        verdict=told,
        effect=f"the best equal pair costs {shown(estimate, '.2f')} perplexity",
        estimate=replace(estimate, method=f"{estimate.method}; {noise.source}"),
        counted="pairs of β",
        reason=f"the interval includes {MARGIN}" if told == "cannot be told" else "",
    )


def _grows(evidence: Evidence) -> Finding:
    pairs, noise = by_pair(evidence), evidence.seed_noise("adam")
    table = pairs.pivot_table(index="beta1", columns="beta2", values="loss", aggfunc="min")
    table = table[(table.notna().sum(axis=1) > 2)].fillna(math.inf)
    if len(table) < 3:
        raise LackingEvidence("fewer than three rows of β1 with three β2 each")
    shape, columns = table.shape, np.array(table.columns, dtype=float)

    def correlation(losses: Losses) -> NDArray[np.float64]:
        best = columns[losses[0].reshape(*losses[0].shape[:-1], *shape).argmin(-1)]
        return rank_correlation(best)

    flat = table.to_numpy().ravel()
    method = "Spearman's rank correlation of β1 and its best β2"
    estimate = of_runs(correlation, (flat, noise), n=len(table), method=method)
    told = verdict(estimate, above=0.0)
    best = columns[table.to_numpy().argmin(axis=1)]
    each = ", ".join(f"{b1:g} → {b2:g}" for b1, b2 in zip(table.index, best, strict=True))
    return Finding(
        claim="",
        verdict=told,
        effect=f"best β2 by β1: {each}; rank correlation {shown(estimate, '.2f')}",
        estimate=estimate,
        counted="rows of β1",
        reason="the interval includes no correlation" if told == "cannot be told" else "",
    )


def rank_correlation(best: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's rank correlation of each ``[…, rows]`` with its position; 0 where all are equal.

    >>> rank_correlation(np.array([[0.8, 0.9, 0.9, 0.95], [0.9, 0.9, 0.9, 0.9]])).round(3).tolist()
    [0.949, 0.0]
    """
    ranks = rankdata(best, axis=-1)
    ranks = ranks - ranks.mean(-1, keepdims=True)
    places = np.arange(best.shape[-1]) - (best.shape[-1] - 1) / 2
    scale = np.sqrt((ranks**2).sum(-1) * (places**2).sum())
    return np.divide(ranks @ places, scale, out=np.zeros_like(scale), where=scale > 0)


def _conventional_is_suboptimal(evidence: Evidence) -> Finding:
    pairs, noise = by_pair(evidence), evidence.seed_noise("adam")
    usual = (pairs["beta1"] == CONVENTIONAL[0]) & (pairs["beta2"] == CONVENTIONAL[1])
    if not usual.any():
        raise LackingEvidence("no run of adam with (β1, β2) = (0.9, 0.95)")
    family, others = list(pairs.loc[usual, "loss"]), list(pairs.loc[~usual, "loss"])
    estimate = gap_in_perplexity(family, others, noise=noise.sd)
    told: Verdict = verdict(estimate, above=0.0)
    return Finding(
        claim="",
        verdict="cannot be told" if told == "does not hold" else told,
        effect=f"(0.9, 0.95) costs {shown(estimate, '.2f')} perplexity",
        estimate=replace(estimate, method=f"{estimate.method}; {noise.source}"),
        counted="pairs of β",
        reason="noise alone could make it look so" if told != "holds" else "",
    )


def _row_claim(key: str, statement: str, where: str, at: At) -> Claim:
    return Claim(
        key=key,
        statement=statement,
        where=where,
        needs="adam on a grid of learning rate × β1 × β2, and the noise over seeds",
        test=f"Regret of β2 = β1 below {MARGIN} perplexity in every row, against noise alone",
        judge=lambda evidence: near_optimal(at(evidence)),
        settle=STUDY,
    )


CLAIMS = (
    _row_claim(
        "equal-betas",
        "For every β1, β2 = β1 is near-optimal: never more than 0.3 of perplexity worse.",
        "Figures 1, 2, 8; the sweep of Table 1",
        lambda evidence: evidence,
    ),
    _row_claim(
        "equal-betas-batch-128",
        "With half the batch, 128 in the paper, β2 = β1 is never more than 0.3 worse.",
        "Figures 3, 13",
        partial(at_batch, factor=1 / 2),
    ),
    _row_claim(
        "equal-betas-batch-256",
        "With batch 256 and 2.5 billion tokens, β2 = β1 is never more than 0.3 worse.",
        "Figures 3, 14",
        partial(at_batch, factor=1),
    ),
    _row_claim(
        "equal-betas-batch-512",
        "With twice the batch, 512 in the paper, β2 = β1 is never more than 0.3 worse.",
        "Figures 3, 15",
        partial(at_batch, factor=2),
    ),
    _row_claim(
        "equal-betas-short-sequences",
        "With sequences of a quarter of the length, 512 in the paper, β2 = β1 is never more "
        "than 0.3 worse.",
        "Figure 12",
        at_quarter_length,
    ),
    _row_claim(
        "equal-betas-other-text",
        "On another text without weight decay, FineWeb in the paper, β2 = β1 is never more than "
        "0.3 worse.",
        "Figure 16",
        at_other_text,
    ),
    Claim(
        key="one-beta-is-enough",
        statement="Adam with one β loses nothing that matters to Adam with two, all tuned.",
        where="Sections 1, 3",
        needs="adam on a grid of learning rate × β1 × β2, and the noise over seeds",
        test=f"Regret of the best equal pair below {MARGIN} perplexity, against noise alone",
        judge=_one_beta_is_enough,
        settle=STUDY,
    ),
    Claim(
        key="best-beta2-grows",
        statement="The best β2 grows with β1.",
        where="Figures 1, 2",
        needs="adam on a grid of learning rate × β1 × β2, and the noise over seeds",
        test="Spearman's rank correlation of β1 and its best β2 above 0",
        judge=_grows,
        settle=STUDY,
    ),
    Claim(
        key="conventional-betas-410m",
        statement="(β1, β2) = (0.9, 0.95) is suboptimal at 410M.",
        where="Figure 5 (4 in the text)",
        needs="adam with 410M parameters on a grid that has this pair",
        test="Regret of the pair above 0, against noise alone",
        judge=lambda evidence: _conventional_is_suboptimal(at_410m(evidence)),
        settle="import the paper's 410M file, or a study of examples/paper-410m.toml",
    ),
    Claim(
        key="conventional-betas",
        statement="(β1, β2) = (0.9, 0.95) is suboptimal at the scale of Table 1, too.",
        where="Figures 1, 8; our extension",
        needs="adam on a grid of learning rate × β1 × β2 that has this pair",
        test="Regret of the pair above 0, against noise alone",
        judge=_conventional_is_suboptimal,
        settle=STUDY,
    ),
)
