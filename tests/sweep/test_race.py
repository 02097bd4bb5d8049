"""Races over runs in a store, against what the full grid finds."""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import suppress
from typing import ClassVar

import pytest
from oracles.paused_runs import STEPS, TARGET, loss_of, steps_trained, toy_run

from descentlab.errors import FailedRuns
from descentlab.runs.store import Store
from descentlab.sweep.agenda import Agenda
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.executors.local import LocalExecutor
from descentlab.sweep.race import Race
from descentlab.sweep.race_notes import RaceNotes
from descentlab.sweep.racing.full_grid import FullGrid
from descentlab.sweep.racing.grid import Cell, Kind
from descentlab.sweep.racing.racing import Racing

AXES: dict[str, Kind] = {"lr": "rate", "beta": "decay"}
LRS = [0.25, 0.5, 1.0, 2.0, 4.0]
BETAS = [0.6, 0.8, 0.9, 0.95, 0.975]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store", create=True)


class KilledError(BaseException):
    pass


class Killed(InlineExecutor):
    """Takes so many tasks, and dies."""

    def __init__(self, tasks):
        super().__init__()
        self._left = tasks

    def submit(self, task):
        if self._left == 0:
            raise KilledError
        self._left -= 1
        return super().submit(task)


def grid(**behaviours):
    return [
        toy_run(lr, beta, behaviours.get(f"lr{lr:g}", "ok"))
        for lr, beta in itertools.product(LRS, BETAS)
    ]


def one_cell(run):
    return Cell(key=run.run_id, point={name: run.settings[name] for name in AXES})


def racing(runs):
    return Racing([one_cell(each) for each in runs], AXES)


def sweep(store, runs, scheduler, executor=None):
    by_id = {each.run_id: each for each in runs}
    return Sweep(
        runs=runs,
        labels={},
        store=store,
        executor=executor or InlineExecutor(),
        target=TARGET,
        observe=lambda progress: None,
        steps_of=lambda run: STEPS,
        agenda=Race([scheduler], by_id, store),
    )


def best_of(runs):
    return min(runs, key=lambda run: loss_of(run, STEPS)).run_id


def test_a_race_finds_the_grids_best_and_trains_no_step_twice(store):
    runs, scheduler = grid(), None
    scheduler = racing(runs)
    results = sweep(store, runs, scheduler, LocalExecutor(2)).drive()
    assert scheduler.over
    assert scheduler.result().winner == best_of(runs)
    trained = Counter(steps_trained(store))
    assert max(trained.values()) == STEPS
    assert sum(trained.values()) / (len(runs) * STEPS) == pytest.approx(scheduler.cost, abs=0.05)
    assert scheduler.cost < 0.6
    whole = {run_id for run_id, steps in trained.items() if steps == STEPS}
    assert whole == set(results) == set(scheduler.result().finished)


def test_a_race_that_was_killed_goes_on_and_decides_the_same(store, tmp_path):
    runs = grid()
    undisturbed = racing(runs)
    sweep(Store(tmp_path / "other", create=True), runs, undisturbed).drive()
    for more in (3, 9, 20):
        with pytest.raises(KilledError):
            sweep(store, runs, racing(runs), Killed(more)).drive()
    scheduler = racing(runs)
    sweep(store, runs, scheduler).drive()
    assert scheduler.result() == undisturbed.result()
    assert scheduler.decisions == undisturbed.decisions
    assert max(Counter(steps_trained(store)).values()) == STEPS


def test_runs_that_are_whole_already_cost_nothing(store):
    runs = grid()
    sweep(store, runs, racing(runs)).drive()
    before = len(steps_trained(store))
    again = racing(runs)
    sweep(store, runs, again).drive()
    assert len(steps_trained(store)) == before
    assert again.result().winner == best_of(runs)


def test_diverged_runs_lose_and_the_race_goes_on(store):
    runs = grid(lr1="diverges")
    scheduler = racing(runs)
    sweep(store, runs, scheduler).drive()
    outcome = scheduler.result()
    sound = [each for each in runs if each.settings["behaviour"] == "ok"]
    assert outcome.winner == best_of(sound)
    assert len(outcome.diverged) == len(BETAS)


