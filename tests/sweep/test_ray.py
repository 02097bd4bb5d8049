"""A Ray cluster of simulated nodes, one of which is lost in the end."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pytest
from contracts.executors import ElsewhereContract, GpuContract
from oracles.toy_tasks import COUNT, attempts, counting_run

from descentlab.errors import ConfigError
from descentlab.runs.store import Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.base import Job, Task
from descentlab.sweep.progress import Progress
from descentlab.sweep.resources import Resources

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'descentlab[ray]'")
from ray.cluster_utils import Cluster  # noqa: E402

from descentlab.sweep.executors.ray import RayExecutor  # noqa: E402

TESTS = Path(__file__).parents[1]
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own: sockets and files left open


@pytest.fixture(scope="module")
def cluster():
    """A head and a node, of one core each."""
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        soon = {"health_check_period_ms": 500, "health_check_failure_threshold": 2}
        head = {"num_cpus": 1, "include_dashboard": False, "_system_config": soon}
        made = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def node(cluster):
    """The node that is not the head."""
    return cluster.add_node(num_cpus=1)


@pytest.mark.usefixtures("node")
class TestRay(ElsewhereContract):
    @pytest.fixture
    def executor(self, cluster):
        return RayExecutor(address=cluster.address)

    @pytest.mark.parametrize(
        "asked", [Resources(cores=64), Resources(gpus=1), Resources(memory=1e6)]
    )
    def test_a_run_that_no_cluster_of_this_size_can_take_is_refused(self, cluster, asked):
        with pytest.raises(ConfigError, match="has room for no run with"):
            RayExecutor(address=cluster.address, resources=asked)


@pytest.mark.slow
class TestGpusOfRay(GpuContract):
    gpus = ("0", "1")

    @pytest.fixture(scope="class")
    def halves(self, cluster):
        """On a node of its own, with two GPUs and a core for each half of one."""
        more = cluster.add_node(num_cpus=4, num_gpus=2)
        executor = RayExecutor(address=cluster.address, resources=Resources(gpus=0.5))
        while (executor.capacity, ray.cluster_resources().get("GPU")) != (4, 2):
            executor._look_after = 0.0
            executor.wait(0.05)
        yield executor
        cluster.remove_node(more)
        while "GPU" in ray.cluster_resources():
            executor.wait(0.05)

    def test_more_than_there_are_is_refused_with_what_there_is(self, halves, cluster):
        with pytest.raises(ConfigError, match=r"no run with 1 cores, 3 GPUs, having .*, 2 and"):
            RayExecutor(address=cluster.address, resources=Resources(gpus=3))


class WatchedRay(RayExecutor):
    """Remembers its jobs."""

    submitted: list[Job]

    def submit(self, task: Task) -> Job:
        job = super().submit(task)
        self.submitted = [*getattr(self, "submitted", []), job]
        return job


def test_runs_end_exactly_once_though_a_node_is_lost(cluster, node, tmp_path):
    store = Store(tmp_path / "store", create=True)
    runs = [counting_run(number, steps=40) for number in range(3)]
    executor = WatchedRay(address=cluster.address)
    assert executor.capacity == 2
    happened: list[str] = []

    def disturb(progress: Progress) -> None:
        # Both nodes are at work: two runs have begun, and none has ended.
        if not (happened or progress.done) and sum(attempts(store, run) for run in runs) == 2:
            happened.append("lost")
            cluster.remove_node(node, allow_graceful=False)

    sweep = Sweep(
        runs=runs,
        labels={},
        store=store,
        executor=executor,
        target=COUNT,
        observe=disturb,
        steps_of=lambda run: 40,
    )
    results = sweep.drive()
    assert happened
    assert {run_id: result.validation_loss for run_id, result in results.items()} == {
        run.run_id: float(run.settings["number"]) for run in runs
    }
    assert sum(attempts(store, run) for run in runs) == len(runs) + 1
    (loss,) = [said for job in executor.submitted if (said := job.lost()) is not None]
    assert "the node of Ray that it ran on was lost" in loss
