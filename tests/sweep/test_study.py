from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles.study_points import settings_of_all

from descentlab.errors import ConfigError
from descentlab.sweep.study import Method, Point, Study, label, place, study_from

KEYS = ["optimizer.lr", "optimizer.beta", "training.steps", "model.width", "precision"]
OWN_KEYS = ["optimizer.eps", "schedule.warmup", "optimizer.init", "schedule.floor"]
VALUES = [0, 1, 2.5, 1e-3, "a", "b"]


def lists(size: int) -> st.SearchStrategy[list[Any]]:
    return st.permutations(VALUES).map(lambda values: values[:size])


@st.composite
def parts(draw: st.DrawFn, keys: list[str]) -> dict[str, Any]:
    """Axes and groups over some of the keys, each used once."""
    order = draw(st.permutations(keys))[: draw(st.integers(0, len(keys)))]
    alone = order[: draw(st.integers(0, len(order)))]
    part: dict[str, Any] = {}
    if alone:
        part["axes"] = {key: draw(lists(draw(st.integers(1, 3)))) for key in alone}
    if rest := order[len(alone) :]:
        size = draw(st.integers(1, 3))
        part["zip"] = [{key: draw(lists(size)) for key in rest}]
    return part


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    study = {"name": "s", "run": {"optimizer": {"lr": 1, "weight_decay": 0.1}, "seed": 7}}
    study |= draw(parts(KEYS))
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(["adam", "sgd+Cclip", "b"]), min_size=1, unique=True))
        study["methods"] = {
            name: {"optimizer": {"method": name, "weight_decay": 0.2}, **draw(parts(OWN_KEYS))}
            for name in names
        }
    if draw(st.booleans()):
        study["seeds"] = draw(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))
    return study


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(studies())
def test_the_points_are_a_product_with_conditions(plain: dict[str, Any]) -> None:
    study = study_from(plain, where="study.toml")
    assert study.settings() == settings_of_all(plain)
    assert [study.settings_of(each) for each in study.points()] == study.settings()


def test_the_product_of_the_axes_in_order():
    study = Study(name="s", run={"seed": 9, "a": {"b": 0}}, axes={"a.b": [1, 2], "seed": [0, 1]})
    assert study.settings() == [
        {"seed": seed, "a": {"b": b}} for b, seed in [(1, 0), (1, 1), (2, 0), (2, 1)]
    ]


def test_without_axes_there_is_one_run():
    study = Study(name="s", run={"seed": 9})
    assert study.settings() == [{"seed": 9}]
    assert study.points() == [Point(None, {})]


def test_placing_leaves_the_base_alone():
    base = {"optimizer": {"lr": 1.0, "beta": 0.9}}
    assert place(base, {"optimizer.lr": 2.0})["optimizer"] == {"lr": 2.0, "beta": 0.9}
    assert base == {"optimizer": {"lr": 1.0, "beta": 0.9}}


def test_labels_name_the_method_and_the_last_part_of_each_key():
    assert label({"optimizer.lr": 1e-3, "seed": 2}) == "lr=0.001 seed=2"
    assert Point("adam", {"optimizer.lr": 1e-3}).label == "adam lr=0.001"


def test_a_number_of_seeds_counts_from_zero():
    study = study_from({"name": "s", "run": {}, "seeds": 3}, where="study.toml")
    assert study.settings() == [{"seed": 0}, {"seed": 1}, {"seed": 2}]
    assert study.seeds_of(None) == [0, 1, 2]


def test_each_setting_is_traced_to_its_place():
    study = Study(
        name="s",
        run={"seed": 1, "optimizer": {"lr": 1}},
        axes={"training.steps": [1, 2]},
        zip=[{"a.b": [1], "a.c": [2]}],
        methods={"m": Method(optimizer={"eps": 0}, axes={"optimizer.lr": [1]})},
    )
    places = {
        "training.steps": "axes.training.steps",
        "a.c": "zip[0].a.c",
        "a": "zip[0].a.b",  # the table itself is not known
        "optimizer.lr": "methods.m.axes.optimizer.lr",
        "optimizer.eps": "methods.m.optimizer.eps",
        "optimizer": "run.optimizer",
        "seed": "run.seed",
        "": "run",
    }
    assert {key: study.place_of("m", key) for key in places} == places
    assert study.overridden() == ["optimizer.lr"]


def with_(**parts: Any) -> dict[str, Any]:
    return {"name": "s", "run": {}, **parts}


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (with_(axes={"seed": []}), "axes.seed: has no values"),
        (with_(axes={"seed": [1, 1]}), "axes.seed: gives a value twice"),
        (with_(axes={"seed": [1, 1.0]}), "axes.seed: gives a value twice"),
        ({"name": "../x", "run": {}}, "name"),
        ({"name": "s", "runs": {}}, "did you mean run?"),
        (with_(axes={"a": [*range(400)], "b": [*range(400)]}), "160,000"),
        (with_(axes={"a": {"powers_of_two": [0, 700]}, "b": [*range(400)]}), "280,400"),
        (with_(axes={"a.b": [1], "a": [2]}), "axes.a.b: axes.a varies the whole table"),
        (with_(axes={"a": [1]}, zip=[{"a": [1]}]), "zip[0].a: axes.a varies it too"),
        (with_(axes={"seed": [1]}, seeds=3), "seeds: axes.seed varies it too"),
        (with_(axes={"a": [1]}, methods={"m": {"axes": {"a": [2]}}}), "methods.m.axes.a: axes.a"),
        (
            with_(methods={"m": {"optimizer": {"lr": 1}, "axes": {"optimizer.lr": [2]}}}),
            "methods.m.optimizer.lr: methods.m.axes.optimizer.lr varies it",
        ),
        (with_(methods={"m": {"axs": {}}}), "methods.m.axs: unknown setting; did you mean axes?"),
        (with_(methods={"m": {"optimizer": 3}}), "methods.m.optimizer: Expected object, got int"),
        (with_(methods={"m": 3}), "methods.m: Expected object, got int"),
        (with_(methods={}), "methods: names no method"),
        (with_(methods={"a\nb": {}}), "no method can be called"),
        (with_(methods={"m": {"axes": {"a": {"log": [1, 2]}}}}), "methods.m.axes.a: log needs"),
        (with_(zip=[{}]), "zip[0]: has no settings"),
        (with_(zip=[{"a": [1, 2], "b": [1]}]), "zip[0]: has 2 of a and 1 of b"),
        (with_(zip=[{"a": [1, 1], "b": [2, 2]}]), "zip[0]: gives a value twice: [1, 2]"),
        (with_(zip=[{"a": []}]), "zip[0]: has no values"),
        (with_(zip={"a": [1]}), "zip: Expected array"),
        (with_(seeds=[]), "seeds: has no values"),
        (with_(seeds=0), "seeds: got 0; give how many"),
        (with_(seeds=[1, 1]), "seeds: gives a value twice"),
        (with_(seeds=[-1]), "seeds"),
        (with_(seeds=True), "seeds: Expected array, got bool"),
        (with_(axes={"": [1]}), "axes: '' is no setting"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(given_, message):
    with pytest.raises(ConfigError, match=r"study\.toml") as caught:
        study_from(given_, where="study.toml")
    assert message in str(caught.value)
