"""Stores on a disk that is full or cannot be written: one sentence, and nothing is lost."""

from __future__ import annotations

import re

import pytest
from oracles import toy_driver
from oracles.small_disk import fill, make_read_only, small_disk
from oracles.toy_runs import TARGET, toy_run

from descentlab.cli.main import main
from descentlab.runs.store import Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.inline import InlineExecutor

RUNS = [toy_run(number, "traced") for number in range(6)]


def sweep(store: Store) -> Sweep:
    return Sweep(
        runs=RUNS,
        labels={},
        store=store,
        executor=InlineExecutor(),
        target=TARGET,
        observe=lambda progress: None,
        steps_of=lambda run: 2,
        retries=0,
    )


def done(store: Store) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in store.root.glob("runs/*/done.json")}


@pytest.mark.parametrize("left", [24, 60, 100])
def test_a_sweep_goes_on_where_a_full_disk_ended_it(tmp_path, left):
    with small_disk(tmp_path / "disk", 400) as disk:
        store = Store(disk / "store", create=True)
        filler = fill(disk, left)
        with toy_driver.start(store.root, len(RUNS)) as process:
            _, said = process.communicate()
        assert re.search(
            r"Error: .*: disk full, need \d+ bytes|failed: .*: the disk was full", said
        )
        before = done(store)
        assert len(before) < len(RUNS)
        filler.unlink()
        results = sweep(store).drive()
        assert {results[run.run_id].validation_loss for run in RUNS} == {*range(6)}
        assert {each: done(store)[each] for each in before} == before


@pytest.mark.parametrize("command", [["worker"], ["worker", "--workers", "0"]])
def test_a_worker_refuses_a_store_that_it_cannot_write_before_it_trains(
    command, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("descentlab.sweep.worker.Worker.work", lambda this: pytest.fail("began"))
    with small_disk(tmp_path / "disk", 400) as disk:
        store = Store(disk / "store", create=True)
        store.register(RUNS[0])
        make_read_only(disk)
        assert main([command[0], str(store.root), *command[1:]]) == 4
    error = capsys.readouterr().err
    assert error.startswith(f"error: {store.root}: cannot be written (Read-only file system)")
    assert error.count("\n") == 1
