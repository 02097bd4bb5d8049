"""The values that ranges stand for, against formulas of their own and the paper's grids."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descentlab.errors import ConfigError
from descentlab.sweep.axes import (
    half_powers_of_two,
    halving_one_minus,
    log,
    powers_of_two,
    values_of,
)

PAPER_BETAS = [0.8, 0.9, 0.95, 0.975, 0.9875, 0.99375, 0.996875]
"""The paper's β grid, Section A."""
RELEASED_RATES = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016]
"""Learning rates of the released runs."""


def test_halving_gives_the_betas_of_the_paper():
    assert halving_one_minus(0.8, 0.996875) == PAPER_BETAS
    assert halving_one_minus(0.6, 0.9) == [0.6, 0.8, 0.9]
    assert halving_one_minus(0.9, 0.9) == [0.9]


def test_powers_give_the_rates_of_the_released_runs_to_the_bit():
    assert powers_of_two(-1, 4, times=1e-3) == RELEASED_RATES
    assert powers_of_two(-9, -6) == [1 / 512, 1 / 256, 1 / 128, 1 / 64]


def test_whole_powers_are_whole_numbers_so_that_they_suit_a_batch_size():
    values = powers_of_two(3, 6)
    assert values == [8, 16, 32, 64]
    assert all(type(value) is int for value in values)
    assert all(type(value) is int for value in powers_of_two(0, 2, times=3))


@settings(deadline=None)
@given(st.integers(-40, 40), st.integers(0, 9), st.floats(1e-3, 1e3))
def test_half_powers_grow_by_the_root_of_two(first, more, times):
    values = half_powers_of_two(first / 2, (first + more) / 2, times=times)
    assert len(values) == more + 1
    for place, value in enumerate(values):
        assert math.isclose(value, times * math.sqrt(2) ** (first + place), rel_tol=6e-4)
        if (first + place) % 2 == 0:
            assert value == times * 2.0 ** ((first + place) // 2)


@settings(deadline=None)
@given(st.floats(1e-8, 1e3), st.floats(1e-8, 1e3), st.integers(2, 50))
def test_log_spaced_values_have_equal_ratios_and_keep_their_ends(first, last, count):
    values = log(first, last, count=count)
    assert len(values) == count
    assert values[0] == first
    assert values[-1] == last
    for place, value in enumerate(values):
        share = place / (count - 1)
        assert math.isclose(value, first ** (1 - share) * last**share, rel_tol=1e-3)


def test_ends_may_lie_as_far_apart_as_numbers_do():
    assert log(1e-200, 1e200, count=3) == [1e-200, 1.0, 1e200]


def test_ranges_may_stand_among_values():
    given_ = [0, {"halving_one_minus": [0.6, 0.9]}, 0.99]
    assert values_of(given_, "axes.beta") == [0, 0.6, 0.8, 0.9, 0.99]
    assert values_of({"log": [1, 100], "count": 3}, "axes.lr") == [1, 10, 100]
    assert values_of([{"size": "tiny"}, {"size": "laptop"}], "axes.model") == [
        {"size": "tiny"},
        {"size": "laptop"},
    ]


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"powers_of_tow": [1, 2]}, "powers_of_tow: unknown range; did you mean powers_of_two?"),
        ({"log": [1e-4, 1e-2]}, "log needs a count"),
        ({"log": [1e-4, 1e-2], "cuont": 3}, "cuont: unknown setting of log; did you mean count?"),
        ({"log": [1e-4, 1e-2], "count": 1}, "count is 1; allowed are 2 to 100,000"),
        ({"log": [1e-4, 1e-2], "count": 10**9}, "count is 1000000000; allowed are"),
        ({"log": [1e-4, 1e-2], "count": 2.5}, "count: got 2.5; give a whole number"),
        ({"log": [0, 1], "count": 3}, "both ends must be above 0"),
        ({"log": [1], "count": 3}, "give two numbers, the first and the last"),
        ({"log": "1", "count": 3}, "give two numbers, the first and the last"),
        ({"log": [math.nan, 1], "count": 3}, "give two numbers, the first and the last"),
        ({"powers_of_two": [0.5, 2]}, "give two whole numbers"),
        ({"powers_of_two": [-(10**9), 10**9]}, "give exponents from -1000 to 1000"),
        ({"powers_of_two": [3, 1]}, "the lower first"),
        ({"half_powers_of_two": [0.25, 1]}, "exponents must be multiples of 0.5"),
        ({"halving_one_minus": [0.8, 0.96]}, "next to that it has 0.95 and 0.975"),
        ({"halving_one_minus": [0.8, 1]}, "give decays in [0, 1)"),
        ({"halving_one_minus": [0.8, 0.9], "count": 2}, "unknown setting of halving_one_minus"),
        (3, "give a list of values in brackets, or a range"),
        ({"lr": [1]}, "write the dotted key in quotes"),
    ],
)
def test_what_is_no_range_is_refused(given_, message):
    with pytest.raises(ConfigError, match=r"^study\.toml: axes\.x") as caught:
        values_of(given_, "study.toml: axes.x")
    assert message in str(caught.value)
