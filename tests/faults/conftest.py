"""A tiny run to plant faults in, and a server that forks the processes that train it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.forks import Forks, why_not
from faults.laboratory import Laboratory

from descentlab.runs.identity import Run
from descentlab.train.plan import resolver

TEXT = "the gradient falls and the loss with it while momentum keeps a memory of both"
SETTINGS: dict[str, Any] = {
    "model": {"layers": 1, "heads": 2, "width": 8, "vocabulary": 257},
    "data": {"tokenizer": "byte", "sequence_length": 8, "validation_fraction": 0.1},
    "optimizer": {"method": "adam", "lr": 0.01, "beta": 0.9},
    "training": {"steps": 4, "batch_size": 4, "evaluate_every": 2},
    "schedule": {"warmup": 0.4, "floor": 0.1},
    "execution": {
        "device": "cpu",
        "threads": 1,
        "checkpoint_every": 1,
        "final_checkpoint": True,
    },
    "seed": 1,
}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    draw, words = random.Random(0), TEXT.split()
    for number in range(12):
        text = " ".join(draw.choice(words) for _ in range(60))
        (folder / f"{number:02}.txt").write_text(text)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def plan(corpus: Path, cache: Path) -> Callable[..., Run]:
    """Plans the tiny run: tables are added to, the optimizer is replaced."""

    def planned(**changes: Any) -> Run:
        settings = {**SETTINGS, "data": {**SETTINGS["data"], "corpus": str(corpus)}}
        for name, value in changes.items():
            merges = isinstance(value, dict) and name != "optimizer"
            settings[name] = {**settings.get(name, {}), **value} if merges else value
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DESCENTLAB_CACHE", str(cache))
            return resolver()(settings, "test")

    return planned


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Forks]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    server = Forks(tmp_path_factory.mktemp("forks"), cache)
    yield server
    server.close()


@pytest.fixture
def laboratory(forks: Forks, tmp_path: Path) -> Laboratory:
    return Laboratory(forks, tmp_path)
