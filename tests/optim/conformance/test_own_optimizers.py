"""descentlab's own optimizers under the kit, with the conventions that their arguments name."""

from __future__ import annotations

import pytest

from descentlab import optim
from descentlab.optim.conformance import check_optimizer

CASES = [
    ("Adam", {}),
    ("Adam", {"betas": (0.9, 0.99), "bias_correction": False, "init": "gradient"}),
    ("RMSprop", {}),
    ("Signum", {}),
    ("EMASign", {}),
    ("SignSGD", {}),
    ("SGD", {"momentum": 0.9}),
]


def test_a_constant_variance_fails_nothing():
    """Its rule is of our own making, so none is claimed."""
    outcomes = list(check_optimizer(optim.ConstantVariance, {}, {"decay": "decoupled"}))
    assert [each for each in outcomes if each.verdict == "fail"] == []
    passed = {each.check for each in outcomes if each.verdict == "pass"}
    assert {"implementations", "weight-decay", "resume-bfloat16"} <= passed


@pytest.mark.parametrize(("name", "settings"), CASES, ids=lambda each: str(each))
def test_an_optimizer_of_ours_fails_nothing_and_follows_its_rule(name, settings):
    outcomes = list(check_optimizer(getattr(optim, name), settings, {"decay": "decoupled"}))
    assert [each for each in outcomes if each.verdict == "fail"] == []
    passed = {each.check for each in outcomes if each.verdict == "pass"}
    assert {"rule", "implementations", "weight-decay", "resume-bfloat16"} <= passed
