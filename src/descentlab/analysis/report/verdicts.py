"""Which method wins, by how much and how surely; or that it cannot be told, and what would tell it.

The best method is compared with each other one. It is the best by the same runs, so p-values are
Holm-corrected for all pairs of methods, not for those of the best alone: then the choice of the
best is paid for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from descentlab.analysis.amounts import amount
from descentlab.analysis.audit.tables import listed
from descentlab.analysis.claims.contenders import difference_of, lower_perplexity
from descentlab.analysis.claims.evidence import with_common_seeds
from descentlab.analysis.claims.finding import Finding, LackingEvidence
from descentlab.analysis.comparison import SYMBOLS, Contender
from descentlab.analysis.report.comparisons import Comparison
from descentlab.analysis.report.document import Tone, Verdict
from descentlab.analysis.statistics.estimate import CONFIDENCE
from descentlab.analysis.statistics.multiple_tests import holm

FEWEST_SEEDS = 3
"""Fresh seeds for each winner, to advise where there are none to pair."""
FRESH = f"run both with {FEWEST_SEEDS} fresh seeds or more, the same for both"
MINUS = "−"
PAIRED = "paired differences:"
UNTOLD: tuple[str, Tone] = ("cannot be told", "warning")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The best method against another."""

    best: Contender
    other: Contender
    finding: Finding | None
    """None where nothing can be compared."""
    p_value: float
    """Corrected for all pairs; nan where nothing was tested."""
    lacking: str = ""
    """Why nothing can be compared."""

    @property
    def told(self) -> bool:
        """Whether the best is better, at the level of the interval and after the correction."""
        if self.finding is None or self.finding.verdict != "holds":
            return False
        return math.isnan(self.p_value) or self.p_value <= 1 - CONFIDENCE + 1e-12


def pairs(comparison: Comparison) -> list[Pair]:
    """The best method against each other, in the order of their ranks."""
    apart = comparison.apart
    corrected = _corrected(apart)
    return [_pair(apart[0], other, corrected) for other in apart[1:]]


def verdict(comparison: Comparison, audit: str = "") -> Verdict:
    """The judgement on a comparison, for the top of a report.

    Args:
        comparison: to judge.
        audit: what the audit has to say of it, in a sentence.
    """
    apart = comparison.apart
    if not apart:
        return Verdict(
            badge="no result",
            tone="quiet",
            heading=comparison.name,
            sentence="No run of it has a result yet.",
            target=comparison.key,
        )
    best = apart[0]
    found = pairs(comparison)
    details = [audit, *_budgets(comparison), _diverged(comparison)]
    details += [*_edges(comparison), *_twins(comparison)]
    if not found:
        n = f"{len(best.losses)} {'seed' if best.seeds else 'run'}" + "s" * (len(best.losses) != 1)
        sentence = (
            f"{best.name} alone was run here: perplexity {_number(best.mean)} at "
            f"{setting(best)}, n = {n}; there is no other method to compare it with."
        )
        badge, tone = "one method", "quiet"
    elif not math.isfinite(best.mean):
        sentence, badge, tone = "Every method diverged.", "all diverged", "warning"
    else:
        first = found[0]
        won = "wins" if all(each.told for each in found) else "is ahead"
        badge, tone = (f"{best.name} {won}", "good") if first.told else UNTOLD
        start = f"{best.name} has the lowest perplexity, {_number(best.mean)}"
        sentence = f"{start}{': ' if first.told else ', but '}{_said(first)}"
        details = [*_others(found), *details]
    return Verdict(
        badge=badge,
        tone=tone,
        heading=comparison.name,
        sentence=sentence,
        details=tuple(filter(None, [*_flattered(comparison), *details])),
        target=comparison.key,
    )


def setting(contender: Contender) -> str:
    """A best setting as people write it.

    >>> setting(Contender(name="adam", best={"lr": 0.008, "beta1": 0.95}, losses=[3.0], trials=1,
    ...                   diverged=0, runs=1, edges=[]))
    'lr = 0.008, β1 = 0.95'
    """
    return ", ".join(
        f"{SYMBOLS.get(name, name)} = {setting_text(value)}"
        for name, value in contender.best.items()
    )


def setting_text(value: float | None) -> str | None:
    """A value of a best setting; no limit is ``none``, and what a method lacks nothing."""
    if value is None or math.isnan(value):
        return None
    return "none" if math.isinf(value) else f"{value:.4g}"


def _corrected(apart: Sequence[Contender]) -> dict[tuple[str, str], float]:
    """Corrected p-values of all pairs that can be tested."""
    raw: dict[tuple[str, str], float] = {}
    for first, second in combinations(apart, 2):
        try:
            estimate = difference_of(*with_common_seeds([first, second]))
        except LackingEvidence:
            continue
        if estimate.reason is None and not math.isnan(estimate.p_value):
            raw[first.name, second.name] = estimate.p_value
    corrected = map(float, holm(list(raw.values()))) if raw else ()
    return dict(zip(raw, corrected, strict=True))


