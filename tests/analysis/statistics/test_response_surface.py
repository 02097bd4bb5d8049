from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import optimize, stats

from descentlab.analysis.statistics.response_surface import equal_betas_regret, fit_surface
from descentlab.errors import ConfigError

BETAS = (0.8, 0.9, 0.95, 0.975, 0.9875)
CELLS = np.array(list(product((0.002, 0.004, 0.008, 0.016), BETAS, BETAS)))
BEST = (0.006, 0.95, 0.95)


def bowl(cells, *, shift=0.0, weight=0.02, at=BEST):
    """A quadratic in log lr, log(1 − β₁), log(1 − β₂), its optimum's β₂ moved by octaves.

    Its regret is weight/4·(shift·ln 2)²: the diagonal's best lies halfway.
    """
    x = np.stack([np.log(cells[:, 0]), np.log1p(-cells[:, 1]), np.log1p(-cells[:, 2])], axis=1)
    move = np.array([0.0, 0.0, shift * math.log(2)])
    d = x - np.array([math.log(at[0]), math.log1p(-at[1]), math.log1p(-at[2])]) - move
    return 3 + 0.03 * d[:, 0] ** 2 + weight / 2 * (d[:, 1] ** 2 + d[:, 2] ** 2)


def fitted(cells, losses, **options):
    return fit_surface(cells[:, 0], cells[:, 1], cells[:, 2], losses, **options)


def regret_of(shift, weight=0.02):
    return weight / 4 * (shift * math.log(2)) ** 2


@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.5])
def test_on_a_quadratic_all_is_exact(shift):
    surface = fitted(CELLS, bowl(CELLS, shift=shift))
    assert surface.r_squared == pytest.approx(1)
    assert surface.optimum.lr == pytest.approx(0.006)
    assert surface.optimum.beta1 == pytest.approx(0.95)
    assert surface.optimum.beta2 == pytest.approx(1 - 0.05 * 2**shift)
    assert surface.equal_betas.beta1 == pytest.approx(1 - 0.05 * 2 ** (shift / 2))
    assert surface.equal_betas.beta1 == pytest.approx(surface.equal_betas.beta2)
    assert equal_betas_regret(surface).value == pytest.approx(regret_of(shift), abs=1e-12)
    others = CELLS[::7] * [1.1, 0.99, 0.98]
    assert surface.loss(*others.T) == pytest.approx(bowl(others, shift=shift))
    assert (surface.convex, surface.doubts, surface.n) == (True, (), 100)


def test_the_coefficients_are_those_of_least_squares():
    random = np.random.default_rng(1)
    losses = bowl(CELLS) + random.normal(0, 0.01, 100)
    surface = fitted(CELLS, losses)

    def residuals(theta):
        x, y, z = surface.u.T
        terms = [np.ones(100), x, y, z, x * x, x * y, x * z, y * y, y * z, z * z]
        return losses - theta @ terms

    found = optimize.least_squares(residuals, np.zeros(10))
    assert surface.coefficients == pytest.approx(found.x, abs=1e-6), "seed 1"
    assert surface.residual_deviation == pytest.approx(math.sqrt(2 * found.cost / 90))


def test_an_optimum_beyond_the_range_is_told_and_stays_on_the_edge():
    surface = fitted(CELLS, bowl(CELLS, at=(0.03, 0.95, 0.95)))
    assert surface.optimum.lr == pytest.approx(0.016)
    assert surface.doubts == ("the optimum is on an edge of the range: lr up",)


def test_a_saddle_is_told():
    losses = bowl(CELLS) - 0.05 * np.log1p(-CELLS[:, 1]) ** 2
    surface = fitted(CELLS, losses)
    assert not surface.convex
    assert "it is a saddle or a ridge" in surface.doubts
    assert any("β1" in doubt for doubt in surface.doubts)
    assert surface.optimum.beta1 in (pytest.approx(0.8), pytest.approx(0.9875))


