"""Every optimizer, killed midway, goes on to the same weights, state and records."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from descentlab.optim.methods import AnyMethod
from descentlab.train.loop import initial_model
from descentlab.train.spec import Precision, run_spec

LR = {"lr": 0.01}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"method": "adam", "beta": 0.9},
    "adam, two decays": {"method": "adam", "beta1": 0.8, "beta2": 0.95, "eps": 1e-4},
    "adam from the first gradient": {
        "method": "adam",
        "beta": 0.9,
        "init": "gradient",
        "bias_correction": False,
    },
    "rmsprop": {"method": "rmsprop", "beta": 0.95},
    "signum": {"method": "signum", "beta": 0.9},
    "mollified signum": {"method": "signum", "beta": 0.9, "eps": 1e-3},
    "emasign": {"method": "emasign", "beta": 0.9},
    "signsgd": {"method": "signsgd"},
    "constant variance": {"method": "constant_variance", "beta": 0.9, "variance": 1e-4},
    "constant variances": {"method": "constant_variance", "beta": 0.9, "variance": 1e-4},
    "sgd": {"method": "sgd", "beta": 0.0, "lr": 0.1},
    "sgd with momentum": {"method": "sgd", "beta": 0.9, "lr": 0.1},
    "a class of torch's": {"method": "class", "class": "torch.optim:AdamW", "beta": 0.9},
    "a class for matrices": {"method": "class", "class": "torch.optim:Muon", "rest": {}},
    "clipped sgd": {"method": "sgd", "beta": 0.9, "coordinate_clip": 1e-3, "dampening": 0.0},
}
ACCUMULATIONS: dict[str, dict[str, Any]] = {"whole": {}, "quarters": {"micro_batch": 1}}
IN_EVERY_WAY = "adam"
"""In the default suite; `make test-slow` takes all others so."""


def cases() -> Iterator[Any]:
    for optimizer, accumulation, precision in itertools.product(
        OPTIMIZERS, ACCUMULATIONS, get_args(Precision)
    ):
        quick = (accumulation, precision) == ("whole", "float32") or optimizer == IN_EVERY_WAY
        marks = () if quick else pytest.mark.slow
        yield pytest.param(optimizer, accumulation, precision, marks=marks)


def test_no_method_is_left_out():
    methods = {each.__struct_config__.tag for each in get_args(AnyMethod)}
    assert {each["method"] for each in OPTIMIZERS.values()} == methods


@pytest.mark.parametrize(("optimizer", "accumulation", "precision"), list(cases()))
def test_a_killed_run_goes_on_exactly(laboratory, plan, optimizer, accumulation, precision):
    settings = {**LR, **OPTIMIZERS[optimizer]}
    if optimizer == "constant variances":
        spec = run_spec(plan(optimizer=settings).settings, where="test")
        names = [name for name, _ in initial_model(spec).named_parameters()]
        settings["relative"] = {name: 1 + n for n, name in enumerate(names)}
    execution = {**ACCUMULATIONS[accumulation], "checkpoint_every": 2}
    run = plan(optimizer=settings, execution=execution, precision=precision)
    whole = laboratory.undisturbed(run)
    root = laboratory.stopped(whole, 4)
    assert laboratory.resumed(whole, root, acknowledged=2) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("precision", get_args(Precision))
def test_a_killed_compiled_run_goes_on_exactly(laboratory, plan, precision):
    run = plan(execution={"compile": "always", "checkpoint_every": 2}, precision=precision)
    whole = laboratory.undisturbed(run)
    root = laboratory.stopped(whole, 4)
    assert laboratory.resumed(whole, root, acknowledged=2) == []
