"""What every executor must do; each executor's test class inherits this suite."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from descentlab.sweep.executors.base import Executor, Job, Task


def finished(executor: Executor, job: Job) -> int:
    """Wait for a job and return its exit code."""
    while (code := job.exit_code()) is None:
        executor.wait(0.05)
    return code


class ExecutorContract:
    """Inherit and define a fixture ``executor``."""

    def test_a_task_gets_its_arguments_and_ends_with_0(self, executor, tmp_path):
        path = tmp_path / "said"
        job = executor.submit(Task("oracles.toy_runs:echo", (str(path), "a b\n'ü")))
        assert finished(executor, job) == 0
        assert path.read_text() == "a b\n'ü"

    @pytest.mark.parametrize("code", [0, 3, 7])
    def test_the_exit_code_is_the_tasks(self, executor, code):
        job = executor.submit(Task("oracles.toy_runs:leave", (str(code),)))
        assert finished(executor, job) == code

    @pytest.mark.parametrize("function", ["raise_error", "missing"])
    def test_a_bug_in_a_task_is_exit_code_1(self, executor, function):
        job = executor.submit(Task(f"oracles.toy_runs:{function}", ("broken on purpose",)))
        assert finished(executor, job) == 1

    def test_stopping_a_finished_job_has_no_effect(self, executor):
        job = executor.submit(Task("oracles.toy_runs:leave", ("7",)))
        finished(executor, job)
        job.stop()
        job.kill()
        assert job.exit_code() == 7

    def test_tasks_one_after_another(self, executor, tmp_path):
        for number in range(3):
            path = tmp_path / str(number)
            finished(executor, executor.submit(Task("oracles.toy_runs:echo", (str(path), "x"))))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]


class ElsewhereContract(ExecutorContract):
    """For executors whose tasks run in processes of their own; ``executor`` takes two at once."""

    def test_a_task_that_is_asked_to_stop_saves_and_ends_with_75(self, executor, tmp_path):
        job = executor.submit(Task("oracles.toy_tasks:until_stopped", (str(tmp_path / "pid"),)))
        begun(executor, tmp_path / "pid")
        job.stop()
        assert finished(executor, job) == 75
        assert job.lost() is None

    def test_a_task_that_is_killed_ends_at_once(self, executor, tmp_path):
        job = executor.submit(Task("oracles.toy_runs:sleep_forever", (str(tmp_path / "pid"),)))
        begun(executor, tmp_path / "pid")
        job.kill()
        assert finished(executor, job) == -signal.SIGKILL
        assert job.lost() is None

    def test_the_death_of_a_task_leaves_the_others_alone(self, executor, tmp_path):
        survivor = executor.submit(
            Task("oracles.toy_tasks:until_stopped", (str(tmp_path / "pid"),))
        )
        dead = executor.submit(Task("oracles.toy_tasks:die", (str(int(signal.SIGKILL)),)))
        assert finished(executor, dead) == -signal.SIGKILL
        begun(executor, tmp_path / "pid")
        assert survivor.exit_code() is None
        survivor.stop()
        assert finished(executor, survivor) == 75

    def test_two_tasks_run_at_once(self, executor, tmp_path):
        assert executor.capacity >= 2
        paths = [tmp_path / "1", tmp_path / "2"]
        jobs = [
            executor.submit(Task("oracles.toy_tasks:until_stopped", (str(path),))) for path in paths
        ]
        for path in paths:
            begun(executor, path)
        for job in jobs:
            job.stop()
        assert [finished(executor, job) for job in jobs] == [75, 75]


class GpuContract:
    """Inherit and define ``gpus`` and the fixture ``halves``.

    ``halves`` is an executor of tasks that get half a GPU each, where the GPUs are ``gpus``; it is
    free to take as many at once as fit.
    """

    gpus: tuple[str, ...]

    def test_each_task_sees_one_gpu_and_none_is_given_to_three(self, halves, tmp_path):
        count = min(halves.capacity, 2 * len(self.gpus))
        paths = [tmp_path / str(number) for number in range(count)]
        hold = "oracles.toy_tasks:hold_gpus"
        jobs = [halves.submit(Task(hold, (str(path),))) for path in paths]
        seen = [begun(halves, path) for path in paths]
        assert set(seen) == set(self.gpus)
        assert max(seen.count(gpu) for gpu in self.gpus) <= 2
        assert [job.exit_code() for job in jobs] == [None] * count
        for job in jobs:
            job.stop()
        assert [finished(halves, job) for job in jobs] == [75] * count


def begun(executor: Executor, path: Path) -> str:
    """Wait until a task has said something in a file, and return it."""
    while not (path.exists() and path.read_text()):
        executor.wait(0.05)
    return path.read_text()
