from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from descentlab.analysis.statistics.multiple_tests import holm
from descentlab.errors import ConfigError


def test_an_example_worked_by_hand():
    """Sorted .005 .01 .03 .04 times 4 3 2 1 is .02 .03 .06 .04; each at least the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def closed(p_values):
    """Holm is the closed test with Bonferroni's (Marcus, Peritz & Gabriel 1976)."""
    m = len(p_values)
    subsets = [set(each) for size in range(1, m + 1) for each in combinations(range(m), size)]
    return [
        max(
            min(1.0, len(each) * min(p_values[j] for j in each))
            for each in subsets
            if hypothesis in each
        )
        for hypothesis in range(m)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_closed_test_over_all_subsets(seed):
    p_values = np.random.default_rng(seed).beta(0.4, 2.0, size=6)
    assert holm(p_values) == pytest.approx(closed(p_values)), f"seed {seed}"


def test_ties_and_certainties():
    assert holm([0.02, 0.02, 1.0]) == pytest.approx([0.06, 0.06, 1.0])
    assert holm([]).tolist() == []


def test_a_test_that_could_not_be_made_still_counts():
    adjusted = holm([0.01, np.nan])
    assert adjusted[0] == pytest.approx(0.02)
    assert np.isnan(adjusted[1])


@pytest.mark.parametrize("p_values", [[0.5, 1.2], [-0.1], [[0.1]]])
def test_what_is_no_list_of_probabilities_is_refused(p_values):
    with pytest.raises(ConfigError, match=r"allowed is a list of numbers in \[0, 1\]"):
        holm(p_values)
