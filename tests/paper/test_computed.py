"""Figures without runs, against filters and losses computed another way."""

from __future__ import annotations

import math

import pytest

from descentlab.paper.computed import COMPUTED

BY_NAME = {each.name: each for each in COMPUTED}


def signal():
    return [math.exp(-k / 50) * math.sin(k / 5) for k in range(1, 301)]


def ema(values, beta):
    found, mean = [], 0.0
    for value in values:
        mean = beta * mean + (1 - beta) * value
        found.append(mean)
    return found


def sign(value):
    return (value > 0) - (value < 0)


@pytest.mark.parametrize("beta", [0.8, 0.95, 0.99])
def test_the_filters_are_those_of_the_definitions(beta):
    g = signal()
    adam = [
        m / math.sqrt(v) for m, v in zip(ema(g, beta), ema([x * x for x in g], beta), strict=True)
    ]
    expected = {
        ("fig19", "Adam"): adam,
        ("fig20", "EMA of sign"): ema([sign(x) for x in g], beta),
        ("fig21", "sign of EMA"): [sign(m) for m in ema(g, beta)],
    }
    for (name, family), values in expected.items():
        frame = BY_NAME[name].draw().frame
        assert frame["gradient"].tolist() == pytest.approx(g)
        assert frame[f"{family}, β = {beta:g}"].tolist() == pytest.approx(values)


def test_the_quadratic_is_in_the_order_of_the_paper():
    shown = BY_NAME["fig6"].draw()
    best = shown.frame.groupby(["problem", "method"])["median"].min()
    mixed, alike = best["heterogeneous"], best["homogeneous"]
    assert mixed["adam"] < 1e-3 < mixed["signum"] < 0.05 < mixed["sgd"]
    assert alike.max() < 2 * alike.min()
    assert len(shown.headlines) == 6
    fixed = BY_NAME["fig7"].draw().frame
    fixed = fixed[fixed["problem"] == "heterogeneous"].set_index("method")["median"]
    mollified = fixed[[name for name in fixed.index if "ε" in name]]
    assert len(mollified) == 4
    assert mollified.min() > fixed["adam"].min()
    assert BY_NAME["fig18"].draw().chart is not None
