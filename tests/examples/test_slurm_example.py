"""The Slurm study at a tiny size: trained here, by Slurm's jobs and by the sbatch script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from oracles.slurm_cluster import SlurmCluster, why_not

from descentlab.optim.methods import AdamMethod, SignumMethod
from descentlab.runs.store import Store
from descentlab.sweep.study_file import read_study
from descentlab.train.spec import run_spec

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {
    'size = "14M"': 'size = "tiny"',
    "vocabulary = 4096": 'tokenizer = "byte"\ncorpus = "{corpus}"',
    "sequence_length = 512": "sequence_length = 16\nvalidation_fraction = 0.1",
    "steps = 300": "steps = 4",
    "batch_size = 16": "batch_size = 4",
    "seeds = 3": "seeds = 1",
    "powers_of_two = [0, 2], times = 2e-3": "powers_of_two = [0, 1], times = 2e-3",
    "powers_of_two = [0, 2], times = 5e-4": "powers_of_two = [0, 1], times = 5e-4",
}
RUNS = 8


def test_every_point_of_it_is_a_run_for_a_cluster() -> None:
    study = read_study(EXAMPLES / "slurm_study.toml")
    specs = [run_spec(settings, where="test") for settings in study.settings()]
    assert len(specs) == 36
    assert {spec.precision for spec in specs} == {"bfloat16-autocast"}
    assert {type(spec.optimizer) for spec in specs} == {AdamMethod, SignumMethod}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The example with settings that take seconds."""
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("<|endoftext|>".join(f"Document {n}: {'abc' * 60}." for n in range(40)))
    text = (EXAMPLES / "slurm_study.toml").read_text()
    for old, new in SMALL.items():
        assert old in text
        text = text.replace(old, new.replace("{corpus}", str(corpus)))
    path = tmp_path / "slurm_study.toml"
    path.write_text(text)
    return path


def descent(*arguments: object, variables: Mapping[str, str] | None = None) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "descentlab", *map(str, arguments)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **(variables or {}),
        },
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def assert_whole(store: Path) -> None:
    """Every run has one result, and one attempt."""
    opened = Store(store)
    ids = opened.run_ids()
    assert len(ids) == RUNS
    for run_id in ids:
        status = opened.status(run_id)
        assert (status.state, status.generation) == ("done", 1)


@pytest.mark.slow
def test_it_trains_on_one_machine(study: Path, tmp_path: Path) -> None:
    descent("plan", study)
    descent("sweep", study, "--store", tmp_path / "store", "--executor", "inline")
    assert_whole(tmp_path / "store")


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The environment of a Slurm of two nodes, in whose jobs ``descent`` is this tree's."""
    if reason := why_not():
        pytest.skip(reason)
    from sweep.test_slurm_cluster import free_ports

    cluster = SlurmCluster(tmp_path / "slurm", free_ports(3))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "descent").write_text(f'#!/bin/sh\nexec {sys.executable} -m descentlab "$@"\n')
    (programs / "descent").chmod(0o755)
    path = f"{programs}:{cluster.variables['PATH']}"
    variables = {**cluster.variables, "PATH": path}
    before = dict(os.environ)
    os.environ.update(variables, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    try:
        cluster.start()
        yield variables
    finally:
        cluster.stop()
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.slow
def test_slurms_jobs_train_it(study: Path, tmp_path: Path, slurm: Mapping[str, str]) -> None:
    descent(
        *("sweep", study, "--store", tmp_path / "store", "--executor", "slurm"),
        *("--slurm", "runs_per_job=4", "--slurm", "partition=debug"),
        variables=slurm,
    )
    assert_whole(tmp_path / "store")


@pytest.mark.slow
def test_the_sbatch_script_trains_what_is_registered(
    study: Path, tmp_path: Path, slurm: Mapping[str, str]
) -> None:
    store = tmp_path / "store"
    descent("sweep", study, "--store", store, "--register-only")
    script = shutil.copy(EXAMPLES / "slurm_worker.sh", tmp_path)
    subprocess.run(
        ["sbatch", "--array=1-2", "--cpus-per-task=1", script, str(store), "--retries", "0"],
        cwd=tmp_path,
        env={**os.environ, **slurm},
        check=True,
    )
    deadline = time.monotonic() + 100
    opened = Store(store)
    while any(opened.status(each).state != "done" for each in opened.run_ids()):
        logs = "\n".join(path.read_text() for path in tmp_path.glob("descent-worker-*.log"))
        assert time.monotonic() < deadline, logs
        time.sleep(0.5)
    assert_whole(store)
