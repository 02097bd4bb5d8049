from __future__ import annotations

import threading
import time

import pytest
from oracles.toy_runs import TARGET, toy_run, trained

from descentlab.errors import ConfigError, FailedRuns
from descentlab.runs.store import Store
from descentlab.sweep import worker as module
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.progress import Progress
from descentlab.sweep.worker import Worker


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


def worker(store, observe=lambda progress: None, **settings):
    return Worker(
        store=Store(store.root),
        executor=InlineExecutor(),
        target=TARGET,
        observe=observe,
        steps_of=lambda run: run.settings["training"]["steps"],
        label_of=lambda run: run.run_id,
        **settings,
    )


def registered(store, *runs):
    for run in runs:
        store.register(run)
    return {run.run_id for run in runs}


def test_every_registered_run_without_a_result_is_trained_once(store):
    everything = registered(store, *(toy_run(number) for number in range(5)))
    assert worker(store, limit=2).work().keys() < everything
    results = worker(store).work()
    assert len(results) == 3
    assert sorted(trained(store)) == sorted(everything)
    assert worker(store).work() == {}


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_runs_are_taken_than_asked_for(store, limit):
    registered(store, *(toy_run(number) for number in range(5)))
    assert len(worker(store, limit=limit).work()) == len(trained(store)) == limit


def test_only_runs_of_the_study_are_taken(store):
    registered(store, toy_run(1), toy_run(2), toy_run(3))
    store.register_study("mine", {"runs": [toy_run(2).run_id]})
    assert worker(store, study="mine").work().keys() == {toy_run(2).run_id}


@pytest.mark.parametrize("study", [None, "mien"])
def test_nothing_to_take_is_told_from_nothing_left(store, study):
    if study is not None:
        registered(store, toy_run(1))
        store.register_study("mine", {"runs": [toy_run(1).run_id]})
    said = "--register-only" if study is None else "did you mean mine"
    with pytest.raises(ConfigError, match=said):
        worker(store, study=study).work()


def test_a_worker_leaves_what_others_work_on_and_ends(store):
    registered(store, toy_run(1), toy_run(2))
    store.claim(toy_run(1).run_id)
    seen: list[Progress] = []
    assert worker(store, seen.append).work().keys() == {toy_run(2).run_id}


def test_failures_are_named_in_the_end_and_not_tried_for_ever(store):
    registered(store, toy_run(1, "fails"), toy_run(2), toy_run(3, "full once"))
    this = worker(store)
    with pytest.raises(FailedRuns, match=r"1 of 3 runs failed.*as told"):
        this.work()
    assert this.results.keys() == {toy_run(2).run_id, toy_run(3).run_id}
    assert trained(store).count(toy_run(1).run_id) == 1


def test_a_damaged_run_is_left_out(store):
    registered(store, toy_run(1), toy_run(2))
    (store.root / "runs" / toy_run(1).run_id / "spec.json").write_text("{")
    assert worker(store).work().keys() == {toy_run(2).run_id}


def test_a_worker_that_waits_takes_what_is_registered_later(store, monkeypatch):
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.05)
    idle: list[Progress] = []
    this = worker(store, idle.append, wait=True, limit=2)
    thread = threading.Thread(target=this.work)
    thread.start()
    for number in (1, 2):
        count = len(idle)
        while len(idle) < count + 2:
            time.sleep(0.01)
        registered(store, toy_run(number))
    thread.join()
    assert this.results.keys() == {toy_run(1).run_id, toy_run(2).run_id}


def test_progress_counts_what_was_trained_before_the_last_look(store):
    registered(store, *(toy_run(number, "fails" if number == 0 else "ok") for number in range(4)))
    seen: list[Progress] = []
    with pytest.raises(FailedRuns):
        worker(store, seen.append).work()
    assert (seen[-1].done, seen[-1].total, seen[-1].failed) == (4, 4, 1)
