"""Which settings make another run, and which are the same run written differently."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from descentlab.config import digest, set_path
from descentlab.errors import ConfigError
from descentlab.train.spec import RunSpec, run_spec

BASE: dict[str, Any] = {
    "model": {"layers": 2, "heads": 2, "width": 48, "vocabulary": 1024, "hidden_multiple": 32},
    "data": {"tokenizer": "byte"},
    "optimizer": {"method": "adam", "lr": 0.5, "beta1": 0.9, "beta2": 0.95},
    "training": {"steps": 100, "batch_size": 8},
}
SGD = {"method": "sgd", "lr": 0.5, "beta": 0.9}
UNCORRECTED = {"bias_correction": False, "init": "gradient"}

CHANGES: dict[str, Any] = {
    "model.layers": 3,
    "model.heads": 1,
    "model.width": 64,
    "model.vocabulary": 1025,
    "model.hidden_multiple": 64,
    "model.rope_fraction": 0.5,
    "model.rope_base": 10_000.0,
    "model.norm_eps": 1e-5,
    "model.init_std": 0.03,
    "data.sequence_length": 32,
    "optimizer.lr": 0.25,
    "optimizer.weight_decay": 0.0,
    "optimizer.clip_norm": "none",
    "optimizer.beta1": 0.8,
    "optimizer.beta2": 0.9,
    "optimizer.eps": 1e-6,
    "optimizer.bias_correction": False,
    "optimizer.decay": "coupled",
    "schedule.warmup": 0.2,
    "schedule.floor": 0.1,
    "schedule.count_from": 0,
    "training.steps": 101,
    "training.batch_size": 9,
    "training.evaluate_every": 10,
    "seed": 1,
    "precision": "bfloat16",
    "probes": {},
}
"""Each alone makes another run."""
NOT_ALONE = {"optimizer.beta", "optimizer.init", "schedule.floor_unit"}
"""They need another setting beside them, and are in the lists below."""
TOKENS = {
    f"data.{name}"
    for name in (
        "corpus",
        "text_field",
        "separator",
        "tokenizer",
        "vocabulary",
        "validation_fraction",
        "max_epochs",
        "seed",
    )
}
"""The tokens' own hash stands for these."""
HOW = {
    f"execution.{name}"
    for name in (
        "device",
        "threads",
        "micro_batch",
        "parallelism",
        "checkpoint_every",
        "checkpoint_minutes",
        "final_checkpoint",
        "resume",
        "compile",
        "attention",
        "projection",
        "activation_checkpointing",
        "loss_chunk",
        "tf32",
        "takeover_after",
        "hang_after",
        "loggers",
    )
}

SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one beta": (
        {"optimizer": {"method": "adam", "lr": 0.5, "beta": 0.9}},
        {"optimizer": {"method": "adam", "lr": 0.5, "beta1": 0.9, "beta2": 0.9}},
    ),
    "rmsprop": (
        {"optimizer": {"method": "rmsprop", "lr": 0.5, "beta": 0.9, **UNCORRECTED}},
        {"optimizer": {"method": "adam", "lr": 0.5, "beta1": 0, "beta2": 0.9, **UNCORRECTED}},
    ),
    "emasign": (
        {"optimizer": {"method": "emasign", "lr": 0.5, "beta": 0.9, "clip_norm": 1.0}},
        {"optimizer": {"method": "emasign", "lr": 0.5, "beta": 0.9, "clip_norm": "none"}},
    ),
    "signum": (
        {"optimizer": {"method": "signum", "lr": 0.5, "beta": 0.0, "init": "gradient"}},
        {"optimizer": {"method": "signsgd", "lr": 0.5}},
    ),
    "dampening": ({"optimizer": SGD}, {"optimizer": {**SGD, "dampening": 0.9}}),
    "idle clip": ({"optimizer": SGD}, {"optimizer": {**SGD, "coordinate_clip": 1.0}}),
    "floor": (
        {"schedule": {"floor": 0.25, "floor_unit": "fraction"}},
        {"schedule": {"floor": 0.125, "floor_unit": "absolute"}},
    ),
    "no floor": ({"schedule": {"floor_unit": "absolute"}}, {}),
    "defaults written out": ({"seed": 0, "schedule": {"warmup": 0.1, "floor": 0}}, {}),
    "whole number": (
        {"optimizer": {"method": "signsgd", "lr": 1}},
        {"optimizer": {"method": "signsgd", "lr": 1.0}},
    ),
    "size": (
        {"model": {"size": "160M"}},
        {"model": {"layers": 12, "heads": 12, "width": 768}},
    ),
    "size and a change": (
        {"model": {"size": "160M", "vocabulary": 1024}},
        {"model": {"layers": 12, "heads": 12, "width": 768, "vocabulary": 1024}},
    ),
    "execution": ({"execution": {"device": "cuda", "threads": 3, "micro_batch": 1}}, {}),
    "spelling of a shadow": (
        {"probes": {"shadows": [{"method": "signum", "lr": 1, "beta": 0.0}]}},
        {"probes": {"shadows": [{"method": "signsgd", "lr": 1, "clip_norm": "none"}]}},
    ),
    "noise that is not measured": ({"probes": {"noise_every": 7}}, {"probes": {}}),
    "conventions by default": ({"conventions": "descentlab"}, {}),
    "conventions": (
        {"conventions": "paper", "optimizer": {"method": "signum", "lr": 0.5, "beta": 0.9}},
        {
            "schedule": {"floor": 1e-5, "floor_unit": "absolute", "count_from": 0},
            "optimizer": {"method": "signum", "lr": 0.5, "beta": 0.9, "init": "gradient"},
        },
    ),
    "corpus": ({"data": {"corpus": "/texts", "tokenizer": "byte", "seed": 5}}, {}),
}
DIFFERENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "conventions": ({"conventions": "paper"}, {"conventions": "descentlab"}),
    "floor unit": (
        {"schedule": {"floor": 0.25, "floor_unit": "fraction"}},
        {"schedule": {"floor": 0.25, "floor_unit": "absolute"}},
    ),
    "start of the averages": (
        {"optimizer": {**BASE["optimizer"], **UNCORRECTED}},
        {"optimizer": {**BASE["optimizer"], **UNCORRECTED, "init": "zero"}},
    ),
    "method": (
        {"optimizer": {"method": "signum", "lr": 0.5, "beta": 0.9}},
        {"optimizer": {"method": "emasign", "lr": 0.5, "beta": 0.9}},
    ),
    "probes' interval": ({"probes": {"every": 5}}, {"probes": {}}),
    "noise batches": (
        {"probes": {"noise_batches": 2, "noise_every": 5}},
        {"probes": {"noise_batches": 3, "noise_every": 5}},
    ),
    "noise interval": (
        {"probes": {"noise_batches": 2, "noise_every": 5}},
        {"probes": {"noise_batches": 2, "noise_every": 6}},
    ),
    "shadows": ({"probes": {"shadows": [{"method": "signsgd", "lr": 1}]}}, {"probes": {}}),
    "clip that can act": ({"optimizer": SGD}, {"optimizer": {**SGD, "coordinate_clip": 0.5}}),
}


def identity(changes: dict[str, Any]) -> str:
    return digest(run_spec({**BASE, **changes}, where="test").identity())


def leaves(value: Any, path: str = "") -> Iterator[str]:
    if not isinstance(value, dict):
        yield path
        return
    for name, inner in value.items():
        yield from leaves(inner, f"{path}.{name}".lstrip("."))


@pytest.mark.parametrize("name", SAME)
def test_one_run_written_in_two_ways_has_one_identity(name: str) -> None:
    first, second = SAME[name]
    assert identity(first) == identity(second)


@pytest.mark.parametrize("name", DIFFERENT)
def test_two_runs_have_two_identities(name: str) -> None:
    first, second = DIFFERENT[name]
    assert identity(first) != identity(second)


