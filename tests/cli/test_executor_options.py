"""The options that say where runs are computed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from descentlab.cli.main import main
from descentlab.cli.running import executor_at
from descentlab.cli.where import Where
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.executors.local import LocalExecutor


@pytest.fixture(autouse=True)
def _nowhere(tmp_path, monkeypatch):
    """In an empty folder, on a machine without Slurm and GPUs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--executor slurm", "there is no Slurm here, as sbatch is not in the PATH"),
        ("--executor slurm --slurm partitoin=gpu", "partitoin: unknown setting; did you mean part"),
        ("--executor slurm --slurm partition", "write settings as key=value"),
        ("--executor slurm --slurm time=0", "time: Expected int >= 1"),
        ("--executor slurm --sbatch array=0-9", "array cannot be set so"),
        ("--executor slurm --workers 0", "workers: got 0, which trains in this process"),
        ("--slurm partition=gpu", "--slurm: belongs to --executor slurm, not local"),
        ("--executor ray --sbatch a=b", "--sbatch: belongs to --executor slurm, not ray"),
        ("--ray-address a:1", "--ray-address: belongs to --executor ray, not local"),
        ("--executor ray --workers 0", "workers: got 0, which trains in this process"),
        ("--executor ray --workers -2", "workers: got -2; ray needs 1 or more"),
        ("--executor ray --ray-address 127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1 ("),
        ("--executor ray --ray-address here", "no Ray cluster answers at here (an address is"),
        ("--executor inline --workers 3", "inline trains one run at a time"),
        ("--workers -1", "workers: got -1"),
        ("--gpus 1.5", "GPUs are given whole, or as one share below 1"),
        ("--gpus 1", "a run asks for 1, and this machine shows 0"),
        ("--cores 5000", "cores: Expected int <= 4096"),
        ("--memory 1e9", "memory: a run asks for 1e+09 GB"),
    ],
)
def test_what_is_not_allowed_or_not_there_is_one_sentence_and_exit_code_2(
    options, message, tmp_path, capsys
):
    pytest.importorskip("submitit")
    pytest.importorskip("ray")
    assert main(["sweep", "study.toml", *options.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("extra", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    extra, package, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"descentlab.sweep.executors.{extra}", raising=False)
    assert main(["sweep", "study.toml", "--executor", extra]) == 2
    expected = f"needs the package {package}; pip install 'descentlab[{extra}]'"
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "kind", "capacity"),
    [
        (Where(), LocalExecutor, None),
        (Where(workers=3), LocalExecutor, 3),
        (Where(workers=0), InlineExecutor, 1),
        (Where(executor="inline"), InlineExecutor, 1),
        (Where(executor="inline", workers=1), InlineExecutor, 1),
    ],
)
def test_the_executor_is_the_one_asked_for(where, kind, capacity):
    made = executor_at(where, Path("store"))
    assert isinstance(made, kind)
    assert capacity in (None, made.capacity)
