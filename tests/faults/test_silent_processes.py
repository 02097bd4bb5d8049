"""A process that is silent for longer than its TTL loses its run, and spoils nothing later."""

from __future__ import annotations

import time

import pytest
from faults.forks import STOP, Fault
from faults.laboratory import folder_of
from faults.test_fencing import contents, wake
from faults.trials import SAVED, different, outcome, steps

from descentlab.errors import BusyError, FailedRuns
from descentlab.runs.records import read_records
from descentlab.runs.store import Store

QUICK = {"takeover_after": 0.5}
NO_SAVES = {**QUICK, "checkpoint_every": 0, "final_checkpoint": False}
QUIET = "faults.bugs:has_a_quiet_heart"
BLIND = "faults.bugs:does_not_feel_its_heart"
NEVER_LOOKS = "faults.bugs:never_looks_at_its_claim"


def silent(root, run_id) -> int:
    """Watch a run's process until it counts as gone; put that on record."""
    store = Store(root)
    while store.status(run_id).state == "running":
        time.sleep(0.05)
    generation = store.generation(run_id)
    silence = store.silence(run_id, generation)
    assert silence is not None
    store.folder(run_id).attempt(generation).end("interrupted", silence)
    return generation


def at(whole, what):
    """A moment of a run: the first call about a file, or that writes a record."""
    return next(
        each
        for each in whole.process.calls()
        if what in (each.path.name, each.other.name) or what.encode() in each.content[:20]
    )


def asleep_and_replaced(laboratory, whole, moment, *bugs):
    """A process that stopped at a moment, and one that took over and stopped before its end."""
    root = laboratory.new_store()
    fault = Fault(STOP, at(whole, moment).number)
    sleeper = laboratory.start(whole.run, root, fault, bugs=(QUIET, *bugs))
    assert sleeper.wait() is None, sleeper.text()
    assert silent(root, whole.run.run_id) == 1
    other = laboratory.start(
        whole.run, root, Fault(STOP, at(whole, '"step":2,').number), bugs=(QUIET,)
    )
    assert other.wait() is None, other.text()
    return sleeper, other, folder_of(root, whole.run)


def steps_made(attempt) -> int:
    return sum("loss" in each for each in read_records(attempt.metrics).records)


@pytest.mark.parametrize(
    ("moment", "made"), [("environment.json", 0), ('"step":1,', 1), ("step-00000001", 2)]
)
def test_one_that_wakes_while_another_is_at_work_stops_at_once(laboratory, plan, moment, made):
    """At the next boundary of steps: ``made`` is what it had, and the step that it was in.

    The one that slept before its environment was on record has made no step.
    """
    whole = laboratory.undisturbed(plan(training={"steps": 3}, execution=QUICK), bugs=(QUIET,))
    sleeper, other, folder = asleep_and_replaced(laboratory, whole, moment)
    theirs = contents(folder.attempt(2).path)
    assert wake(sleeper) == BusyError.exit_code, sleeper.text()
    assert contents(folder.attempt(2).path) == theirs
    assert folder.result() is None
    assert steps_made(folder.attempt(1)) == made
    assert wake(other) == 0, other.text()
    assert different(whole.outcome, outcome(folder)) == []


def test_the_check_before_a_save_suffices(laboratory, plan):
    whole = laboratory.undisturbed(plan(training={"steps": 3}, execution=QUICK), bugs=(QUIET,))
    sleeper, other, folder = asleep_and_replaced(laboratory, whole, '"step":1,', BLIND)
    assert wake(sleeper) == BusyError.exit_code, sleeper.text()
    assert steps(sleeper.text(), SAVED) == []
    assert wake(other) == 0, other.text()
    assert different(whole.outcome, outcome(folder)) == []


def test_the_check_before_the_result_suffices(laboratory, plan):
    whole = laboratory.undisturbed(plan(training={"steps": 3}, execution=NO_SAVES), bugs=(QUIET,))
    sleeper, other, folder = asleep_and_replaced(laboratory, whole, '"step":1,', BLIND)
    assert wake(sleeper) == BusyError.exit_code, sleeper.text()
    assert steps_made(folder.attempt(1)) == 3
    assert folder.result() is None
    assert wake(other) == 0, other.text()
    assert different(whole.outcome, outcome(folder)) == []


def test_without_checks_it_would_publish(laboratory, plan):
    """The planted bug shows that the tests above can fail."""
    whole = laboratory.undisturbed(plan(training={"steps": 3}, execution=NO_SAVES), bugs=(QUIET,))
    sleeper, other, folder = asleep_and_replaced(laboratory, whole, '"step":1,', NEVER_LOOKS)
    assert wake(sleeper) == 0
    result = folder.result()
    assert result is not None
    assert result.generation == 1
    wake(other)


def test_a_hung_step_is_ended_put_on_record_and_gone_on_from(laboratory, plan):
    quick = {"takeover_after": 0.24, "hang_after": 0.4}
    whole = laboratory.undisturbed(plan(training={"steps": 4}, execution=quick))
    root = laboratory.new_store()
    process = laboratory.start(whole.run, root, bugs=("faults.bugs:never_ends_its_third_step",))
    assert process.wait() == FailedRuns.exit_code
    status = Store(root).status(whole.run.run_id)
    assert status.state == "failed"
    assert status.passing
    assert status.reason is not None
    assert status.reason.startswith("hung: no step after step 2 for 0.")
    assert status.reason in process.text()
    log = folder_of(root, whole.run).attempt(1).log.read_text()
    assert "in endless" in log  # where it stood
    assert laboratory.resumed(whole, root, acknowledged=2) == []


def test_a_slow_first_step_and_a_slow_evaluation_are_not_hung(laboratory, plan):
    quick = {"takeover_after": 0.24, "hang_after": 0.4}
    run = plan(training={"steps": 2, "evaluate_every": 1}, execution=quick)
    process = laboratory.start(
        run,
        laboratory.new_store(),
        bugs=("faults.bugs:is_slow_in_its_first_step_and_in_evaluations",),
    )
    assert process.wait() == 0, process.text()
