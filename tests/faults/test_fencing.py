"""A process that slept while another took its run over: it spoils nothing when it wakes up."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
from faults.forks import STOP, Fault
from faults.laboratory import folder_of
from faults.trials import different, outcome

from descentlab.errors import BusyError
from descentlab.runs.store import Store

SEED = 5


def contents(path: Path) -> dict[str, bytes]:
    return {
        str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()
    }


def give_free(root: Path, run_id: str) -> None:
    """What an error tells a user to do whose other host is gone for good."""
    for claim in (root / "claims").glob(f"{run_id}.*"):
        claim.unlink()


def asleep(laboratory, whole, call):
    """A process that stops before a call, as if its machine were suspended."""
    root = laboratory.new_store()
    process = laboratory.start(whole.run, root, Fault(STOP, call.number))
    assert process.wait() is None, process.text()
    return root, process


def wake(process) -> int | None:
    os.kill(process.pid, signal.SIGCONT)
    return process.wait()


def points(whole, count):
    """From its claim on; once the result is there, nobody can take the run over."""
    calls = whole.process.calls()
    first = next(n for n, each in enumerate(calls) if each.other.parent.name == "claims")
    last = next(n for n, each in enumerate(calls) if each.other.name == "done.json")
    ends = [calls[first + 1], calls[last]]
    return ends + random.Random(SEED).sample(calls[first + 2 : last], count - 2)


@pytest.mark.parametrize("place", range(6))
def test_one_that_wakes_after_the_run_was_finished_leaves_it_alone(laboratory, plan, place):
    whole = laboratory.undisturbed(plan(training={"steps": 3}))
    call = points(whole, 6)[place]
    root, sleeper = asleep(laboratory, whole, call)
    folder = folder_of(root, whole.run)
    give_free(root, whole.run.run_id)
    other = laboratory.start(whole.run, root)
    assert other.wait() == 0, other.text()
    assert different(whole.outcome, outcome(folder)) == []
    result = folder.result()
    assert result is not None
    winner = folder.attempt(result.generation).path
    done, theirs = folder.done.read_bytes(), contents(winner)
    # What it finds on the point of publishing is the other's result, which is its own.
    expected = 0 if call.path.name.startswith("done.json") else BusyError.exit_code
    assert wake(sleeper) == expected, f"{call}: {sleeper.text()}"
    assert folder.done.read_bytes() == done
    assert contents(winner) == theirs
    # It may have been about to publish what it had checked before it fell asleep: one at most.
    assert sleeper.text().count("saved after step") <= call_saves(whole, call) + 1


def call_saves(whole, call) -> int:
    """How many checkpoints the undisturbed run had saved before a call."""
    renames = [each for each in whole.process.calls() if each.what == "rename"]
    published = [each for each in renames if each.other.name.startswith("step-")]
    return sum(each.number < call.number for each in published)


@pytest.mark.parametrize("place", range(3))
def test_of_two_that_are_at_work_at_once_one_has_the_result(laboratory, plan, place):
    whole = laboratory.undisturbed(plan(training={"steps": 3}))
    call = points(whole, 3)[place]
    root, sleeper = asleep(laboratory, whole, call)
    give_free(root, whole.run.run_id)
    other = laboratory.start(whole.run, root, Fault(STOP, call.number))
    if other.wait() is None:
        assert wake(sleeper) in (0, BusyError.exit_code), sleeper.text()
        assert wake(other) == 0, other.text()
    folder = folder_of(root, whole.run)
    assert different(whole.outcome, outcome(folder)) == []


def test_a_second_process_is_told_who_is_at_work(laboratory, plan):
    whole = laboratory.undisturbed(plan(training={"steps": 3}))
    saved = next(each for each in whole.process.calls() if each.other.name == "step-00000002")
    root, first = asleep(laboratory, whole, saved)
    folder = folder_of(root, whole.run)
    before = contents(folder.path)
    second = laboratory.start(whole.run, root)
    assert second.wait() == BusyError.exit_code
    assert f"process {first.pid} on {os.uname().nodename} is working on it" in second.text()
    assert contents(folder.path) == before
    assert wake(first) == 0
    assert different(whole.outcome, outcome(folder)) == []
    assert Store(root).status(whole.run.run_id).generation == 1
