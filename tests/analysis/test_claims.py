from __future__ import annotations

import math

import pytest

from descentlab.analysis.claims import (
    all_lower_perplexity,
    as_records,
    lower_perplexity,
    markdown,
    share_of_gap,
)
from descentlab.analysis.comparison import Contender


def contender(name: str, *perplexities: float) -> Contender:
    return Contender(
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
    assert lower_perplexity("c", BAD, GOOD).verdict == "not at this scale"


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
    assert all_lower_perplexity("c", [GOOD, worse, NOISY], BAD).verdict == "not at this scale"


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
    assert lower_perplexity("c", broken, good).verdict == "not at this scale"


def test_records_write_missing_bounds_as_null():
    (record,) = as_records([lower_perplexity("c", GOOD, BROKEN)])
    assert (record["low"], record["verdict"], record["n"]) == (None, "cannot be told", 3)


def test_findings_for_people():
    finding = lower_perplexity("claim", contender("good", 10, 10), contender("bad", 20, 20))
    assert markdown([finding]) == (
        "- claim: **holds** – perplexity of good is 50.0% [50.0%, 50.0%] of bad's; n=2"
    )
