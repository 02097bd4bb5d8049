from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from descentlab.analysis.frame import TYPES
from descentlab.analysis.statistics.best_after import best_after
from descentlab.errors import ConfigError

INF = math.inf


def table(losses, **others):
    """A run of adam for each loss, each with a learning rate of its own."""
    rows = [{"run": f"r{i}", "method": "adam", "lr": 2.0**i, "seed": 0, "dataset": "text",
             "tokens": 1000, "loss": loss} | others for i, loss in enumerate(losses)]  # fmt: skip
    return pd.DataFrame(rows, columns=list(TYPES))


def test_a_row_for_each_k_is_what_all_choices_give():
    losses = [3.0, 2.5, INF, 2.8, 2.9]
    found = best_after(table(losses)).set_index("k")
    assert found.index.tolist() == [1, 2, 3, 4, 5]
    for k in range(1, 6):
        every = np.sort([min(each) for each in combinations(losses, k)])
        assert found.loc[k, "expected"] == pytest.approx(every.mean())
        assert found.loc[k, "median"] == every[math.ceil(len(every) / 2) - 1]
    assert found["diverged"].unique().tolist() == [1]
    assert found["trials"].unique().tolist() == [5]


def test_a_trial_is_a_setting_with_the_mean_of_its_seeds():
    one, two = table([3.0, 2.0]), table([3.4, INF], seed=1)
    found = best_after(pd.concat([one, two])).set_index("k")
    assert found.loc[2, "expected"] == pytest.approx(3.2), "the other diverged with a seed"
    assert found.loc[1, "trials"] == 2


def test_settings_that_no_column_shows_make_trials_of_their_own():
    runs = table([3.0, 2.0, 1.0], lr=1.0)
    floors = {"schedule.floor_lr": 0.0}, {"schedule.floor_lr": 0.1}, {"schedule.floor_lr": 0.1}
    seeds = 0, 0, 1
    settings = [{**floor, "seed": seed, "execution.threads": seed}
                for floor, seed in zip(floors, seeds, strict=True)]  # fmt: skip
    runs["settings"] = pd.Series(settings)
    runs["seed"] = seeds
    assert best_after(runs)["expected"].tolist() == pytest.approx([2.25, 1.5])


def test_second_copies_and_runs_without_results_are_no_trials_and_the_latter_are_counted():
    runs = table([3.0, 2.0, 1.0, math.nan])
    runs["duplicate_of"] = [None, None, "r1", None]
    found = best_after(runs)
    assert found["expected"].tolist() == pytest.approx([2.5, 2.0])
    assert found["without_result"].tolist() == [1, 1]


def test_groups_and_ks():
    runs = pd.concat([table(range(16), sweep="a"), table(range(4), sweep="b", method="sgd")])
    found = best_after(runs, ["sweep", "method"], ks=[1, 8])
    assert found[["sweep", "method", "k"]].to_numpy().tolist() == [
        ["a", "adam", 1], ["a", "adam", 8], ["b", "sgd", 1]]  # fmt: skip
    first = found.iloc[0]
    assert first["low"] < first["expected"] == 7.5 < first["high"]
    assert first["median_low"] < first["median"] < first["median_high"]
    assert math.isnan(found.iloc[1]["low"]), "16 trials are too few for the best of 8"


def test_losses_that_cannot_be_compared_are_refused():
    runs = pd.concat([table([3.0]), table([2.0], tokens=2000)])
    with pytest.raises(ConfigError, match="adam have tokens 1000, 2000; choose one"):
        best_after(runs)
    assert len(best_after(runs, ["method", "tokens"])) == 2


def test_an_unknown_column_is_told():
    with pytest.raises(ConfigError, match="did you mean method"):
        best_after(table([1.0]), by="metod")


def test_runs_of_two_precisions_are_not_mixed():
    runs = pd.concat([table([3.0, 2.0], precision=each) for each in ("float32", "bfloat16")])
    with pytest.raises(ConfigError, match="have precision bfloat16, float32; choose one of them"):
        best_after(runs)
    assert best_after(runs, by=["method", "precision"])["trials"].tolist() == [2, 2, 2, 2]
