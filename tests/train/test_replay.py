"""A step computed again is the step that the run took, and the store does not feel it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from descentlab.cli.replay_step import text
from descentlab.data.prepare import PreparedData
from descentlab.errors import ConfigError
from descentlab.runs.identity import Run
from descentlab.runs.store import Store
from descentlab.train.loop import Observer, train
from descentlab.train.plan import resolver
from descentlab.train.replay import replay, save
from descentlab.train.spec import RunSpec, run_spec
from descentlab.train.work import train_in_store

EXPLODING = {"method": "sgd", "lr": 1e6, "beta": 0.0, "clip_norm": "none"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", create=True)


def trained(store: Store, settings: dict[str, Any], **execution: Any) -> Run:
    chosen = {**settings["execution"], **execution}
    run = resolver()({**settings, "execution": chosen}, "test")
    store.register(run)
    train_in_store(store, run)
    return run


def on_disk(store: Store) -> dict[str, str]:
    files = (path for path in store.root.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_step_of_divergence_names_what_the_result_names(
    store: Store, settings: dict[str, Any], data: PreparedData
) -> None:
    run = trained(store, {**settings, "optimizer": EXPLODING}, checkpoint_every=1)
    result = store.folder(run.run_id).result()
    assert result is not None
    before = on_disk(store)
    replayed = replay(store, run, data)
    assert replayed.step == result.diverged_at
    assert replayed.began_after == replayed.step - 1  # the last good checkpoint is kept
    assert replayed.reason == result.reason
    assert replayed.agrees
    assert on_disk(store) == before
    first = text(replayed).splitlines()[6].split()
    worst = max(replayed.parameters, key=lambda each: each.not_finite)
    assert first[1] == f"{worst.not_finite:,}"
    assert worst.not_finite > 0


def test_the_gradient_is_the_one_that_the_run_used(
    store: Store,
    settings: dict[str, Any],
    data: PreparedData,
    tiny: Callable[..., RunSpec],
    tmp_path: Path,
) -> None:
    """By the difference that plain SGD's next step makes to the weights."""
    sgd = {"method": "sgd", "lr": 0.1, "beta": 0.0, "clip_norm": "none"}
    changed = {**settings, "optimizer": sgd, "schedule": {"warmup": 0.0, "floor": 1.0}}
    run = trained(store, changed)
    replayed = replay(store, run, data, step=4)
    save(replayed, tmp_path / "step.safetensors")
    kept = load_file(tmp_path / "step.safetensors")
    after: dict[int, dict[str, torch.Tensor]] = {}

    def boundary(training: Any) -> None:
        named = training.model.named_parameters()
        after[training.step] = {name: each.detach().clone() for name, each in named}

    observer = Observer(metrics=lambda r: None, timing=lambda r: None, boundary=boundary)
    train(run_spec(changed, where="test"), data, observer)
    for name, weights in after[3].items():
        assert torch.equal(kept[f"weights/{name}"], weights)
        stepped = weights - 0.1 * kept[f"gradient/{name}"]
        torch.testing.assert_close(stepped, after[4][name], rtol=1e-6, atol=1e-8)


def test_from_a_checkpoint_or_from_the_start_it_is_the_same(
    store: Store, settings: dict[str, Any], data: PreparedData, tmp_path: Path
) -> None:
    run = trained(store, {**settings, "optimizer": EXPLODING}, checkpoint_every=1)
    near = replay(store, run, data)
    other = Store(tmp_path / "other", create=True)
    same = trained(other, {**settings, "optimizer": EXPLODING}, checkpoint_minutes=0.0)
    far = replay(other, same, data)
    assert (near.began_after > 0, far.began_after) == (True, 0)
    assert near.tensors.keys() == far.tensors.keys()
    for name, tensor in near.tensors.items():
        torch.testing.assert_close(tensor, far.tensors[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("precision", ["float32", "bfloat16-autocast", "bfloat16"])
def test_at_every_precision_it_agrees_with_what_is_on_record(
    precision: str, store: Store, settings: dict[str, Any], data: PreparedData
) -> None:
    run = trained(store, {**settings, "precision": precision})
    replayed = replay(store, run, data, step=3)
    assert replayed.recorded["step"] == 3
    assert replayed.agrees


@pytest.mark.parametrize(
    ("step", "said"),
    [(None, "has not diverged; say with --step"), (7, "steps 1 to 6"), (0, "got 0")],
)
def test_a_step_that_is_none_is_refused(
    step: int | None, said: str, store: Store, settings: dict[str, Any], data: PreparedData
) -> None:
    run = trained(store, settings)
    with pytest.raises(ConfigError, match=said):
        replay(store, run, data, step=step)
