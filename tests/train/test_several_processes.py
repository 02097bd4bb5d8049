"""Two processes on a CPU train the single process's run, and load its checkpoints."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from train.torchrun_worker import RUNS, STOPPED_AT, settings

from descentlab.runs.records import read_records
from descentlab.runs.store import Attempt, Store
from descentlab.train.plan import resolver
from descentlab.train.work import train_in_store
from descentlab.train.world import World

TESTS = Path(__file__).parent.parent
every_run = pytest.mark.parametrize("name", RUNS)


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [sys.executable, *launch, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """What two processes left behind, and one process beside it."""
    made = tmp_path_factory.mktemp("together")
    ended = torchrun(str(TESTS / "train" / "torchrun_worker.py"), str(made), str(corpus))
    assert ended.returncode == 0, ended.stderr
    for name, execution in RUNS.items():
        train_alone(made / name / "alone", corpus, micro_batch=execution.get("micro_batch"))
    return made


def train_alone(folder: Path, corpus: Path, **execution: Any) -> None:
    store = Store(folder, create=True)
    run = resolver()(settings(corpus, **execution), "test")
    store.register(run)
    train_in_store(store, run)


def newest(folder: Path) -> Attempt:
    store = Store(folder)
    attempt = store.latest_attempt(store.run_ids()[0])
    assert attempt is not None
    return attempt


def metrics(folder: Path) -> list[dict[str, Any]]:
    return read_records(newest(folder).metrics).records


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = newest(folder).checkpoints.glob("step-00000006/tensors.safetensors")
    return load_file(path)


@every_run
def test_losses_norms_and_batches_are_those_of_one_process(folder: Path, name: str) -> None:
    together, alone = metrics(folder / name / "whole"), metrics(folder / name / "alone")
    assert [each.get("batch") for each in together] == [each.get("batch") for each in alone]
    assert len(together) == 6 + 3
    for ours, theirs in zip(together, alone, strict=True):
        for key in ("loss", "gradient_norm", "validation_loss"):
            if key in theirs:
                assert ours[key] == pytest.approx(theirs[key], rel=1e-5)


@every_run
def test_weights_and_optimizer_state_are_those_of_one_process(folder: Path, name: str) -> None:
    together, alone = tensors(folder / name / "whole"), tensors(folder / name / "alone")
    assert together.keys() == alone.keys()
    for key, tensor in alone.items():
        if not key.startswith("rng/"):
            torch.testing.assert_close(together[key], tensor, rtol=1e-3, atol=2e-5)


@every_run
def test_a_signal_to_one_process_stops_all_at_one_step_and_they_go_on_to_the_same_bits(
    folder: Path, name: str
) -> None:
    seen = json.loads((folder / "seen.json").read_text())
    assert seen[name]["codes"] == [75, None]
    whole, stopped = folder / name / "whole", folder / name / "stopped"
    assert newest(stopped).generation == 2
    first = newest(stopped).run_folder.attempt(1)
    assert read_records(first.metrics).records[-1]["step"] == STOPPED_AT
    assert newest(stopped).metrics.read_bytes() == newest(whole).metrics.read_bytes()
    for key, tensor in tensors(whole).items():
        assert torch.equal(tensors(stopped)[key], tensor), key


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_one_process_goes_on_from_the_checkpoint_of_two(
    folder: Path, corpus: Path, name: str, tmp_path: Path
) -> None:
    shutil.copytree(folder / name / "halted", tmp_path / "store")
    store = Store(tmp_path / "store")
    run = resolver()(settings(corpus, resume="inexact"), "test")
    result = train_in_store(store, run)
    assert result.inexact_since == STOPPED_AT
    alone = metrics(folder / name / "alone")[-1]["validation_loss"]
    assert result.validation_loss is not None
    assert math.isclose(result.validation_loss, alone, rel_tol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_gradients_are_added_in_float32(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = torch.Generator().manual_seed(0)
    parts = [torch.randn(4, 3, 5, generator=draw).to(dtype) for _ in range(3)]

    def all_reduce(flat: torch.Tensor) -> None:
        """Add what the other three processes have."""
        for process in (1, 2, 3):
            flat += torch.cat([each[process].flatten() for each in parts])

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    own = [each[0].clone() for each in parts]
    World(0, 4).average(own)
    for found, part in zip(own, parts, strict=True):
        exact = part.double().mean(0)
        torch.testing.assert_close(found, exact.to(dtype), rtol=1e-6, atol=1e-7)


def test_a_batch_that_cannot_be_shared_is_refused(folder: Path) -> None:
    seen = json.loads((folder / "seen.json").read_text())
    assert "3 sequences cannot be shared evenly by 2 processes" in seen["odd"]


@pytest.mark.soak
def test_a_process_that_fails_ends_all_and_leaves_its_reason(corpus: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from descentlab.train import loop\n"
        "from descentlab.cli.main import run\n"
        "import os\n"
        "update = loop._update\n"
        "def failing(training, *others):\n"
        "    if training.step == 2 and training.here.rank == 1:\n"
        "        raise RuntimeError('planted')\n"
        "    return update(training, *others)\n"
        "loop._update = failing\n"
        "run()\n"
    )
    script = tmp_path / "failing.py"
    script.write_text(code)
    spec = tmp_path / "spec.toml"
    spec.write_text(toml(settings(corpus)))
    store = tmp_path / "store"
    ended = torchrun(str(script), "train", str(spec), "--store", str(store))
    assert ended.returncode != 0
    opened = Store(store)
    status = opened.status(opened.run_ids()[0])
    assert (status.state, status.reason) == (
        "failed",
        "process 1 of 2: RuntimeError: planted",
    )


def toml(tables: dict[str, Any]) -> str:
    lines = [f"seed = {tables['seed']}"]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_on_a_gpu_is_the_cpus_within_rounding(corpus: Path, tmp_path: Path) -> None:
    for device in ("cpu", "cuda"):
        train_alone(tmp_path / device, corpus, device=device)
    for ours, theirs in zip(metrics(tmp_path / "cuda"), metrics(tmp_path / "cpu"), strict=True):
        for key in ("loss", "validation_loss"):
            if key in theirs:
                assert ours[key] == pytest.approx(theirs[key], rel=1e-4)
