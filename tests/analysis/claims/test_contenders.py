from __future__ import annotations

import math

import pytest

from descentlab.analysis.claims.contenders import (
    all_lower_perplexity,
    equal_perplexity,
    lower_perplexity,
    share_of_gap,
)
from descentlab.analysis.claims.finding import as_record, markdown
from descentlab.analysis.claims.seed_noise import SeedNoise
from descentlab.analysis.comparison import Contender


def contender(name: str, *perplexities: float, **others) -> Contender:
    return Contender(
        **others,
        name=name,
        best={"lr": 0.1, "beta": 0.9},
        losses=[math.log(each) for each in perplexities],
        trials=4,
        diverged=0,
        runs=7,
        edges=[],
    )


GOOD = contender("good", 20.0, 20.2, 20.1)
BAD = contender("bad", 30.0, 30.4, 30.1)
NOISY = contender("noisy", 15.0, 25.0, 21.0)
BROKEN = contender("broken", 20.0, math.inf, 20.0)


def test_a_clear_difference_holds_and_its_reverse_does_not():
    assert lower_perplexity("c", GOOD, BAD).verdict == "holds"
    assert lower_perplexity("c", BAD, GOOD).verdict == "does not hold"


def test_an_interval_across_zero_tells_nothing():
    assert lower_perplexity("c", GOOD, NOISY).verdict == "cannot be told"


def test_the_effect_is_the_geometric_mean_ratio_of_perplexities():
    finding = lower_perplexity("c", GOOD, BAD)
    ratio = (20.0 * 20.2 * 20.1 / (30.0 * 30.4 * 30.1)) ** (1 / 3)
    assert math.exp(finding.estimate.value) == pytest.approx(ratio)
    assert f"perplexity of good is {ratio:.1%} [" in finding.effect


@pytest.mark.parametrize(
    ("better", "worse"), [(GOOD, BROKEN), (BROKEN, BAD), (contender("one", 9.0), BAD)]
)
def test_a_diverged_seed_or_a_single_one_gives_no_verdict(better, worse):
    if len(better.losses) == 1:
        worse = contender("bad", 30.0)
    finding = lower_perplexity("c", better, worse)
    assert finding.verdict == "cannot be told"
    assert finding.estimate.reason is not None
    assert finding.estimate.reason in finding.effect


def test_all_must_hold_and_the_weakest_is_shown():
    close = contender("close", 29.0, 29.3, 29.05)
    assert all_lower_perplexity("c", [GOOD, close], BAD).verdict == "holds"
    weakest = all_lower_perplexity("c", [GOOD, NOISY], BAD)
    assert (weakest.verdict, "noisy" in weakest.effect) == ("cannot be told", True)
    worse = contender("worse", 40.0, 40.2, 40.1)
    assert all_lower_perplexity("c", [GOOD, worse, NOISY], BAD).verdict == "does not hold"


def test_the_papers_own_numbers_close_96_percent_of_the_gap():
    finding = share_of_gap(
        "c",
        closes=contender("signum", 23.23, 23.23),
        worst=contender("sgd", 53.62, 53.62),
        best=contender("adam", 21.86, 21.86),
        at_least=0.5,
    )
    assert finding.estimate.value == pytest.approx(0.957, abs=5e-4)
    assert finding.verdict == "holds"


def test_a_gap_that_is_not_there_has_no_share():
    finding = share_of_gap("c", closes=NOISY, worst=GOOD, best=BAD, at_least=0.5)
    assert finding.verdict == "cannot be told"
    assert finding.effect == "the gap that noisy closes: bad is not below good with 3 of 3 seeds"


def test_a_diverged_seed_counts_as_worst_and_leaves_no_verdict():
    finding = share_of_gap("c", closes=BROKEN, worst=BAD, best=GOOD, at_least=0.5)
    assert finding.estimate.low == -math.inf
    assert finding.verdict == "cannot be told"
    assert "(1 of 3 seeds with a diverged run; 3 seeds are too few" in finding.effect


def test_with_enough_seeds_one_that_diverged_leaves_a_verdict():
    good = contender("good", *[20.0] * 6)
    broken = contender("broken", *[30.0] * 5, math.inf)
    assert lower_perplexity("c", good, broken).verdict == "holds"
    assert lower_perplexity("c", broken, good).verdict == "does not hold"


def test_records_write_missing_bounds_as_null():
    record = as_record(lower_perplexity("c", GOOD, BROKEN))
    assert (record["low"], record["verdict"], record["n"]) == (None, "cannot be told", 3)


def test_findings_for_people():
    finding = lower_perplexity("claim", contender("good", 10, 10), contender("bad", 20, 20))
    assert markdown([finding]) == (
        "- claim: **holds** – perplexity of good is 50.0% [50.0%, 50.0%] of bad's; n = 2 seeds"
    )


NOISE = SeedNoise(sd=0.005, df=16, source="noise that was made up")


def single(
    name: str, perplexity: float, *others: float, noise: SeedNoise | None = NOISE, steps=6200
) -> Contender:
    """One run, the best of several settings."""
    choice = [math.log(each) for each in (perplexity, *others)]
    return contender(name, perplexity, choice=choice, noise=noise, steps=steps)


