"""``descent train`` and ``descent sweep`` as a user or a scheduler starts and stops them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.trials import as_toml

from descentlab.runs import checkpoints
from descentlab.runs.records import last_record, read_records
from descentlab.runs.store import RunFolder, Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
COMMAND = "from descentlab.cli.main import run; run()"
STEPS = 400


@pytest.fixture
def descent(cache, tmp_path) -> Callable[..., subprocess.Popen[str]]:
    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=tmp_path,
            env={**os.environ, "DESCENTLAB_CACHE": str(cache)},
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def run(plan):
    execution = {"checkpoint_every": 0, "final_checkpoint": False}
    training = {"steps": STEPS, "evaluate_every": 100}
    return plan(training=training, execution=execution, data={"max_epochs": 10})


def wait_for_steps(store: Path, runs: int, steps: int) -> None:
    """Until each of so many runs has made so many steps."""
    while True:
        records = [last_record(path) for path in store.glob("runs/*/attempt-*/timing.jsonl")]
        if sum(each is not None and int(each["step"]) >= steps for each in records) >= runs:
            return
        time.sleep(0.02)


def stopped_after(folder: RunFolder) -> int:
    """The step that an interrupted run made last, which must be the one that it saved."""
    attempt = folder.attempt(folder.generations())
    found = checkpoints.newest(folder, lambda line: None)
    assert found is not None
    made = read_records(attempt.timing).records[-1]["step"]
    assert found.manifest.step == made
    return made


def made_by(folder: RunFolder, generation: int) -> list[int]:
    records = read_records(folder.attempt(generation).metrics).records
    return [each["step"] for each in records if "loss" in each]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 75),
        (signal.SIGUSR1, 75),
        (signal.SIGUSR2, 75),
        (signal.SIGINT, 130),
    ],
)
def test_train_saves_and_goes_on(descent, run, tmp_path, number, code):
    (tmp_path / "spec.toml").write_text(as_toml(run.settings))
    store = tmp_path / "store"
    process = descent("train", "spec.toml")
    wait_for_steps(store, 1, 5)
    process.send_signal(number)
    said = process.communicate()[1]
    assert process.returncode == code
    assert "Traceback" not in said
    assert "state saved; the same command goes on from there" in said
    folder = Store(store).folder(run.run_id)
    step = stopped_after(folder)
    assert 5 <= step < STEPS
    again = descent("train", "spec.toml", "--resume")
    assert "Traceback" not in again.communicate()[1]
    assert again.returncode == 0
    assert made_by(folder, 2) == list(range(1, STEPS + 1))
    assert made_by(folder, 1) == list(range(1, step + 1))


def test_workers_of_a_sweep_save_and_go_on(descent, run, tmp_path):
    """What they come to is what an undisturbed sweep comes to."""
    study = {"name": "s", "axes": {"seed": [1, 2, 3]}, "run": run.settings}
    (tmp_path / "study.toml").write_text(as_toml(study))
    whole = descent("sweep", "study.toml", "--workers", "2", "--store", "whole")
    assert "Traceback" not in whole.communicate()[1]
    assert whole.returncode == 0
    process = descent("sweep", "study.toml", "--workers", "2")
    wait_for_steps(tmp_path / "store", 2, 5)
    process.terminate()
    said = process.communicate()[1]
    assert process.returncode == 143
    assert "Traceback" not in said
    store = Store(tmp_path / "store")
    folders = [store.folder(each) for each in store.run_ids()]
    begun = {each: stopped_after(each) for each in folders if each.generations() == 1}
    assert len(begun) >= 2
    assert all(store.status(each.run_id).state == "interrupted" for each in begun)
    again = descent("sweep", "study.toml", "--workers", "2")
    assert "Traceback" not in again.communicate()[1]
    assert again.returncode == 0
    for folder, step in begun.items():
        assert made_by(folder, 1) == list(range(1, step + 1))
    for folder in folders:
        alike = Store(tmp_path / "whole").folder(folder.run_id)
        ours, theirs = (each.attempt(each.generations()).metrics for each in (folder, alike))
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_worker_saves_and_goes_on(descent, run, tmp_path, number, code):
    study = {"name": "s", "axes": {"seed": [1, 2]}, "run": run.settings}
    (tmp_path / "study.toml").write_text(as_toml(study))
    register = descent("sweep", "study.toml", "--register-only")
    assert "Traceback" not in register.communicate()[1]
    assert register.returncode == 0
    process = descent("worker", "store", "--wait")
    wait_for_steps(tmp_path / "store", 1, 5)
    process.send_signal(number)
    said = process.communicate()[1]
    assert process.returncode == code
    assert "Traceback" not in said
    store = Store(tmp_path / "store")
    folders = [store.folder(each) for each in store.run_ids()]
    (begun,) = [each for each in folders if each.generations()]
    step = stopped_after(begun)
    assert store.status(begun.run_id).state == "interrupted"
    again = descent("worker", "store")
    assert "Traceback" not in again.communicate()[1]
    assert again.returncode == 0
    assert all(each.result() is not None for each in folders)
    assert made_by(begun, 1) == list(range(1, step + 1))
    assert made_by(begun, 2) == list(range(1, STEPS + 1))