def _pair(best: Contender, other: Contender, corrected: dict[tuple[str, str], float]) -> Pair:
    try:
        common = with_common_seeds([best, other])
    except LackingEvidence as lacking:
        unknown = [each.name for each in (best, other) if each.noise is None]
        single = len(best.losses) == len(other.losses) == 1
        alone = f"one run of each, and the seed noise of {listed(unknown)} is not known"
        said = f"{alone if single else lacking}; {FRESH}"
        return Pair(best=best, other=other, finding=None, p_value=math.nan, lacking=said)
    finding = lower_perplexity(f"{best.name} is below {other.name}", *common)
    p_value = corrected.get((best.name, other.name), math.nan)
    return Pair(best=best, other=other, finding=finding, p_value=p_value)


def _said(pair: Pair) -> str:
    """The effect with n and the test, or why it cannot be told and what would tell it."""
    if pair.finding is None:
        return f"it cannot be told from {pair.other.name}: {pair.lacking}."
    if pair.told:
        return f"{_relative(pair)} ({_rests_on(pair)})."
    untold = f"it cannot be told from {pair.other.name}: {_relative(pair)} ({_rests_on(pair)})"
    return f"{untold}; {settle(pair)}."


def _rests_on(pair: Pair) -> str:
    """n, the test and its p-value."""
    assert pair.finding is not None
    finding, estimate = pair.finding, pair.finding.estimate
    test = "" if pair.best.noise else f", {PAIRED} {estimate.method}"
    return f"n = {estimate.n} {finding.counted}{test}{_p(pair)}"


def settle(pair: Pair) -> str:
    """Why it cannot be told, and what would tell it."""
    if pair.finding is None:
        return pair.lacking
    if pair.finding.verdict == "holds":
        return "its p-value does not survive the correction for all pairs; more seeds may tell"
    if pair.finding.verdict == "does not hold":
        return "with the same seeds it is higher"
    reason = pair.finding.reason
    alone = pair.finding.estimate.n < 2 and pair.finding.estimate.reason is not None
    return f"{reason}; {FRESH}" if alone else reason


def _others(found: Sequence[Pair]) -> list[str]:
    """What is told of the methods after the second, in few words."""
    told = [each.other.name for each in found[1:] if each.told]
    said = [f"It is below {listed(told)} as well."] if told else []
    return [
        *said,
        *(f"From {each.other.name} it cannot be told: {settle(each)}."
          for each in found[1:] if not each.told),
    ]  # fmt: skip


def _relative(pair: Pair) -> str:
    """How much lower than the other's, with the interval."""
    assert pair.finding is not None
    estimate = pair.finding.estimate
    if math.isnan(estimate.value):
        return f"no difference from {pair.other.name} can be given"
    if math.isinf(estimate.value):
        return f"{pair.other.name} diverged where it did not"
    value, low, high = (
        math.expm1(min(each, 700.0)) for each in (estimate.value, estimate.low, estimate.high)
    )
    lower = f"{abs(value):.1%} {'lower' if value <= 0 else 'higher'} than {pair.other.name}'s"
    if estimate.reason is not None:
        return lower
    return f"{lower}, 95% interval {low:+.1%} to {high:+.1%}".replace("-", MINUS)


def _p(pair: Pair) -> str:
    return "" if math.isnan(pair.p_value) else f", Holm-corrected p = {pair.p_value:.2g}"


def _budgets(comparison: Comparison) -> list[str]:
    """What each method was given: settings and training."""
    apart = comparison.apart
    tried = {each.name: each.trials for each in apart}
    steps = {each.name: each.steps for each in apart if each.steps}
    said = []
    if len(apart) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in tried.items())
        equal = len(set(tried.values())) == 1
        each = f"{next(iter(tried.values()))} settings each" if equal else counts
        said.append(f"Tuning: {each}" + ("." if equal else "; these budgets are unequal."))
    tokens = sorted({int(each) for each in comparison.frame["tokens"].dropna()})
    amounts = listed([amount(each) for each in tokens])
    if tokens:
        unequal = len(set(steps.values())) > 1 and len(apart) > 1
        told = ", ".join(f"{name} {count:,} steps" for name, count in steps.items())
        said.append(f"Training: {amounts} tokens" + (f"; unequal: {told}." if unequal else "."))
    return said


def _diverged(comparison: Comparison) -> str:
    runs = comparison.frame.drop_duplicates("run")  # twins stand for the same ones
    counts = runs.groupby("method", sort=False)["diverged"].sum()
    total = int(counts.sum())
    if not total:
        none = f"None of {len(runs):,} runs diverged."
        return none if len(runs) > 1 else "The run did not diverge."
    told = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    return f"Diverged: {total:,} of {len(runs):,} runs ({told})."


def _flattered(comparison: Comparison) -> list[str]:
    """Who was judged by the runs that chose its setting, though it ran with several seeds."""
    names = [each.name for each in comparison.apart if each.caveats and len(each.losses) > 1]
    if not names:
        return []
    said = f"{listed(names)}: judged by the runs that chose the setting, which flatters"
    return [f"{said}; fresh seeds would not."]


def _edges(comparison: Comparison) -> list[str]:
    at = [f"{each.name} ({', '.join(each.edges)})" for each in comparison.apart if each.edges]
    return [f"Best setting on an edge of what was tried: {listed(at)}."] if at else []


def _twins(comparison: Comparison) -> list[str]:
    return [
        f"{each.name} and {each.same_as} are the same runs, trained once."
        for each in comparison.contenders
        if each.same_as
    ]


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "diverged"
