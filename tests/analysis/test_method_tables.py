"""The frames behind the paper's tables and figures, against loops without pandas."""

from __future__ import annotations

import dataclasses
import math
import random as python_random

import numpy as np
import pytest
from oracles.grid_frames import frame, random_grid, run

from descentlab.analysis.tables.ablation import ablation
from descentlab.analysis.tables.betas import beta_grid, price_of_equal_betas
from descentlab.analysis.tables.cells import best, cells, lowest, with_cells
from descentlab.analysis.tables.methods import contenders, share_of_gap
from descentlab.analysis.tables.mollifiers import softened
from descentlab.analysis.tables.sweeps import below, rate_curves


def key(row):
    return row["lr"], row["beta1"], row["beta2"]


def first_of_each(rows):
    """Runs by cell; of repeated ones the first."""
    found = {}
    for row in rows:
        found.setdefault(key(row), row)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_random_grid_of_betas(seed):
    print(f"seed {seed}")
    rows = random_grid(np.random.default_rng(seed))
    table = cells(with_cells(frame(rows)))
    once = first_of_each(rows)
    assert {key(row): row["perplexity"] for _, row in table.iterrows()} == pytest.approx(
        {cell: row["perplexity"] for cell, row in once.items()}, nan_ok=True
    )
    ended = {cell: row["perplexity"] for cell, row in once.items() if row["state"] == "done"}
    winner = best(table)
    assert winner is not None
    assert key(winner) == min(ended, key=lambda cell: (ended[cell], cell))

    pairs = {}
    for (_, beta1, beta2), perplexity in ended.items():
        pairs[beta1, beta2] = min(pairs.get((beta1, beta2), math.inf), perplexity)
    grid = beta_grid(table).dropna(subset=["perplexity"])
    assert pairs == {(row["beta1"], row["beta2"]): row["perplexity"] for _, row in grid.iterrows()}
    for _, row in grid.iterrows():
        gap = row["perplexity"] - min(
            value for (beta1, _), value in pairs.items() if beta1 == row["beta1"]
        )
        assert row["gap"] == pytest.approx(gap, nan_ok=True)
    prices = {row["beta1"]: row["gap"] for _, row in price_of_equal_betas(grid).iterrows()}
    for beta, price in prices.items():
        others = [value for (beta1, _), value in pairs.items() if beta1 == beta]
        assert price == pairs[beta, beta] - min(others)

    threshold = 25.0
    assert below(table, threshold) == (
        sum(value < threshold for value in ended.values()),
        len(ended),
    )


def test_a_curve_takes_the_best_of_what_is_not_its_own_and_keeps_what_diverged():
    rows = [
        run("sgd", lr=1.0, beta1=0.9, perplexity=30.0, weight_decay=0.0),
        run("sgd", lr=1.0, beta1=0.9, perplexity=28.0, weight_decay=0.1),
        run("sgd", lr=2.0, beta1=0.9, perplexity=math.inf, weight_decay=0.0),
        run("sgd", lr=2.0, beta1=0.95, perplexity=math.nan, state="interrupted"),
    ]
    table = cells(with_cells(frame(rows)))
    curves = rate_curves(table, "decay", lambda cell: "all")
    told = [(row["series"], row["lr"], row["perplexity"]) for _, row in curves.iterrows()]
    assert told == [(0.9, 1.0, 28.0), (0.9, 2.0, math.inf)]


def test_the_decay_of_methods_with_one_average():
    rows = [
        run("rmsprop", beta1=0.0, beta2=0.8),
        run("signum", beta1=0.9),
        run("signsgd", beta1=0.0),
    ]
    assert list(with_cells(frame(rows))["decay"]) == [0.8, 0.9, 0.0]


def judged(method, lr, losses):
    """Runs of one setting: the tuning seed, then fresh ones."""
    return [
        run(method, lr=lr, beta1=0.9, seed=seed, perplexity=loss) for seed, loss in losses.items()
    ]


def test_a_winner_is_chosen_by_tuning_and_judged_by_fresh_seeds():
    rows = [
        *judged("signum", 1e-3, {0: 20.0, 101: 24.0, 102: 26.0}),
        *judged("signum", 2e-3, {0: 21.0}),
        *judged("signum", 4e-3, {0: math.inf}),
    ]
    python_random.Random(1).shuffle(rows)
    (found,) = contenders(with_cells(frame(rows)), ["adam", "signum"])
    assert found.best == {"lr": 1e-3, "beta1": 0.9}
    assert found.perplexities == pytest.approx([24.0, 26.0])
    assert (found.trials, found.runs, found.diverged) == (3, 5, 1)
    assert found.edges == ["low lr"]
    assert found.choice == ()


def test_without_fresh_seeds_it_is_judged_by_those_that_chose_it_and_that_is_told():
    rows = [*judged("signum", 1e-3, {None: 20.0}), *judged("signum", 2e-3, {None: 21.0})]
    (found,) = contenders(with_cells(frame(rows)), ["signum"])
    assert found.perplexities == pytest.approx([20.0])
    assert list(found.choice) == pytest.approx([math.log(20.0), math.log(21.0)])
    assert math.isnan(found.two_sigma)


def test_of_a_whole_grid_with_several_seeds_the_lowest_mean_wins_and_divergence_is_worst():
    rows = [
        *judged("signum", 1e-3, {0: 10.0, 1: math.inf}),
        *judged("signum", 2e-3, {0: 20.0, 1: 22.0}),
        *judged("signum", 4e-3, {0: 19.0, 1: 24.0}),
    ]
    table = cells(with_cells(frame(rows)))
    assert list(table["perplexity"]) == [math.inf, 21.0, 21.5]
    winner = best(table)
    assert winner is not None
    assert winner["lr"] == 2e-3