def test_every_decision_is_noted_as_it_is_made_and_keeps_its_time(store):
    runs = grid()
    by_id = {each.run_id: each for each in runs}

    def drive(now, tasks):
        scheduler = racing(runs)
        notes = RaceNotes(store, "grid", "racing", {"adam": scheduler}, clock=lambda: now)
        driven = sweep(store, runs, scheduler, Killed(tasks))
        driven.agenda = Race([scheduler], by_id, store, notes)
        seen = []
        driven.observe = lambda progress: seen.append(progress.raced)
        with suppress(KilledError):
            driven.drive()
        return scheduler, seen

    drive(1.0, 30)
    before = store.races.noted("grid")
    assert before is not None
    assert len(before.decisions["adam"]) > 0
    assert set(before.times["adam"]) == {1.0}
    scheduler, seen = drive(2.0, 10**6)
    after = store.races.noted("grid")
    assert after.decisions == {"adam": scheduler.decisions}
    count = len(before.decisions["adam"])
    assert after.decisions["adam"][:count] == before.decisions["adam"]
    assert after.times["adam"] == [1.0] * count + [2.0] * (len(scheduler.decisions) - count)
    assert seen[-1].stopped == len(scheduler.result().unfinished)
    assert store.races.paths() == {"grid": store.root / "races" / "grid+now.json"}
    store.races.record("grid", b'{"scheduler":"racing","decisions":{}}')
    assert store.races.paths() == {"grid": store.root / "races" / "grid+now.json"}


def test_failed_runs_are_named_at_the_end_of_the_race(store):
    runs = grid(lr1="fails")
    scheduler = racing(runs)
    with pytest.raises(FailedRuns, match=f"{len(BETAS)} of {len(runs)} runs failed"):
        sweep(store, runs, scheduler).drive()
    assert scheduler.over


def test_two_races_share_a_run_that_both_ask_for(store):
    runs = grid()
    one, two = racing(runs), racing(runs)
    driven = sweep(store, runs, one)
    driven.agenda = Race([one, two], {each.run_id: each for each in runs}, store)
    driven.drive()
    assert one.result() == two.result()
    assert max(Counter(steps_trained(store)).values()) == STEPS


def test_what_one_race_stopped_and_another_finished_is_a_result_for_both(store, tmp_path):
    runs = grid()
    by_id = {each.run_id: each for each in runs}
    alone = racing(runs)
    sweep(Store(tmp_path / "other", create=True), runs, alone).drive()
    stopped = next(iter(alone.result().unfinished))
    for _ in range(2):  # the second time all is on record from the beginning
        one, two = racing(runs), FullGrid([one_cell(by_id[stopped])], AXES)
        two.ask = lambda one=one, ask=two.ask: ask() if one.over else []
        driven = sweep(store, runs, one)
        driven.agenda = Race([one, two], by_id, store)
        driven.drive()
        assert one.decisions == alone.decisions
        assert {*one.result().finished} == {*alone.result().finished, stopped}
        assert one.final(stopped) == two.final(stopped) == loss_of(by_id[stopped], STEPS)
        assert sum(steps_trained(store).count(each) for each in by_id) == sum(
            STEPS if each == stopped else round(alone.reached(each) * STEPS) for each in by_id
        )


def test_the_race_that_waits_for_least_goes_first(store):
    runs = grid()
    by_id = {each.run_id: each for each in runs}
    large, small = racing(runs[:20]), racing(runs[20:])
    wanted = list(Race([large, small], by_id, store).wanted())
    assert wanted == [each.run_id for each in [*runs[20:], *runs[:20]]]


def test_what_is_urgent_is_begun_before_what_is_in_line(store):
    runs = grid()[:4]

    class Changing(Agenda):
        """Wants another run before all others, once the first has ended."""

        begun: ClassVar[list[str]] = []
        left: ClassVar[list[str]] = [each.run_id for each in runs[:3]]

        def wanted(self):
            return dict.fromkeys(self.left)

        def ended(self, run_id):
            self.begun.append(run_id)
            self.left.remove(run_id)
            if len(self.begun) == 1:
                self.left.insert(0, runs[3].run_id)

        def failed(self, run_id): ...

        def spent(self):
            return None

        def decided(self):
            return ()

    driven = sweep(store, runs, None)
    driven.agenda = agenda = Changing()
    driven.drive()
    assert agenda.begun == [runs[place].run_id for place in (0, 3, 1, 2)]
