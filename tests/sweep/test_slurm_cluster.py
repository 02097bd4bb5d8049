"""A real Slurm of two nodes, which lose jobs, and are lost."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest
from contracts.executors import ElsewhereContract, GpuContract, finished
from oracles import slurm_driver
from oracles.slurm_cluster import SlurmCluster, why_not
from oracles.toy_tasks import COUNT, attempts, counting_run

from descentlab.errors import ConfigError
from descentlab.runs.store import Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.base import Task
from descentlab.sweep.progress import Progress
from descentlab.sweep.resources import Resources

pytest.importorskip("submitit")

from descentlab.sweep.executors.slurm import SlurmExecutor, SlurmOptions

if reason := why_not():
    pytest.skip(reason, allow_module_level=True)

TESTS = Path(__file__).parents[1]


def free_ports(count: int) -> int:
    """The first of some ports in a row that nobody listens on."""
    for first in range(20_000 + os.getpid() % 10_000, 32_000, count):
        with socket.socket() as one:
            try:
                for port in range(first, first + count):
                    with socket.socket() as each:
                        each.bind(("127.0.0.1", port))
                one.bind(("127.0.0.1", first))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = SlurmCluster(tmp_path_factory.mktemp("slurm"), free_ports(3))
    before = dict(os.environ)
    os.environ.update(made.variables)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    try:
        made.start()
        yield made
    finally:
        made.stop()
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.slow
class TestSlurm(ElsewhereContract):
    @pytest.fixture
    def executor(self, cluster, tmp_path_factory):
        return SlurmExecutor(tmp_path_factory.mktemp("jobs"), pace=0.3)

    def test_runs_that_share_a_job_run_one_after_another(self, cluster, tmp_path):
        executor = SlurmExecutor(
            tmp_path / "jobs", options=SlurmOptions(runs_per_job=3), workers=3, pace=0.3
        )
        paths = [tmp_path / str(number) for number in range(3)]
        jobs = [executor.submit(Task("oracles.toy_runs:process", (str(path),))) for path in paths]
        assert [finished(executor, job) for job in jobs] == [0, 0, 0]
        assert len({path.read_text() for path in paths}) == 1

    def test_a_job_that_does_not_fit_is_refused(self, cluster, tmp_path):
        options = SlurmOptions(partition="gpuu")
        executor = SlurmExecutor(tmp_path / "jobs", options=options, pace=0.3)
        executor.submit(Task("oracles.toy_runs:leave", ("0",)))
        with pytest.raises(ValueError, match="invalid partition"):
            executor.wait(0)


@pytest.mark.slow
class TestGpusOfSlurm(GpuContract):
    gpus = ("0",)  # a node calls the ones of each job so, from 0

    @pytest.fixture
    def halves(self, cluster, tmp_path):
        return SlurmExecutor(tmp_path / "jobs", resources=Resources(gpus=0.5), pace=0.3)

    def test_more_than_a_node_has_are_refused(self, cluster, tmp_path):
        executor = SlurmExecutor(tmp_path / "jobs", resources=Resources(gpus=3), pace=0.3)
        executor.submit(Task("oracles.toy_runs:leave", ("0",)))
        with pytest.raises(ConfigError, match=r"saying: .*; --gpus 3 asks for 3 GPUs of a node"):
            executor.wait(0)


def test_runs_survive_preemption_and_the_loss_of_a_node_and_end_exactly_once(cluster, tmp_path):
    store = Store(tmp_path / "store", create=True)
    runs = [counting_run(number, steps=18) for number in range(5)]
    happened: list[str] = []

    def disturb(progress: Progress) -> None:
        states = cluster.command("squeue", "--array", "--noheader", "--format=%T %N").split("\n")
        running = sum(line.startswith("RUNNING n") for line in states)
        if not happened and running == 4 and all(attempts(store, run) for run in runs[:4]):
            cluster.command(
                *("sbatch", "-p", "urgent", "-w", "n1", "--exclusive", "--output=/dev/null"),
                *("--wrap", "sleep 1"),
            )
            happened.append("preempted")
        elif happened == ["preempted"] and progress.done >= 1 and "RUNNING n2" in states:
            cluster.kill_node("n2")
            happened.append("killed")

    sweep = Sweep(
        runs=runs,
        labels={},
        store=store,
        executor=SlurmExecutor(store.root / "jobs", pace=0.3),
        target=COUNT,
        observe=disturb,
        steps_of=lambda run: 18,
    )
    results = sweep.drive()
    assert happened == ["preempted", "killed"]
    assert {run_id: result.validation_loss for run_id, result in results.items()} == {
        run.run_id: float(run.settings["number"]) for run in runs
    }
    assert all(result.steps == 18 for result in results.values())
    tries = [attempts(store, run) for run in runs]
    assert sum(tries) >= len(runs) + 2, tries  # preempted ones and lost ones were tried again
    cluster.start_node("n2")
    cluster.command("scontrol", "update", "nodename=n2", "state=resume")


@pytest.mark.slow
def test_the_next_driver_takes_over_what_a_killed_one_left_in_the_queue(cluster, tmp_path):
    store = Store(tmp_path / "store", create=True)
    runs = [counting_run(number, steps=30) for number in range(7)]
    killed = slurm_driver.start(store.root, len(runs), steps=30)
    while sum(attempts(store, run) for run in runs) < 4:  # as many as there are cores
        assert killed.poll() is None
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    submitted = set(cluster.command("squeue", "--array", "--noheader", "--format=%i").split())
    lines: list[str] = []
    seen: set[str] = set()

    def look(progress: Progress) -> None:
        seen.update(cluster.command("squeue", "--array", "--noheader", "--format=%i").split())

    this = slurm_driver.sweep(store, runs, steps=30, observe=look, tell=lines.append)
    assert {run_id: result.steps for run_id, result in this.drive().items()} == {
        run.run_id: 30 for run in runs
    }
    assert seen <= submitted
    assert [attempts(store, run) for run in runs] == [1] * len(runs)
    assert lines == ["jobs of a killed driver in the queue: 7 taken over"]


@pytest.mark.slow
def test_jobs_that_a_killed_driver_asked_for_otherwise_leave_the_queue(cluster, tmp_path):
    store = Store(tmp_path / "store", create=True)
    runs = [counting_run(number, steps=30) for number in range(7)]
    killed = slurm_driver.start(store.root, len(runs), steps=30)
    while sum(attempts(store, run) for run in runs) < 4:
        assert killed.poll() is None
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    before = cluster.command("squeue", "--array", "--noheader", "--states=PENDING", "--format=%i")
    assert len(before.split()) == 3
    lines: list[str] = []
    longer = SlurmOptions(time=500)
    this = slurm_driver.sweep(store, runs, steps=30, tell=lines.append, options=longer)
    assert len(this.drive()) == 7
    assert [attempts(store, run) for run in runs] == [1] * len(runs)
    assert lines == [
        "jobs of a killed driver in the queue: 4 taken over, 3 called off, not begun and asked for "
        "otherwise"
    ]
    ended = cluster.command("squeue", "--array", "--noheader", "--states=COMPLETED", "--format=%i")
    assert set(before.split()).isdisjoint(ended.split())
