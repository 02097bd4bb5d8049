"""Named conventions: what they fill in, what they leave, and that they say everything."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from descentlab.errors import ConfigError
from descentlab.optim.methods import AnyMethod, ClassMethod, ConstantVarianceMethod
from descentlab.sweep.study import study_from
from descentlab.train.conventions import PAPER, PAPER_METHODS, with_conventions
from descentlab.train.schedule import Schedule
from descentlab.train.spec import RunSpec, run_spec

SETTINGS: dict[str, Any] = {
    "conventions": "paper",
    "model": {"layers": 1, "heads": 2, "width": 16, "vocabulary": 257},
    "data": {"tokenizer": "byte"},
    "optimizer": {"method": "adam", "lr": 0.5, "beta": 0.9},
    "training": {"steps": 20, "batch_size": 8},
}
METHODS = [
    kind for kind in get_args(AnyMethod) if kind not in (ConstantVarianceMethod, ClassMethod)
]
TUNED = {"lr", "beta", "beta1", "beta2"}


def spec(**changes: Any) -> RunSpec:
    return run_spec({**SETTINGS, **changes}, where="test")


def test_the_papers_conventions_as_the_paper_and_its_trainer_state_them() -> None:
    signum = {"method": "signum", "lr": 0.5, "beta": 0.9}
    sgd = {"method": "sgd", "lr": 0.5, "beta": 0.9}
    found = {
        "schedule": spec().schedule,
        "adam": spec().optimizer,
        "signum": spec(optimizer=signum).optimizer,
        "sgd": spec(optimizer=sgd).optimizer,
        "model": spec().model,
    }
    settings = msgspec.to_builtins(found)
    stated: dict[str, dict[str, Any]] = {
        "schedule": {"warmup": 0.1, "floor": 1e-5, "floor_unit": "absolute", "count_from": 0},
        "adam": {"eps": 1e-8, "bias_correction": True, "init": "zero", "weight_decay": 0.1},
        "signum": {"init": "gradient", "eps": 0.0, "weight_decay": 0.1, "clip_norm": 1.0},
        "sgd": {"init": "gradient", "weight_decay": 0.0, "clip_norm": 1.0, "dampening": None},
        "model": {"rope_fraction": 1.0, "rope_base": 500_000, "norm_eps": 1e-6, "init_std": 0.02},
    }
    assert all(settings[name].items() >= stated[name].items() for name in stated)


def test_ours_differ_from_the_papers_in_these_settings_and_no_other() -> None:
    ours = msgspec.to_builtins(Schedule())
    differing = {f"schedule.{name}" for name in ours if ours[name] != PAPER["schedule"][name]}
    for kind in METHODS:
        tag = kind.__struct_config__.tag
        assert isinstance(tag, str)
        defaults = {field.name: field.default for field in msgspec.structs.fields(kind)}
        differing |= {f"{tag}.{k}" for k, v in PAPER_METHODS[tag].items() if defaults[k] != v}
    model = msgspec.to_builtins(spec(conventions="descentlab").model)
    differing |= {f"model.{k}" for k, v in PAPER["model"].items() if model[k] != v}
    assert differing == {
        "schedule.floor",
        "schedule.floor_unit",
        "schedule.count_from",
        "signum.init",
    }


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__struct_config__.tag)
def test_they_say_everything_so_that_they_stay_when_our_defaults_change(kind: Any) -> None:
    said = set(PAPER_METHODS[kind.__struct_config__.tag])
    fields = set(kind.__struct_fields__)
    assert fields - TUNED - {"dampening"} == said
    assert set(PAPER["schedule"]) == set(Schedule.__struct_fields__)


def test_what_a_spec_says_itself_wins() -> None:
    given: dict[str, dict[str, Any]] = {
        "schedule": {"floor": 0.25, "floor_unit": "fraction", "count_from": 1, "warmup": 0.5},
        "optimizer": {
            "method": "signum",
            "lr": 0.5,
            "beta": 0.9,
            "init": "zero",
            "weight_decay": 0.0,
            "clip_norm": "none",
            "eps": 1e-3,
        },
        "model": {**SETTINGS["model"], "rope_fraction": 0.25, "hidden_multiple": 32},
    }
    built = msgspec.to_builtins(spec(**given))
    assert all(built[table].items() >= given[table].items() for table in given)


def test_a_named_size_keeps_what_it_says() -> None:
    tiny = spec(model={"size": "tiny"})
    assert tiny.model == spec(conventions="descentlab", model={"size": "tiny"}).model


def test_shadows_start_as_the_runs_own_optimizer_would() -> None:
    shadows = [{"method": "signum", "lr": 1, "beta": 0.9}, {"method": "sgd", "lr": 1, "beta": 0.5}]
    probes = spec(probes={"every": 5, "shadows": shadows}).probes
    assert probes is not None
    assert [msgspec.to_builtins(each)["init"] for each in probes.shadows] == ["gradient"] * 2


def test_a_spec_on_record_stands_without_the_name() -> None:
    written = msgspec.to_builtins(spec())
    assert "conventions" not in written
    assert run_spec(written, where="again") == spec()


def test_the_settings_given_are_left_as_they_were() -> None:
    settings = {"conventions": "paper", "optimizer": {"method": "sgd"}, "schedule": {"warmup": 0.2}}
    with_conventions(settings, where="test")
    assert settings == {
        "conventions": "paper",
        "optimizer": {"method": "sgd"},
        "schedule": {"warmup": 0.2},
    }


def test_a_study_can_vary_its_conventions() -> None:
    study = {"name": "both", "axes": {"conventions": ["paper", "descentlab"]}, "run": SETTINGS}
    runs = [run_spec(each, where="test") for each in study_from(study, where="test").settings()]
    assert [each.schedule.count_from for each in runs] == [0, 1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimizer": 3}, "test: optimizer"),
        ({"optimizer": {"lr": 1}}, "test: optimizer.method: is missing"),
        ({"optimizer": {"method": ["adam"], "lr": 1}}, "no method is called"),
        ({"schedule": "cosine"}, "test: schedule"),
        ({"probes": {"shadows": [3]}}, r"test: probes.shadows"),
        ({"optimizer": {"method": "adam", "lr": 1e-6, "beta": 0.9}}, "schedule.floor: ends at"),
    ],
)
def test_settings_of_another_kind_are_refused_as_ever(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        spec(**changes)
