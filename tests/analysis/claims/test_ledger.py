"""A ledger: verdicts side by side, corrected for many tests, readable in three forms."""

from __future__ import annotations

import math

import msgspec
import pytest
from oracles.run_frames import evidence, tuned

from descentlab.analysis.claims import rendering
from descentlab.analysis.claims.contenders import lower_perplexity
from descentlab.analysis.claims.finding import Finding, Verdict
from descentlab.analysis.claims.ledger import COMPUTED, Claim, corrected, judge
from descentlab.analysis.statistics.estimate import Estimate


def finding(verdict: Verdict = "holds", p_value=math.nan, **others):
    estimate = Estimate(0.5, 0.4, 0.6, 3, method="made up", p_value=p_value)
    return Finding(claim="c", verdict=verdict, effect="half", estimate=estimate, **others)


def below(first, second, **others):
    return Claim(
        key=f"{first}-below-{second}",
        statement=f"{first} ends below {second}.",
        where="Table 0",
        needs=f"{first} and {second}",
        test="paired",
        judge=lambda found: lower_perplexity("", *found.contenders(first, second)),
        **others,
    )


def computed(verdict: Verdict = "holds"):
    return Claim(
        key="sum", statement="Sums add.", where="Section 0", needs="nothing", test="addition",
        compute=lambda: finding(verdict),
    )  # fmt: skip


@pytest.fixture
def ledger():
    claims = [below("adam", "signum", settle="train --scale {scale}"), below("signum", "sgd")]
    adam = tuned("adam", [20.0, 20.2, 20.1])
    full = evidence([*adam, *tuned("signum", [23.0, 23.3, 23.1])], ours=True, contest="tiny")
    return judge([*claims, computed()], [full])


def test_holm_takes_back_what_many_tests_do_not_support():
    found = {"a": finding(p_value=0.01), "b": finding(p_value=0.04),
             "c": finding("does not hold", p_value=0.03), "d": finding(p_value=0.005)}  # fmt: skip
    result = corrected(found, "four")
    # Holm: 0.03, 0.06, 0.06, 0.02.
    assert {key: each.verdict for key, each in result.items()} == {
        "a": "holds", "b": "cannot be told", "c": "cannot be told", "d": "holds",
    }  # fmt: skip
    assert result["b"].reason == "p = 0.06 with Holm's correction for the 4 tests of four"
    assert result["d"].caveats == ("p = 0.02 with Holm's correction for the 4 tests of four",)


def test_claims_that_could_not_be_tested_do_not_count_among_the_tests():
    untested = finding("cannot be told")
    result = corrected({"a": finding(p_value=0.04), "b": untested}, "two")
    assert result["a"].verdict == "holds"
    assert result["b"] is untested


def test_families_are_corrected_at_each_scale():
    """Three comparisons, each with p near 0.03: alone they hold, together none does."""
    noisy = {"adam": [20.0, 20.7, 20.4], "signum": [21.2, 21.5, 21.9], "sgd": [22.4, 22.2, 23.3]}
    found = evidence([row for name, each in noisy.items() for row in tuned(name, each)])
    pairs = [("adam", "signum"), ("signum", "sgd"), ("adam", "sgd")]
    for family, verdict in (("", "holds"), ("f", "cannot be told")):
        ledger = judge([below(*pair, family=family) for pair in pairs], [found])
        told = [ledger.of(each)["made up"] for each in ledger.claims]
        assert [each.verdict for each in told] == [verdict] * 3
        assert all(0.05 / 3 < each.estimate.p_value < 0.05 for each in told)


def test_a_claim_without_its_runs_cannot_be_told_and_says_what_would_tell(ledger):
    claim = ledger.claims[1]
    (found,) = ledger.of(claim).values()
    assert found.verdict == "cannot be told"
    assert found.reason.startswith("no run of sgd with model laptop")
    assert found.settle == "train signum and sgd"
    assert found.effect == ""


def test_what_to_run_names_the_scale_where_there_is_a_contest_for_it():
    claim = below("adam", "signum", settle="train --scale {scale}")

    def settle(**others):
        ledger = judge([claim], [evidence(tuned("adam", [20, 21, 22]), **others)])
        return ledger.of(claim)["made up"].settle

    assert settle(ours=True, contest="tiny") == "train --scale tiny"
    assert settle(ours=True) == "train adam and signum"
    assert settle(settle="import {needs}") == "import adam and signum"


def test_what_is_told_needs_nothing_more(ledger):
    claim = ledger.claims[0]
    assert ledger.of(claim)["made up"].settle == ""
    assert ledger.of(claim)["made up"].claim == "adam ends below signum."


def test_computed_claims_stand_in_a_column_of_their_own(ledger):
    assert list(ledger.of(ledger.claims[2])) == [COMPUTED]
    assert ledger.counts("made up") == {"holds": 1, "does not hold": 0, "cannot be told": 1}
    assert ledger.counts(COMPUTED) == {"holds": 1, "does not hold": 0, "cannot be told": 0}


def test_a_terminal_shows_counts_then_every_claim_within_its_width(ledger):
    said = rendering.text(ledger, width=72)
    lines = said.splitlines()
    assert lines[0] == "3 claims          made up  computed here"
    assert lines[1] == "holds                   1              1"
    assert "adam ends below signum. [Table 0]" in lines
    assert any(
        each.startswith("  holds           made up: perplexity of adam is") for each in lines
    )
    assert "  to tell it: train signum and sgd" in lines
    assert max(map(len, lines)) <= 72


def test_a_page_has_a_table_of_verdicts_and_links_to_each_claim(ledger):
    page = rendering.markdown(ledger, "descent claims store --format md")
    assert "Made by `descent claims store --format md`." in page
    assert "| [adam ends below signum.](#adam-below-signum) | holds |  |" in page
    assert "| [signum ends below sgd.](#signum-below-sgd) | ? |  |" in page
    assert "| [Sums add.](#sum) |  | holds |" in page
    assert "### adam-below-signum\n" in page
    assert "To tell it: train signum and sgd." in page


def test_disagreement_is_as_plain_as_agreement():
    claim = below("signum", "adam")
    runs = [*tuned("adam", [20.0, 20.2, 20.1]), *tuned("signum", [23.0, 23.3, 23.1])]
    ledger = judge([claim], [evidence(runs)])
    assert "| **does not hold** |" in rendering.markdown(ledger, "")
    assert "\n  does not hold   made up: perplexity of signum is 1" in rendering.text(ledger)


def test_records_are_plain_json_with_everything(ledger):
    records = msgspec.json.decode(msgspec.json.encode(rendering.as_records(ledger)))
    first = records[0]
    assert first["key"] == "adam-below-signum"
    told = first["findings"]["made up"]
    assert (told["verdict"], told["n"], told["counted"]) == ("holds", 3, "seeds")
    assert told["low"] < told["value"] < told["high"] < 0
    missing = records[1]["findings"]["made up"]
    assert (missing["value"], missing["low"], missing["n"]) == (None, None, 0)
    assert missing["settle"] == "train signum and sgd"