@pytest.mark.parametrize("path", CHANGES)
def test_changing_a_setting_that_matters_makes_another_run(path: str) -> None:
    changed = copy.deepcopy(BASE)
    set_path(changed, path, CHANGES[path])
    assert identity(changed) != identity({})


def test_a_float32_run_is_the_one_it_was_before_there_were_precisions() -> None:
    before = "1e68ee87c43e936e265aa5549dcb8ab62215f2bb4b8d076587e0e33bd780a4ad"
    assert identity({}) == before
    assert identity({"precision": "float32"}) == before


def test_every_setting_is_known_to_matter_or_not() -> None:
    everything = set(leaves(msgspec.to_builtins(run_spec(BASE, where="test"))))
    assert everything - {"optimizer.method"} == set(CHANGES) | NOT_ALONE | TOKENS | HOW


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model": {"size": "laptp"}}, "did you mean laptop"),
        ({"model": {**BASE["model"], "depth": 2}}, "model.depth: unknown setting"),
        ({"conventions": "papr"}, "conventions: none are called 'papr'; did you mean paper?"),
        (
            {"conventions": ["paper"]},
            r"conventions: none are called \['paper'\]; did you mean paper",
        ),
        ({"convention": "paper"}, "convention: unknown setting; did you mean conventions?"),
        ({"model": {"sise": "160M"}}, "model.sise: unknown setting; did you mean size?"),
        ({"schedule": {"count_from": 2}}, r"schedule.count_from.*\(given: 2\); allowed are 0, 1"),
        ({"schedule": {"floor": 1.5}}, "schedule.floor: ends at a learning rate of 0.75"),
        ({"data": {"vocabulary": 2048}}, "data.vocabulary: 2048 tokens do not fit"),
        ({"optimizer": {"method": "adm", "lr": 1}}, "did you mean adam"),
        ({"optimizer": {"method": "signsgd", "lr": 0}}, "optimizer.lr.*given: 0"),
        ({"training": {"steps": 0, "batch_size": 8}}, "training.steps.*given: 0"),
        ({"probes": {"evry": 5}}, "probes.evry: unknown setting; did you mean every?"),
        ({"probes": {"every": 0}}, "probes.every.*given: 0"),
        ({"probes": {"every": 101}}, "probes.every: step 101 never comes in a run of 100 steps"),
        (
            {"probes": {"noise_batches": 4, "noise_every": 101}},
            "probes.noise_every: step 101 never comes in a run of 100 steps; give at most 100",
        ),
        ({"probes": {"noise_batches": 1}}, "one batch has no variance; give 2 or more, or 0"),
        (
            {
                "probes": {
                    "shadows": [{"method": "signum", "lr": 1, "beta": 0.9}, {"method": "adm"}]
                }
            },
            r"probes.shadows\[1\].method: no method is called 'adm'; did you mean adam",
        ),
        (
            {"probes": {"shadows": [{"method": "adam", "lr": 1, "beta": 0.9, "epsilon": 1e-8}]}},
            r"probes.shadows\[0\].epsilon: unknown setting; did you mean eps",
        ),
        ({"probes": {"shadows": [{"method": "adam", "lr": 1}]}}, "give beta, or both"),
    ],
)
def test_unusable_settings_are_refused_by_name(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        run_spec({**BASE, **changes}, where="test")


def test_a_run_keeps_the_id_it_had_before_there_were_probes_and_conventions() -> None:
    # Computed with the version before probes.
    assert identity({}) == "1e68ee87c43e936e265aa5549dcb8ab62215f2bb4b8d076587e0e33bd780a4ad"


def test_probes_add_to_the_identity_and_change_nothing_else_in_it() -> None:
    without = run_spec(BASE, where="test").identity()
    probed = run_spec({**BASE, "probes": {}}, where="test").identity()
    assert probed.pop("probes") == {"every": 20, "noise": None, "shadows": []}
    assert probed == without


def test_a_spec_survives_being_written_and_read() -> None:
    spec = run_spec({**BASE, "model": {"size": "laptop"}}, where="test")
    assert isinstance(spec, RunSpec)
    assert run_spec(msgspec.to_builtins(spec), where="again") == spec
