from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from descentlab.analysis.frame import CURVE_COLUMNS, TYPES
from descentlab.analysis.statistics.budget_to_match import budget_to_match
from descentlab.errors import ConfigError

LAW = {"adam": 3.0, "signum": 3.1}
"""Loss at 2B tokens; every method loses 0.2 nats per factor e of tokens."""


def loss(method, tokens):
    return LAW[method] - 0.2 * math.log(tokens / 2e9)


def run(method, tokens, *, lr=1.0, seed=0, worse=0.0, **others):
    columns = {"run": f"{method}-{tokens:g}-{lr}-{seed}-{others}", "method": method, "lr": lr,
               "seed": seed, "tokens": int(tokens), "dataset": "text", "model": "small",
               "sequence_length": 64, "batch_size": 32, "state": "done",
               "loss": loss(method, tokens) + worse}  # fmt: skip
    return columns | others


def table(rows):
    return pd.DataFrame(rows, columns=list(TYPES)).astype(
        {name: kind for name, kind in TYPES.items() if kind != "bool"}
    )


def grid(method, tokens, **others):
    return [run(method, tokens, lr=lr, worse=abs(lr - 1.0), **others) for lr in (0.5, 1.0, 2.0)]


def curve(name, method, tokens):
    """Ends where the run ends, and falls as a straight line of 1 nat from start to end."""
    fractions = np.arange(1, 101) / 100
    return pd.DataFrame(
        {"run": name, "kind": "training", "step": range(1, 101), "fraction": fractions,
         "loss": loss(method, tokens) + (1 - fractions)}, columns=list(CURVE_COLUMNS)
    )  # fmt: skip


def test_two_tuned_budgets_are_used():
    runs = table([*grid("adam", 1e9), *grid("adam", 2e9), *grid("signum", 2e9)])
    (row,) = budget_to_match(runs, noise=1e-3).to_dict("records")
    assert row["source"] == "between budgets"
    assert row["share"] == pytest.approx(math.exp(-0.5))
    assert row["low"] < row["share"] < row["high"]
    assert (row["dataset"], row["tokens"], row["n"]) == ("text", 2_000_000_000, 3)


def test_a_stray_run_is_no_tuned_budget():
    runs = table([run("adam", 1e9), *grid("adam", 2e9), *grid("signum", 2e9)])
    assert budget_to_match(runs, noise=1e-3)["source"].tolist() == ["none"]
    best = runs.loc[(runs["method"] == "adam") & (runs["tokens"] == 2e9) & (runs["lr"] == 1)]
    curves = curve(best["run"].item(), "adam", 2e9)
    (row,) = budget_to_match(runs, curves, noise=1e-3).to_dict("records")
    assert row["source"] == "within one curve"
    assert row["share"] == pytest.approx(0.9, abs=2e-3), "0.1 nats above the end"


def test_losses_are_compared_under_equal_conditions_alone():
    rows = [*grid("adam", 2e9), *grid("signum", 2e9), *grid("adam", 1e9, batch_size=64)]
    rows += [*grid("adam", 1e9, dataset="other"), *grid("signum", 1e9, model="large")]
    found = budget_to_match(table(rows), noise=1e-3)
    assert found[["dataset", "model", "batch_size"]].to_numpy().tolist() == [["text", "small", 32]]
    assert found["source"].tolist() == ["none"]


def test_another_precision_is_another_condition():
    pairs = (("float32", 0.0), ("bfloat16", 0.1))
    rows = [
        each for precision, worse in pairs for each in (
            *grid("adam", 1e9, precision=precision), *grid("adam", 2e9, precision=precision),
            run("signum", 2e9, precision=precision, worse=worse),
        )
    ]  # fmt: skip
    found = budget_to_match(table(rows), noise=1e-3).set_index("precision")["share"]
    assert found["float32"] == pytest.approx(math.exp(-0.5))
    assert found["bfloat16"] == pytest.approx(math.exp(-1.0))


def test_the_seeds_that_chose_the_winner_do_not_judge_it():
    """Tuned with seed 0, which was kind to the winner; seeds 1 to 3 were not seen."""
    rows = [*grid("adam", 1e9), *grid("adam", 2e9), *grid("signum", 2e9)]
    for row in rows:
        row["loss"] -= 0.5 * (row["lr"] == 1 and row["method"] == "signum")
        row["loss"] -= 0.8 * (row["lr"] == 0.5 and row["method"] == "signum")  # lucky second
    for seed in (1, 2, 3):
        fresh = [run("adam", 1e9, seed=seed), run("adam", 2e9, seed=seed)]
        rows += [*fresh, run("signum", 2e9, seed=seed)]
    for row, shift in zip(rows[-9:], np.repeat([0.01, -0.01, 0.0], 3), strict=True):
        row["loss"] += shift
    (row,) = budget_to_match(table(rows)).to_dict("records")
    assert row["n"] == 9
    assert row["reason"] is None
    assert row["share"] == pytest.approx(math.exp(-0.5))
    assert 0.01 < row["high"] - row["share"] < 0.1


def test_seeds_that_both_ran_are_paired():
    shifts = {0: 0.0, 1: 0.3, 2: -0.2, 3: 0.1}
    rows = [run(method, 2e9, seed=seed, worse=shifts[seed])
            for method in ("adam", "signum") for seed in shifts]  # fmt: skip
    runs = table(rows)
    mine = runs.loc[runs["method"] == "adam", "run"]
    curves = pd.concat([curve(name, "adam", 2e9) for name in mine])
    (row,) = budget_to_match(runs, curves).to_dict("records")
    assert row["share"] == pytest.approx(0.9, abs=2e-3)
    assert row["high"] - row["low"] < 0.01, "every seed has the same gap"


def test_diverged_settings_are_not_the_optimum_and_runs_without_results_are_none():
    rows = [*grid("adam", 1e9), *grid("adam", 2e9), *grid("signum", 2e9)]
    rows += [run("adam", 2e9, lr=4.0, loss=math.inf), run("adam", 2e9, lr=8.0, loss=math.nan)]
    rows += [run("adam", 2e9, lr=1.0, loss=0.1, duplicate_of="another")]
    (row,) = budget_to_match(table(rows), noise=1e-3).to_dict("records")
    assert row["share"] == pytest.approx(math.exp(-0.5))


def test_a_method_that_is_not_there_is_told():
    with pytest.raises(ConfigError, match="did you mean adam"):
        budget_to_match(table(grid("adam", 1e9)), first="adm")