def test_a_cell_that_was_stopped_with_a_seed_is_not_chosen():
    rows = [
        *judged("signum", 1e-3, {0: 10.0}),
        run("signum", lr=1e-3, beta1=0.9, seed=1, perplexity=math.nan, state="interrupted"),
        *judged("signum", 2e-3, {0: 20.0, 1: 20.0}),
    ]
    winner = best(cells(with_cells(frame(rows))))
    assert winner is not None
    assert winner["lr"] == 2e-3


@pytest.mark.parametrize("state", ["pending", "running", "failed", "damaged"])
def test_runs_that_say_nothing_are_left_out(state):
    rows = [run(perplexity=math.nan, state=state, beta1=0.9, beta2=0.9)]
    assert not len(with_cells(frame(rows)))


def test_our_own_sgd_with_either_clipping_is_one_method_with_two_rows():
    rows = [
        run("sgd+Cclip", lr=lr, beta1=0.9, perplexity=lr * 10, coordinate_clip="none")
        for lr in (1.0, 2.0)
    ]
    own = frame([{**row, "source": "descentlab", "coordinate_clip": math.inf} for row in rows])
    first, second = contenders(with_cells(own), ["sgd+Cclip", "sgd+Gclip"])
    assert (first.name, second.name, second.same_as) == ("sgd+Gclip", "sgd+Cclip", "sgd+Gclip")
    assert first.losses == second.losses
    theirs = [{**row, "coordinate_clip": 1.0} for row in rows]
    for row in theirs:
        row["settings"] = {**row["settings"], "optimizer.coordinate_clip": 1.0}
    (alone,) = contenders(with_cells(frame(theirs)), ["sgd+Cclip", "sgd+Gclip"])
    assert alone.name == "sgd+Cclip"


def test_the_share_of_the_gap():
    rows = [
        run("adam", perplexity=20.0, beta1=0.9, beta2=0.9),
        run("signum", perplexity=25.0, beta1=0.9),
        run("sgd", perplexity=60.0, beta1=0.9),
    ]
    found = contenders(with_cells(frame(rows)), ["adam", "signum", "sgd"])
    names = {"closes": "signum", "worst": "sgd", "top": "adam"}
    assert share_of_gap(found, **names) == pytest.approx(35 / 40)
    assert math.isnan(share_of_gap(found[:2], **names))
    pairs = [
        dataclasses.replace(each, losses=[each.losses[0], math.log(last)], seeds=(1, 2))
        for each, last in zip(found, (10.0, 20.0, 30.0), strict=True)
    ]
    assert share_of_gap(pairs, **names) == pytest.approx((35 / 40 + 10 / 20) / 2)
    other = dataclasses.replace(pairs[2], seeds=(1, 3))
    assert share_of_gap([*pairs[:2], other], **names) == pytest.approx(22.5 / 30)
    diverged = dataclasses.replace(found[2], losses=[math.inf])
    assert math.isnan(share_of_gap([*found[:2], diverged], **names))


def test_an_ablation_groups_what_differs_in_nothing_else():
    def with_eps(eps, seed, perplexity, lr=8e-3):
        row = run(beta1=0.95, beta2=0.95, lr=lr, eps=eps, seed=seed, perplexity=perplexity)
        return row

    rows = [
        with_eps(1e-8, 0, 21.0),
        with_eps(1e-8, 1, 23.0),
        with_eps(1e-6, 0, 20.0),
        with_eps(1e-6, 1, math.inf),
        with_eps(1e-3, 0, 5.0, lr=1e-3),  # another learning rate: alone, so no ablation
    ]
    found = ablation(with_cells(frame(rows)), ["eps"])
    assert list(found["eps"]) == [1e-8, 1e-6]
    assert list(found["perplexity"]) == [22.0, math.inf]
    assert found["two_sigma"].iloc[0] == pytest.approx(2 * math.sqrt(2))
    assert math.isnan(found["two_sigma"].iloc[1])
    assert (list(found["n"]), list(found["diverged"])) == ([2, 2], [0, 1])
    assert not len(ablation(with_cells(frame(rows[:2])), ["eps"]))
    unknown = [run(beta1=0.9, beta2=0.9), run(beta1=0.9, beta2=0.95)]
    assert not len(ablation(with_cells(frame(unknown)), ["eps"]))


def test_softened_signum_by_its_constant():
    rows = [
        run("signum", eps=0.0, beta1=0.9, perplexity=10.0),
        run("signum", eps=1e-6, beta1=0.9, init="zero", perplexity=30.0),
        run("signum", eps=1e-6, beta1=0.95, init="zero", perplexity=29.0),
        run("signum", eps=1e-3, beta1=0.9, init="gradient", perplexity=math.inf),
        run("constant_variance", variance=1e-9, beta1=0.9, perplexity=28.0),
    ]
    found = softened(with_cells(frame(rows)))
    told = {(row["kind"], row["constant"]): row["perplexity"] for _, row in found.iterrows()}
    assert told == {
        ("ε beside |m|, from zero", 1e-6): 29.0,
        ("ε beside |m|, from the first gradient", 1e-3): math.inf,
        ("constant σ²", 1e-9): 28.0,
    }


def test_the_lowest_of_nothing_is_nothing():
    table = cells(with_cells(frame([run(perplexity=math.nan, state="interrupted", beta1=0.9)])))
    assert math.isnan(lowest(table["perplexity"]))
    assert best(table) is None