def test_a_hole_in_the_settings_is_told():
    """A band along the diagonal of (β₁, β₂), the optimum far from it."""
    band = CELLS[np.abs(np.log1p(-CELLS[:, 1]) - np.log1p(-CELLS[:, 2])) < 0.75]
    surface = fitted(band, bowl(band, at=(0.006, 0.9, 0.975)))
    assert surface.doubts == ("the optimum lies outside of the settings fitted",)


def test_the_good_region_is_fitted_and_the_rest_counted():
    losses = bowl(CELLS)
    bad = CELLS[:, 0] == 0.016
    losses[bad] += 5.0
    losses[0] = math.inf
    whole, good = fitted(CELLS, losses), fitted(CELLS, losses, within=1.0)
    assert (whole.left_out, good.left_out, good.n) == (1, 26, 74)
    assert good.r_squared == pytest.approx(1)
    assert whole.r_squared < 0.99


def test_lack_of_fit_is_found_where_there_is_some():
    random = np.random.default_rng(4)
    twice, noise = np.tile(CELLS, (2, 1)), random.normal(0, 0.01, 200)
    wavy = bowl(twice) + 0.03 * np.sin(3 * np.log1p(-twice[:, 1])) + noise
    assert fitted(CELLS, wavy[:100], noise=0.01).lack_of_fit < 1e-6
    repeated = fitted(twice, wavy)
    assert repeated.lack_of_fit < 1e-6
    assert any("lack of fit" in doubt for doubt in repeated.doubts)
    losses = bowl(twice) + noise
    cells = (losses[:100] + losses[100:]) / 2
    pure = ((losses - np.tile(cells, 2)) ** 2).sum()
    surface = fitted(twice, losses)
    ratio = (surface.residual_deviation**2 * 190 - pure) / 90 / (pure / 100)
    assert surface.lack_of_fit == pytest.approx(stats.f.sf(ratio, 90, 100)), (
        "cells against ten terms"
    )
    assert math.isnan(fitted(CELLS, bowl(CELLS)).lack_of_fit), "no noise, no repeats"


def test_lack_of_fit_is_rarely_found_where_there_is_none():
    random = np.random.default_rng(5)
    twice = np.tile(CELLS, (2, 1))
    surfaces = [bowl(twice) + random.normal(0, 0.01, 200) for _ in range(100)]
    for options in ({}, {"noise": 0.01}):
        p_values = [fitted(twice, losses, **options).lack_of_fit for losses in surfaces]
        assert np.mean(np.array(p_values) < 0.2) == pytest.approx(0.2, abs=0.12), "seed 5"


@pytest.mark.parametrize(("shift", "least"), [(0.0, 0.99), (1.0, 0.9)])
def test_coverage_of_the_regret(shift, least):
    random = np.random.default_rng(8)
    clean, covered = bowl(CELLS, shift=shift), 0
    for i in range(60):
        surface = fitted(CELLS, clean + random.normal(0, 0.01, 100))
        found = equal_betas_regret(surface, resamples=200, seed=i)
        covered += found.low <= regret_of(shift) <= found.high
        assert found.low <= found.value <= found.high
    assert covered / 60 >= least, "seed 8"


@pytest.mark.parametrize(
    "cells",
    [CELLS[:10], CELLS[CELLS[:, 1] == 0.9], CELLS[CELLS[:, 1] == CELLS[:, 2]], CELLS[:0]],
    ids=["ten", "one β1", "the diagonal alone", "none"],
)
def test_too_little_for_ten_coefficients_is_refused(cells):
    with pytest.raises(ConfigError, match="allowed are more than 10"):
        fitted(cells, bowl(cells))


def test_what_is_no_setting_is_refused():
    with pytest.raises(ConfigError, match=r"β2 in \[0, 1\)"):
        fit_surface([0.1], [0.9], [1.0], [3.0])


def test_betas_that_are_never_equal_have_no_diagonal():
    apart = CELLS.copy()
    apart[:, 2] = 1 - (1 - apart[:, 2]) / 100
    with pytest.raises(ConfigError, match="no value in common"):
        fitted(apart, bowl(CELLS))
