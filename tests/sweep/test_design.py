"""What is said of designs whose weakness, or soundness, is known."""

from __future__ import annotations

import math
from typing import Any

import pytest

from descentlab.sweep import design
from descentlab.sweep.study import Method, Study


def two(**parts: Any) -> Study:
    """A sound comparison of two methods, with some parts replaced."""
    lr = [1, 2, 4]
    methods = {name: Method(axes={"optimizer.lr": lr}) for name in ("adam", "sgd")}
    return Study(**{"name": "s", "run": {}, "methods": methods, "seeds": [0, 1, 2], **parts})


def test_a_sound_design_is_left_in_peace():
    study = two()
    assert design.few_seeds(study) == []
    assert design.unequal_trials(study.points()) == []
    assert design.short_axes(study) == []
    same = {"optimizer.weight_decay": 0.1, "optimizer.eps": 0, "schedule.warmup": 0.1}
    assert design.different_nuisance(study, {"adam": same, "sgd": {**same, "seed": 3}}) == []


@pytest.mark.parametrize(
    ("study", "count"),
    [
        (two(seeds=[0, 1]), "2 seeds"),
        (two(seeds=[]), "1 seed "),
        (Study(name="s", run={}, axes={"a": [1, 2], "seed": [1, 2]}), "2 seeds"),
    ],
)
def test_fewer_than_three_seeds_are_too_few_for_a_comparison(study, count):
    assert all(count in each for each in design.few_seeds(study))
    assert len(design.few_seeds(study)) == len(study.methods or [0])


def test_one_setting_alone_compares_nothing():
    assert design.few_seeds(Study(name="s", run={})) == []
    assert design.few_seeds(Study(name="s", run={}, seeds=[1])) == []


def test_methods_with_other_numbers_of_settings_are_named_with_them():
    methods = {
        "adam": Method(axes={"a": [1, 2], "b": [1, 2]}),
        "sgd": Method(axes={"a": [1, 2]}, zip=[{"b": [1, 2, 3], "c": [1, 2, 3]}]),
    }
    (said,) = design.unequal_trials(two(methods=methods).points())
    assert "(adam 4, sgd 6)" in said


def test_short_axes_of_numbers_are_named_once():
    study = Study(
        name="s",
        run={},
        axes={
            "optimizer.lr": [1, 2],
            "optimizer.init": ["zero", "gradient"],
            "training.steps": [1],
        },
        methods={
            "a": Method(axes={"optimizer.beta": [0.5], "schedule.warmup": [0, 0.1, 0.2]}),
            "b": Method(),
        },
    )
    assert [each.partition(":")[0] for each in design.short_axes(study)] == [
        "axes.optimizer.lr has 2 values",
        "methods.a.axes.optimizer.beta has 1 value",
    ]


def test_settings_that_are_no_methods_own_must_agree():
    base = {
        "optimizer.method": "adam",
        "optimizer.eps": 1e-8,
        "optimizer.weight_decay": 0.1,
        "optimizer.clip_norm": 1.0,
        "schedule.warmup": 0.1,
        "training.steps": 10,
        "execution.threads": 1,
        "seed": 0,
    }
    other = {
        **base,
        "optimizer.method": "sgd",
        "optimizer.eps": 0,
        "optimizer.weight_decay": 0.0,
        "schedule.warmup": 0.2,
        "execution.threads": 2,
        "seed": 1,
    }
    methods = {"adam": Method(axes={"training.steps": [5, 10, 20]}), "sgd": Method()}
    said = design.different_nuisance(two(methods=methods), {"adam": base, "sgd": other})
    assert said == [
        "optimizer.weight_decay differs between methods: 0.1 for adam, 0.0 for sgd",
        "schedule.warmup differs between methods: 0.1 for adam, 0.2 for sgd",
        "training.steps is varied for adam alone; it is 10 for sgd",
    ]


GRID = Study(
    name="s",
    run={},
    axes={
        "optimizer.lr": [1, 2, 4],
        "optimizer.beta": [0, 0.5, 0.75],
        "training.batch_size": [8, 16],
    },
    seeds=[0, 1],
)


def losses(best_lr: float, best_beta: float, study: Study = GRID) -> list[tuple[Any, float]]:
    """A bowl around a best setting, with noise between seeds that cancels."""
    return [
        (
            point,
            abs(math.log2(point.values["optimizer.lr"] / best_lr))
            + abs(point.values["optimizer.beta"] - best_beta)
            + (0.1 if point.values["seed"] else -0.1),
        )
        for point in study.points()
    ]


def test_an_optimum_inside_is_no_edge_and_beta_has_none_at_zero():
    assert design.optima_on_edges(GRID, losses(2, 0.5)) == []
    assert design.optima_on_edges(GRID, losses(2, 0)) == []


def test_an_optimum_on_an_edge_is_named_for_each_condition():
    said = design.optima_on_edges(GRID, losses(4, 0.75))
    assert said == [
        f"the best of 9 finished settings with batch_size={size} has {best}, the highest of its "
        "axis: extend it there"
        for size in (8, 16)
        for best in ("lr=4", "beta=0.75")
    ]
    assert "has lr=1, the lowest" in design.optima_on_edges(GRID, losses(1, 0.5))[0]


def test_nothing_is_said_before_the_value_inside_has_finished():
    known = [each for each in losses(4, 0.5) if each[0].values["optimizer.lr"] != 2]
    assert design.optima_on_edges(GRID, known) == []
    assert design.optima_on_edges(GRID, []) == []


def test_seeds_count_by_their_mean_and_divergence_as_infinite():
    lucky = [
        (point, -9.0 if point.values["optimizer.lr"] == 4 and point.values["seed"] else loss)
        for point, loss in losses(2, 0.5)
    ]
    assert design.optima_on_edges(GRID, lucky)  # −9 pulls the mean of two down
    diverged = [
        (
            point,
            math.inf if point.values["optimizer.lr"] == 4 and not point.values["seed"] else loss,
        )
        for point, loss in lucky
    ]
    assert design.optima_on_edges(GRID, diverged) == []
    assert design.optima_on_edges(GRID, [(point, math.inf) for point, _ in lucky]) == []


@pytest.mark.parametrize(
    ("lr", "side"), [(0.5, "low"), (1, "low"), (2, None), (4, "high"), (9, "high")]
)
def test_an_optimum_known_from_elsewhere_must_lie_inside(lr, side):
    said = design.known_optimum_outside(GRID, None, {"optimizer.lr": lr}, "the paper")
    expected = (
        f"the best lr of the paper is {lr}, on the {side} edge of axes.optimizer.lr or beyond it"
    )
    assert said == ([expected] if side else [])
