"""Runs that are there twice are found, however they are spelled."""

from __future__ import annotations

import numpy as np
import pytest

from descentlab.analysis.imports.duplicates import repeated
from descentlab.runs.imported import ImportedRun


def run(row, *, method="adam", curve=(5.0,), sweep="a", **changes):
    settings = {"lr": 1e-3, "weight_decay": 0.1, **changes.pop("settings", {"beta": 0.9})}
    known = {"dataset": "d", "model": "m", "sequence_length": 8, "batch_size": 4, "steps": 10}
    return ImportedRun(
        sweep=sweep, row=row, method=method, settings=settings,
        curve=np.array(curve, dtype=np.float64) + (row if len(curve) == 1 else 0),
        **{**known, **changes},
    )  # fmt: skip


def pairs(*runs):
    return [(each.first.row, each.later.row, each.same_settings, each.same_curve)
            for each in repeated(runs)]  # fmt: skip


def test_one_cell_in_two_spellings_and_two_sweeps():
    spelled = {"beta1": 0.9, "beta2": 0.9}
    assert pairs(run(0), run(1, settings=spelled, sweep="b")) == [(0, 1, True, False)]
    rmsprop = run(2, method="rmsprop", settings={"beta": 0.95})
    adam = run(3, settings={"beta1": 0.0, "beta2": 0.95})
    assert pairs(rmsprop, adam) == [(2, 3, True, False)]


@pytest.mark.parametrize(
    "other", [{"steps": 11}, {"seed": 1}, {"dataset": "e"}, {"settings": {"beta": 0.95}},
    {"settings": {"beta": 0.9, "lr": 2e-3}}, {"batch_size": None}]
)  # fmt: skip
def test_other_runs_are_no_duplicates(other):
    assert pairs(run(0), run(1, **other)) == []


def test_one_curve_under_two_settings():
    curve = (9.0, 8.0, 7.5)
    other = {"settings": {"beta": 0.95}, "curve": curve}
    assert pairs(run(0, curve=curve), run(1, **other)) == [(0, 1, False, True)]
    unknown = run(1, steps=None, curve=curve)
    assert pairs(run(0, curve=curve), unknown) == [(0, 1, False, True)]
    assert pairs(run(0, curve=()), run(1, curve=(), settings={"beta": 0.95})) == []
