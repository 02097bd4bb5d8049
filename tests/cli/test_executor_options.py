"""The options that say where runs are computed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from oracles.toy_runs import toy_run

from descentlab.cli.main import main
from descentlab.cli.running import executor_at
from descentlab.cli.where import Where
from descentlab.runs.store import Store
from descentlab.sweep import resources
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.executors.local import LocalExecutor
from descentlab.sweep.worker import Worker


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--cores 100", "cores: a run asks for 100, and this machine has"),
        ("--cores 100 --workers fit", "cores: a run asks for 100, and this machine has"),
        ("--cores 100 --workers 0", "cores: a run asks for 100, and this machine has"),
        ("--cores 0", "cores: Expected int >= 1"),
        ("--gpus 1.5", "GPUs are given whole, or as one share below 1"),
        ("--gpus 0.5", "a run asks for 0.5, and this machine shows 0"),
        ("--gpus 0.5 --workers 0", "a run asks for 0.5, and this machine shows 0"),
        ("--memory 1e9", "memory: a run asks for 1e+09 GB"),
        ("--workers -1", "workers: got -1"),
    ],
)
def test_a_worker_refuses_what_a_sweep_refuses_in_the_same_words(
    options, message, tmp_path, capsys
):
    store = Store(tmp_path / "store", create=True)
    assert main(["sweep", "study.toml", *options.replace("--workers fit", "").split()]) == 2
    assert message in capsys.readouterr().err
    assert main(["worker", str(store.root), *options.split()]) == 2
    error = capsys.readouterr().err
    assert (error.startswith("error: "), error.count("\n")) == (True, 1)
    assert message in error


@pytest.mark.parametrize(
    ("options", "capacity"),
    [
        ("", 1),
        ("--workers 3", 3),
        ("--workers fit", 4),
        ("--workers fit --cores 3", 2),
        ("--workers fit --memory 20", 3),
        ("--workers fit --gpus 0.5 --cores 2", 4),
        ("--workers fit --gpus 1", 2),
        ("--workers 3 --gpus 1", 2),
        ("--workers 0 --gpus 1", 1),
    ],
)
def test_a_worker_takes_as_many_runs_at_once_as_it_is_told_and_have_room(
    options, capacity, tmp_path, monkeypatch
):
    class StoppedError(Exception):
        pass

    def work(this: Worker) -> None:
        seen.append(this.executor.capacity)
        raise StoppedError

    monkeypatch.setattr(resources, "usable_cores", lambda: 8 if "--cores" in options else 4)
    monkeypatch.setattr(resources, "memory_here", lambda: 64 * 10**9)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.setattr(Worker, "work", work)
    seen: list[int] = []
    Store(tmp_path / "store", create=True)
    assert main(["worker", "store", *options.split()]) == 1  # StoppedError, taken for a bug
    assert seen == [capacity]


def test_a_worker_with_fewer_cores_than_its_runs_have_threads_says_so(
    tmp_path, monkeypatch, capsys
):
    store = Store(tmp_path / "store", create=True)
    store.register(toy_run(1, execution={"threads": 2}))
    monkeypatch.setattr(resources, "usable_cores", lambda: 8)
    monkeypatch.setattr(Worker, "work", lambda this: {})
    said = "runs were registered with 2 threads, and are given 1 of this machine's cores"
    assert main(["worker", "store"]) == 0
    assert said in capsys.readouterr().err
    assert main(["worker", "store", "--cores", "2"]) == 0
    assert said not in capsys.readouterr().err


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
