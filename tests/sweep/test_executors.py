from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest
from contracts.executors import (
    ElsewhereContract,
    ExecutorContract,
    GpuContract,
    begun,
    finished,
)

from descentlab.sweep.executors.base import Job, Task
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.executors.local import LocalExecutor
from descentlab.sweep.resources import Resources

TESTS = Path(__file__).parents[1]


class TestInline(ExecutorContract):
    @pytest.fixture
    def executor(self):
        return InlineExecutor()

    @pytest.mark.parametrize(("asked", "seen"), [(0.5, "3"), (1, "3"), (2, "3,GPU-a")])
    def test_a_task_sees_its_gpus_and_the_process_all_of_them_again(
        self, asked, seen, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-a")
        executor = InlineExecutor(Resources(gpus=asked))
        job = executor.submit(Task("oracles.toy_tasks:gpus", (str(tmp_path / "gpus"),)))
        assert finished(executor, job) == 0
        assert (tmp_path / "gpus").read_text() == seen
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,GPU-a"

    def test_gpus_that_only_their_driver_knows_are_not_named_afterwards(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr("descentlab.sweep.resources.gpus_here", lambda: ("0", "1"))
        executor = InlineExecutor(Resources(gpus=0.5))
        executor.submit(Task("oracles.toy_tasks:gpus", (str(tmp_path / "gpus"),)))
        assert (tmp_path / "gpus").read_text() == "0"
        assert "CUDA_VISIBLE_DEVICES" not in os.environ


class TestLocal(ElsewhereContract, GpuContract):
    gpus = ("3", "GPU-a")

    @pytest.fixture
    def executor(self):
        return LocalExecutor(2)

    @pytest.fixture
    def halves(self, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(self.gpus))
        return LocalExecutor(8, resources=Resources(gpus=0.5))

    def test_a_task_that_cannot_be_stopped_gracefully_is_ended_by_the_signal(
        self, executor, tmp_path
    ):
        job = executor.submit(Task("oracles.toy_runs:sleep_forever", (str(tmp_path / "pid"),)))
        begun(executor, tmp_path / "pid")
        job.stop()
        assert finished(executor, job) == -signal.SIGTERM

    def test_each_process_sees_its_share_of_the_gpus_also_after_a_death(
        self, tmp_path, monkeypatch
    ):
        def hold(name: str) -> tuple[Job, str]:
            job = executor.submit(Task("oracles.toy_tasks:hold_gpus", (str(tmp_path / name),)))
            return job, begun(executor, tmp_path / name)

        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-a")
        executor = LocalExecutor(8, resources=Resources(gpus=0.5))
        assert executor.capacity == 4
        well = [executor.submit(Task("oracles.toy_runs:leave", ("0",))) for _ in range(4)]
        assert [finished(executor, job) for job in well] == [0] * 4
        held = [hold(name) for name in "abcd"]
        assert sorted(gpu for _, gpu in held) == ["3", "3", "GPU-a", "GPU-a"]
        ended = [each for each in held if each[1] == "3"]
        ended[0][0].kill()
        ended[1][0].stop()
        assert [finished(executor, job) for job, _ in ended] == [-signal.SIGKILL, 75]
        again = [hold(name) for name in "ef"]
        assert [gpu for _, gpu in again] == ["3", "3"]
        for job, _ in held + again:
            job.kill()

    def test_a_process_takes_one_task_after_another(self, tmp_path):
        executor = LocalExecutor(1)
        assert process_of(executor, tmp_path) == process_of(executor, tmp_path)

    @pytest.mark.parametrize("ending", ["failed", "stopped", "killed while idle"])
    def test_the_next_task_gets_a_new_process_after_one_that(self, ending, tmp_path):
        executor = LocalExecutor(1)
        if ending == "killed while idle":
            before = process_of(executor, tmp_path)
            os.kill(before, signal.SIGKILL)
            while _alive(before):
                time.sleep(0.01)
        else:
            path = tmp_path / "stopped"
            job = executor.submit(Task("oracles.toy_runs:sleep_forever", (str(path),)))
            while not (path.exists() and path.read_text()):
                executor.wait(0.01)
            before = int(path.read_text())
            if ending == "failed":
                job.kill()
                finished(executor, job)
                job = executor.submit(Task("oracles.toy_runs:leave", ("3",)))
            else:
                job.stop()
            finished(executor, job)
        assert process_of(executor, tmp_path) != before

    def test_stopping_a_finished_task_leaves_the_next_one_alone(self, tmp_path):
        executor = LocalExecutor(1)
        path = tmp_path / "said"
        first = executor.submit(Task("oracles.toy_runs:leave", ("0",)))
        finished(executor, first)
        second = executor.submit(Task("oracles.toy_runs:process", (str(path),)))
        first.stop()
        first.kill()
        assert finished(executor, second) == 0

    def test_a_signal_during_a_start_waits_until_the_task_has_begun(
        self, executor, tmp_path, monkeypatch, capfd
    ):
        class StoppedError(Exception):
            pass

        def stop(number, frame):
            raise StoppedError

        def signalled(*arguments):
            connected = connect(*arguments)
            os.kill(os.getpid(), signal.SIGTERM)
            return connected

        connect = forkserver.connect_to_new_process
        monkeypatch.setattr(forkserver, "connect_to_new_process", signalled)
        path = tmp_path / "said"
        handler = signal.signal(signal.SIGTERM, stop)
        try:
            with pytest.raises(StoppedError):
                executor.submit(Task("oracles.toy_runs:echo", (str(path), "begun")))
            assert signal.getsignal(signal.SIGTERM) is stop
        finally:
            signal.signal(signal.SIGTERM, handler)
        while not (path.exists() and path.read_text()):
            time.sleep(0.05)
        assert capfd.readouterr().err == ""

    def test_a_task_dies_with_the_process_that_submitted_it(self, tmp_path):
        path = tmp_path / "pid"
        driver = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys, time\n"
                "from descentlab.sweep.executors.base import Job, Task\n"
                "from descentlab.sweep.executors.local import LocalExecutor\n"
                "if __name__ == '__main__':\n"
                "    task = Task('oracles.toy_runs:sleep_forever', (sys.argv[1],))\n"
                "    job = LocalExecutor(1).submit(task)\n"
                "    time.sleep(600)\n",
                str(path),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        )
        while not (path.exists() and path.read_text()):
            assert driver.poll() is None
            time.sleep(0.05)
        driver.kill()
        driver.wait()
        worker = int(path.read_text())
        while _alive(worker):  # the suite's time-out ends the wait if it lives on
            time.sleep(0.05)


def process_of(executor, folder):
    """The process that a task runs in."""
    path = folder / "process"
    assert finished(executor, executor.submit(Task("oracles.toy_runs:process", (str(path),)))) == 0
    return int(path.read_text())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
