"""The released runs' best settings: known at their scale alone, and as the files have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from descentlab.config import flat, override, read_toml
from descentlab.paper.released_optima import released_optimum
from descentlab.train.spec import run_spec

PAPER = Path(__file__).parents[2] / "examples" / "paper-160m.toml"


def optimum(*changes: str) -> object:
    import msgspec

    spec = run_spec(override(read_toml(PAPER), changes), where="paper-160m.toml")
    return released_optimum(dict(flat(msgspec.to_builtins(spec))))


@pytest.mark.parametrize(
    ("changes", "best"),
    [
        ([], (8e-3, 0.95)),
        (["optimizer.method=rmsprop"], (2e-3, 0.8)),
        (["optimizer.method=signum"], (5e-4, 0.95)),
        (["optimizer.method=signum", "optimizer.clip_norm=none"], (5e-4, 0.9)),
    ],
)
def test_the_example_of_the_paper_has_its_scale(changes, best):
    found = optimum(*changes)
    assert isinstance(found, dict)
    assert (found["optimizer.lr"], found["optimizer.beta"]) == best


@pytest.mark.parametrize(
    "change",
    [
        "training.steps=6000",
        "training.batch_size=128",
        "data.sequence_length=512",
        "model.width=1536",
        "optimizer.method=emasign",
    ],
)
def test_at_another_scale_nothing_is_known(change):
    assert optimum(change) is None
