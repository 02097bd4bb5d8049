from __future__ import annotations

import pytest
from oracles.toy_runs import TARGET, toy_run, trained

from descentlab.errors import FailedRuns
from descentlab.runs.store import Store
from descentlab.sweep.driver import Progress, Sweep
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.executors.local import LocalExecutor


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


@pytest.fixture(scope="module")
def pool():
    return LocalExecutor(2)


def sweep(store, runs, executor=None, observe=lambda progress: None):
    return Sweep(
        runs=runs,
        labels={},
        store=store,
        executor=executor or InlineExecutor(),
        target=TARGET,
        observe=observe,
        steps_of=lambda run: run.settings["training"]["steps"],
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


def test_a_killed_process_is_a_failure_with_its_signal(store, pool):
    with pytest.raises(FailedRuns, match="signal 9, probably for want of memory"):
        sweep(store, [toy_run(1, "killed"), toy_run(2)], pool).drive()
    assert store.status(toy_run(1).run_id).state == "failed"
    assert store.status(toy_run(2).run_id).state == "done"


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
    slow = toy_run(1, "slow")
    other = sweep(store, [slow], LocalExecutor(1))
    seen: list[Progress] = []

    def join_in(progress: Progress) -> None:
        if progress.running and progress.running[0].step and not seen:
            results = sweep(store, [slow, toy_run(2)], pool, seen.append).drive()
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