def test_single_runs_are_judged_with_noise_from_elsewhere_which_is_named():
    finding = lower_perplexity("c", single("good", 20.0), single("bad", 22.0))
    assert finding.verdict == "holds"
    assert finding.counted == "run each, with seed noise as published"
    assert "noise that was made up" in finding.estimate.method
    # Two independent normal deviations of 0.005, whose sd has 16 degrees of freedom.
    reach = 2.12 * 0.005 * math.sqrt(2)
    assert finding.estimate.high == pytest.approx(math.log(20 / 22) + reach, abs=1e-3)
    assert lower_perplexity("c", single("good", 20.0), single("bad", 20.2)).verdict != "holds"


def test_a_single_run_without_known_noise_tells_nothing():
    finding = lower_perplexity("c", single("good", 20.0), single("bad", 30.0, noise=None))
    assert finding.verdict == "cannot be told"
    assert finding.reason == "single runs, and the seed noise of bad is not known"


def test_the_best_of_many_equals_may_be_lucky():
    """Among 200 settings of equal merit the best is lucky by 2.7 standard deviations."""
    lucky = single("lucky", 20.0, *[20.0] * 199)
    plain = single("plain", 20.0)
    finding = lower_perplexity("c", lucky, plain)
    assert finding.estimate.value == 0
    assert finding.estimate.high > 2.7 * 0.005
    assert finding.estimate.low > -3.5 * 0.005  # which may not have been lucky at all


def test_a_longer_run_has_to_win_by_more_than_its_length():
    longer, shorter = single("long", 36.8), single("short", 37.8, steps=4800)
    finding = lower_perplexity("c", longer, shorter)
    assert finding.estimate.high < 0
    assert finding.verdict == "cannot be told"
    assert finding.reason == "the difference is no larger than the unequal budgets could make it"
    assert finding.caveats == ("unequal budgets: long 6,200 steps, short 4,800 steps",)
    # 4800/6200 of 37.8 is 29.3.
    assert lower_perplexity("c", single("long", 28.0), shorter).verdict == "holds"
    assert lower_perplexity("c", single("long", 38.8), shorter).verdict == "does not hold"


def test_a_shorter_run_that_wins_has_won_and_one_that_loses_may_be_too_short():
    longer = single("long", 30.0)
    assert lower_perplexity("c", single("short", 29.0, steps=4800), longer).verdict == "holds"
    loser = single("short", 32.0, steps=4800)
    assert lower_perplexity("c", loser, longer).verdict == "cannot be told"
    loser = single("short", 45.0, steps=4800)
    assert lower_perplexity("c", loser, longer).verdict == "does not hold"


def test_a_share_of_a_gap_to_a_shorter_run_allows_for_the_rest_of_it():
    """The paper's own best cells: 4,800 steps of SGD beside 6,200 of the others."""

    def finding(sgd):
        signum, adam = single("signum", 23.339), single("adam", 21.923)
        return share_of_gap("c", closes=signum, worst=sgd, best=adam, within=(0.93, 0.99))

    equal, unequal = finding(single("sgd", 50.684)), finding(single("sgd", 50.684, steps=4800))
    share = (50.684 - 23.339) / (50.684 - 21.923)
    assert equal.estimate.value == unequal.estimate.value == pytest.approx(share)
    # As if it had ended at 39.24.
    assert unequal.estimate.low < (39.24 - 23.339) / (39.24 - 21.923) < equal.estimate.low
    assert (equal.verdict, unequal.verdict) == ("holds", "cannot be told")


def test_the_same_runs_cannot_differ():
    twins = [contender(name, 20.0, 20.1, run_ids=("a", "b")) for name in ("sgd+Cclip", "sgd+Gclip")]
    finding = lower_perplexity("c", *twins)
    assert finding.verdict == "does not hold"
    assert finding.effect == "sgd+Cclip and sgd+Gclip are the same runs by construction"


def test_equality_needs_an_interval_within_the_margin():
    near = contender("near", 20.02, 20.21, 20.13)
    assert equal_perplexity("c", GOOD, near, margin=0.01).verdict == "holds"
    assert equal_perplexity("c", GOOD, BAD, margin=0.01).verdict == "does not hold"
    finding = equal_perplexity("c", GOOD, NOISY, margin=0.01)
    assert finding.verdict == "cannot be told"
    assert "[90%: " in finding.effect


def test_what_one_verdict_rests_on_is_said_with_it():
    edge = contender("edge", 20.0, 20.2, 20.1, caveats=("its best lr is the largest tried",))
    assert lower_perplexity("c", edge, BAD).caveats == edge.caveats


def test_how_many_seeds_would_tell_is_said_where_it_can_be_known():
    """The differences are −0.01, 0.001 and −0.015 nats: 8 more seeds have the power."""
    close = contender("close", *(math.exp(each) for each in (2.99, 3.001, 2.985)))
    finding = lower_perplexity("c", close, contender("other", *[math.exp(3.0)] * 3))
    assert finding.verdict == "cannot be told"
    assert "8 more seeds tell it at a chance of 80%" in finding.reason
