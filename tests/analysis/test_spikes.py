"""Spikes of a loss curve, on curves that say themselves where they are."""

from __future__ import annotations

import math
import random

import pytest

from descentlab.analysis.spikes import Spike, spikes


def noisy(count: int, seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [4.0 * math.exp(-k / 200) + 2 + draw.gauss(0, 0.03) for k in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_a_falling_noisy_curve_has_none(seed):
    print("seed", seed)
    assert spikes(range(1, 501), noisy(500, seed)) == []


def test_a_planted_one_is_found_where_it_is_and_it_recovers():
    losses = noisy(300)
    losses[199:203] = [5.0, 7.0, 6.0, 5.5]
    assert spikes(range(1, 301), losses) == [Spike(200, 203, 7.0, recovered=True)]


@pytest.mark.parametrize("value", [math.inf, math.nan, 50.0])
def test_one_at_the_end_has_not_recovered(value):
    (found,) = spikes(range(1, 102), [*noisy(100), value])
    assert (found.first, found.last, found.recovered) == (101, 101, False)


def test_a_lasting_rise_is_one_spike_to_the_end():
    (found,) = spikes(range(1, 201), [*noisy(100), *[9.0] * 100])
    assert (found.first, found.last, found.recovered) == (101, 200, False)


def test_the_first_steps_and_constant_losses_are_calm():
    assert spikes(range(5), [9.0, 1.0, 8.0, 1.0, 9.0]) == []
    assert spikes(range(40), [3.0] * 40) == []
    assert spikes(range(41), [3.0] * 40 + [3.05]) == []  # 1.7% is less than the least share
