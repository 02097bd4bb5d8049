"""A corpus of a few kilobytes, and runs that take milliseconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from descentlab.data.prepare import PreparedData, prepare
from descentlab.train.loop import Observer, Outcome, train
from descentlab.train.spec import RunSpec, run_spec

TEXT = "the gradient falls and the loss with it while momentum keeps a memory of both"


@dataclass
class Trained:
    """What a run came to, and what it told its observer."""

    outcome: Outcome
    steps: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    probes: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(autouse=True, scope="module")
def _one_thread_and_a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESCENTLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 12 documents; the same text in every session."""
    folder = tmp_path_factory.mktemp("corpus")
    draw, words = random.Random(0), TEXT.split()
    for number in range(12):
        text = " ".join(draw.choice(words) for _ in range(60))
        (folder / f"{number:02}.txt").write_text(text)
    return folder


@pytest.fixture
def settings(corpus: Path) -> dict[str, Any]:
    """The settings of a tiny run, free to change."""
    return {
        "model": {"layers": 1, "heads": 2, "width": 16, "vocabulary": 257},
        "data": {
            "corpus": str(corpus),
            "tokenizer": "byte",
            "sequence_length": 16,
            "validation_fraction": 0.1,
        },
        "optimizer": {"method": "adam", "lr": 0.01, "beta": 0.9},
        "training": {"steps": 6, "batch_size": 5},
        "schedule": {"warmup": 0.4, "floor": 0.1},
        "execution": {"device": "cpu", "threads": 1},
        "seed": 1,
    }


@pytest.fixture
def tiny(settings: dict[str, Any]) -> Callable[..., RunSpec]:
    """Makes the tiny run's spec: tables are added to, the optimizer is replaced."""

    def make(**changes: Any) -> RunSpec:
        changed = {**settings, **changes}
        for name, value in changes.items():
            if isinstance(value, dict) and name != "optimizer":
                changed[name] = {**settings.get(name, {}), **value}
        return run_spec(changed, where="test")

    return make


@pytest.fixture
def data(tiny: Callable[..., RunSpec]) -> PreparedData:
    return prepare(tiny().data)


@pytest.fixture
def run(data: PreparedData) -> Callable[[RunSpec], Trained]:
    """Trains a spec on the tiny corpus."""

    def trained(spec: RunSpec) -> Trained:
        records: list[Any] = []
        probes: list[Any] = []
        outcome = train(
            spec,
            data,
            Observer(
                metrics=records.append,
                timing=lambda record: None,
                boundary=lambda training: None,
                probes=probes.append,
            ),
        )
        return Trained(
            outcome,
            steps=[each for each in records if "loss" in each],
            evaluations=[each for each in records if "validation_loss" in each],
            probes=probes,
        )

    return trained
