"""Verdicts of a comparison against SciPy's paired test and Holm's method by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from descentlab.analysis.comparison import Contender
from descentlab.contests.verdicts import against_best, neighbours, sentence

LOSSES = {
    "middle": [3.10, 3.22, 3.31, 3.18],
    "best": [3.00, 3.10, 3.20, 3.09],
    "worst": [4.00, 4.30, 4.10, 4.15],
    "close": [3.01, 3.09, 3.22, 3.08],
}


def contenders(losses: dict[str, list[float]]) -> list[Contender]:
    return [
        Contender(name=name, best={"lr": 0.1}, losses=own, trials=1, diverged=0, runs=4, edges=[])
        for name, own in losses.items()
    ]


def test_against_the_best_is_the_paired_test_with_holms_correction():
    found = {each.name: each for each in against_best(contenders(LOSSES))}
    assert set(found) == {"middle", "worst", "close"}
    tests = {
        name: stats.ttest_rel(LOSSES[name], LOSSES["best"]) for name in ("middle", "worst", "close")
    }
    smallest_first = sorted(tests, key=lambda name: tests[name].pvalue)
    highest = 0.0
    for place, name in enumerate(smallest_first):
        highest = max(highest, min(1.0, (3 - place) * tests[name].pvalue))
        assert found[name].p_value == pytest.approx(highest)
        bounds = tests[name].confidence_interval()
        shift = np.mean(LOSSES[name]) - np.mean(LOSSES["best"])
        wanted = [100 * (math.exp(each) - 1) for each in (bounds.low, shift, bounds.high)]
        percent = found[name].percent
        assert [percent.low, percent.value, percent.high] == pytest.approx(wanted)


def test_neighbours_are_told_apart_or_it_is_said_what_it_takes():
    said = [sentence(each) for each in neighbours(contenders(LOSSES))]
    assert said[0].startswith("best below close: cannot be told: the interval includes no diff")
    assert "more seeds tell it" in said[0]
    assert said[1].startswith("close below middle: yes, by ")
    assert said[2].startswith("middle below worst: yes, by ")


def test_a_diverged_contender_is_last_and_said_to_be():
    losses = {"fine": [3.0, 3.1, 3.2], "lost": [3.0, math.inf, 3.1]}
    (other,) = against_best(contenders(losses))
    assert other.name == "lost"
    (verdict,) = neighbours(contenders(losses))
    assert verdict.verdict == "cannot be told"
