from __future__ import annotations

import subprocess
import sys

import pytest
from oracles.toy_runs import TARGET, toy_run, trained

from descentlab.errors import FailedRuns
from descentlab.runs.store import Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.executors.local import LocalExecutor
from descentlab.sweep.progress import Progress

HOLD = """
import platform, sys
from pathlib import Path
platform.node = lambda: "elsewhere"
from descentlab.runs.store import Store
store = Store(Path(sys.argv[1]))
attempt = store.claim(sys.argv[2])
attempt.begin({})
with store.heart(attempt, ttl=float(sys.argv[3])):
    print("holds", flush=True)
    input()
"""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


@pytest.fixture
def spawn_elsewhere():
    """Start processes that hold a run, as if on another host, until the end of the test."""
    children = []

    def start(store, run):
        child = subprocess.Popen(
            [sys.executable, "-c", HOLD, store.root, run.run_id, str(run.settings["ttl"])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "holds\n"
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture(scope="module")
def pool():
    return LocalExecutor(2)


def sweep(store, runs, executor=None, observe=lambda progress: None, **settings):
    return Sweep(
        runs=runs,
        labels={},
        store=store,
        executor=executor or InlineExecutor(),
        target=TARGET,
        observe=observe,
        steps_of=lambda run: run.settings["training"]["steps"],
        **settings,
    )


def test_every_run_gets_its_own_result(store, pool):
    runs = [toy_run(number) for number in range(8)]
    results = sweep(store, runs, pool).drive()
    assert {run.run_id: float(number) for number, run in enumerate(runs)} == {
        run_id: result.validation_loss for run_id, result in results.items()
    }


def test_equal_runs_are_trained_once(store):
    results = sweep(store, [toy_run(1), toy_run(2), toy_run(1)]).drive()
    assert trained(store) == [toy_run(1).run_id, toy_run(2).run_id]
    assert len(results) == 2


def test_a_finished_run_is_never_trained_again(store):
    sweep(store, [toy_run(1)]).drive()
    results = sweep(store, [toy_run(1), toy_run(2)]).drive()
    assert trained(store) == [toy_run(1).run_id, toy_run(2).run_id]
    assert results[toy_run(1).run_id].validation_loss == 1.0


def test_divergence_is_a_result(store):
    results = sweep(store, [toy_run(1, "diverges")]).drive()
    assert results[toy_run(1).run_id].outcome == "diverged"


def test_failures_do_not_stop_the_others_and_are_reported(store):
    runs = [toy_run(1, "fails"), toy_run(2), toy_run(3, "fails"), toy_run(4)]
    this = sweep(store, runs)
    with pytest.raises(FailedRuns, match=r"2 of 4 runs failed.*as told") as caught:
        this.drive()
    assert caught.value.exit_code == 7
    assert set(this.results) == {toy_run(2).run_id, toy_run(4).run_id}
    assert store.status(toy_run(1).run_id).reason == "as told"


def test_starting_again_tries_failed_runs_again(store):
    run = toy_run(1, "fails once")
    with pytest.raises(FailedRuns):
        sweep(store, [run]).drive()
    assert sweep(store, [run]).drive()[run.run_id].generation == 2


def test_a_run_that_a_signal_stopped_after_it_had_saved_is_gone_on_with(store, pool):
    run = toy_run(1, "preempted once")
    assert sweep(store, [run], pool).drive()[run.run_id].generation == 2


@pytest.mark.parametrize("retries", [0, 2])
def test_a_process_that_is_killed_every_time_is_a_failure_with_its_signal(store, pool, retries):
    runs = [toy_run(1, "killed"), toy_run(2)]
    with pytest.raises(FailedRuns, match="signal 9, probably for want of memory"):
        sweep(store, runs, pool, retries=retries).drive()
    status = store.status(toy_run(1).run_id)
    assert (status.state, status.generation) == ("failed", 1 + retries)
    assert store.status(toy_run(2).run_id).state == "done"
    for generation in range(1, 2 + retries):
        ending = store.folder(toy_run(1).run_id).attempt(generation).ending()
        assert "signal 9" in ending.reason


@pytest.mark.parametrize("behaviour", ["killed once", "full once"])
def test_what_may_pass_is_tried_again_and_what_was_wrong_stays_on_record(store, pool, behaviour):
    run = toy_run(1, behaviour)
    seen: list[Progress] = []
    assert sweep(store, [run], pool, seen.append).drive()[run.run_id].generation == 2
    assert seen[-1].retried == 1
    ending = store.folder(run.run_id).attempt(1).ending()
    assert ending is not None
    assert ("signal 9" if behaviour == "killed once" else "disk full") in ending.reason


def test_what_would_only_repeat_itself_is_tried_once(store):
    with pytest.raises(FailedRuns):
        sweep(store, [toy_run(1, "fails")]).drive()
    assert trained(store) == [toy_run(1).run_id]


def test_a_failure_under_another_driver_is_not_tried_again_by_this_one(store, spawn_elsewhere):
    run = toy_run(1, "fails", ttl=20)
    store.register(run)
    spawn_elsewhere(store, run)
    theirs = store.folder(run.run_id).attempt(1)

    def end(progress: Progress) -> None:
        if progress.elsewhere and theirs.ending() is None:
            theirs.end("failed", "on record by the other")

    with pytest.raises(FailedRuns, match="on record by the other"):
        sweep(store, [run, toy_run(2)], observe=end).drive()
    assert run.run_id not in trained(store)


def test_a_silent_worker_is_ended_and_its_run_tried_again(store, pool):
    run = toy_run(1, "stopped once", ttl=0.4)
    assert sweep(store, [run], pool).drive()[run.run_id].generation == 2
    ending = store.folder(run.run_id).attempt(1).ending()
    assert ending is not None
    assert ending.reason.startswith("lost: its heartbeat stood still for 0.4")


def test_a_run_of_a_lost_host_is_taken_over(store, spawn_elsewhere):
    run = toy_run(1, ttl=0.4)
    store.register(run)
    spawn_elsewhere(store, run).kill()
    assert sweep(store, [run]).drive()[run.run_id].generation == 2
    ending = store.folder(run.run_id).attempt(1).ending()
    assert (ending.state, ending.reason[:5]) == ("interrupted", "lost:")


def test_no_more_runs_are_begun_than_the_limit_allows(store, pool):
    runs = [toy_run(number, "killed once" if number == 1 else "ok") for number in range(6)]
    this = sweep(store, runs, pool, limit=3)
    results = this.drive()
    assert set(results) == this.begun == {run.run_id for run in runs[:3]}
    assert results[runs[1].run_id].generation == 2


def test_runs_of_others_are_left_to_them_if_so_told(store, spawn_elsewhere):
    theirs, ours = toy_run(1, ttl=20), toy_run(2)
    store.register(theirs)
    spawn_elsewhere(store, theirs)
    assert set(sweep(store, [theirs, ours], leave_others=True).drive()) == {ours.run_id}


def test_the_end_names_how_many_failed_and_why(store):
    runs = [toy_run(1, "fails"), toy_run(2, "raises"), toy_run(3, "fails"), toy_run(4)]
    with pytest.raises(FailedRuns) as caught:
        sweep(store, runs).drive()
    first = runs[0].run_id
    assert str(caught.value) == (
        f"3 of 4 runs failed: 2 ({first} is one) with: as told; 1 ({runs[1].run_id}) with: its "
        "process ended with code 1 and no result; start again to try them again"
    )


def test_stopping_ends_the_running_runs_and_going_on_finishes_them(store, pool):
    def stop_once_running(progress: Progress) -> None:
        if any(run.step == 2 for run in progress.running):
            raise KeyboardInterrupt

    run, slow = toy_run(1, "hang"), toy_run(2, "slow")
    this = sweep(store, [run, slow], pool, stop_once_running)
    with pytest.raises(KeyboardInterrupt):
        this.drive()
    assert store.status(run.run_id).state == "interrupted"
    assert sweep(store, [slow], pool).drive()[slow.run_id].outcome == "ok"


def test_a_run_of_another_driver_is_waited_for(store, pool):
    slow = toy_run(1, "waits for go")
    other = sweep(store, [slow], LocalExecutor(1))
    seen: list[Progress] = []

    def see(progress: Progress) -> None:
        seen.append(progress)
        if progress.elsewhere:
            (store.root / "go").touch()

    def join_in(progress: Progress) -> None:
        if progress.running and progress.running[0].step and not seen:
            results = sweep(store, [slow, toy_run(2)], pool, see).drive()
            assert results[slow.run_id].generation == 1

    other.observe = join_in
    other.drive()
    assert any(progress.elsewhere == 1 for progress in seen)
    assert sorted(trained(store)) == sorted([slow.run_id, toy_run(2).run_id])


def test_progress_counts_what_was_there_before_and_ends_complete(store):
    sweep(store, [toy_run(1)]).drive()
    seen: list[Progress] = []
    sweep(store, [toy_run(1), toy_run(2), toy_run(3, "diverges")], observe=seen.append).drive()
    first, last = seen[0], seen[-1]
    assert (first.done, first.already_done, first.total) == (1, 1, 3)
    assert (last.done, last.diverged, last.failed) == (3, 1, 0)
    assert last.seconds_left == 0.0


def test_time_left_is_time_per_run_times_runs_left(store):
    runs = [toy_run(number, "slow") for number in range(4)]
    seen: list[Progress] = []
    sweep(store, runs, observe=seen.append).drive()
    halfway = next(progress for progress in seen if progress.done + len(progress.running) == 2)
    assert halfway.seconds_left is not None
    done = halfway.done + sum(run.step / run.steps for run in halfway.running)
    assert halfway.seconds_left == pytest.approx(halfway.elapsed / done * (4 - done))
