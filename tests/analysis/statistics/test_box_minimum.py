from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from descentlab.analysis.statistics.box_minimum import Quadratic, box_minimum


def random_quadratics(seed, count, d):
    random = np.random.default_rng(seed)
    half = random.normal(size=(count, d, d))
    return Quadratic(random.normal(size=count), random.normal(size=(count, d)),
                     half + half.transpose(0, 2, 1))  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_lowest_of_a_fine_grid_for_bowls_saddles_and_hills(seed):
    quadratics = random_quadratics(seed, 40, 2)
    where, value = box_minimum(quadratics)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 201)] * 2), axis=-1).reshape(-1, 2)
    for i in range(40):
        c, g, h = (each[i] for each in quadratics)
        heights = c + grid @ g + ((grid @ h) * grid).sum(axis=1) / 2
        assert value[i] <= heights.min() + 1e-12, f"seed {seed}, {i}"
        assert value[i] == pytest.approx(heights.min(), abs=1e-3), f"seed {seed}, {i}"
        u = where[i]
        assert value[i] == pytest.approx(c + g @ u + u @ h @ u / 2)
        assert (np.abs(u) <= 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_in_three_dimensions_no_start_of_scipys_finds_less(seed):
    quadratics = random_quadratics(seed, 10, 3)
    _, value = box_minimum(quadratics)
    starts = np.random.default_rng(seed).uniform(-1, 1, (8, 3))
    for i in range(10):
        c, g, h = (each[i] for each in quadratics)
        ends = [
            optimize.minimize(lambda u, c=c, g=g, h=h: c + g @ u + u @ h @ u / 2, start,
                              jac=lambda u, g=g, h=h: g + h @ u, bounds=[(-1, 1)] * 3).fun
            for start in starts
        ]  # fmt: skip
        assert value[i] == pytest.approx(min(ends), abs=1e-5), f"seed {seed}, {i}"


def test_a_flat_direction_is_no_obstacle():
    valley = Quadratic(np.zeros(1), np.array([[0.0, -1.0]]), np.array([[[0.0, 0.0], [0.0, 2.0]]]))
    where, value = box_minimum(valley)
    assert value == pytest.approx(-0.25)
    assert where[0, 1] == pytest.approx(0.5)


def test_a_plane_is_the_function_on_it():
    quadratics = random_quadratics(0, 5, 3)
    origin, directions = np.array([0.1, 0.2, 0.3]), np.array([[1.0, 0.0], [0.0, 0.5], [0.0, 0.7]])
    w = np.random.default_rng(1).normal(size=(5, 2))
    on_plane = quadratics.on_plane(origin, directions).at(w)
    assert on_plane == pytest.approx(quadratics.at(origin + w @ directions.T))
