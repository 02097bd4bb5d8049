"""Signals at a chosen moment: the state is saved at the next boundary and no step is repeated."""

from __future__ import annotations

import os
import signal
import time

import pytest
from faults.forks import STOP, Fault
from faults.laboratory import folder_of, newest_step
from faults.trials import WENT_ON, different, outcome, steps

from descentlab.runs.records import read_records

EXIT = {
    signal.SIGTERM: 75,
    signal.SIGUSR1: 75,
    signal.SIGUSR2: 75,
    signal.SIGINT: 130,
}
BY_SIGNAL_ALONE = {"checkpoint_every": 0}


def signalled(laboratory, whole, call, number):
    """``descent train``, which gets a signal right before a call; the store, code and words."""
    root = laboratory.new_store()
    process = laboratory.descent(whole.run, root, Fault(STOP, call.number))
    assert process.wait() is None, process.text()
    os.kill(process.pid, number)
    os.kill(process.pid, signal.SIGCONT)
    return root, process.wait(), process.text()


def made(whole, step):
    """The call that puts a step on record; its update comes after."""
    written = [each for each in whole.process.calls() if each.path.name == "metrics.jsonl"]
    return next(each for each in written if b'"step":%d,' % step in each.content)


def goes_on_after(laboratory, whole, root):
    """Start again; the step that it went on after. It must come to the same outcome."""
    process = laboratory.descent(whole.run, root)
    assert process.wait() == 0, process.text()
    assert different(whole.outcome, outcome(folder_of(root, whole.run))) == []
    return max(steps(process.text(), WENT_ON), default=0)


@pytest.mark.parametrize("number", EXIT)
def test_a_signal_within_a_step_saves_that_step(laboratory, plan, number):
    whole = laboratory.undisturbed(plan(execution=BY_SIGNAL_ALONE))
    root, code, said = signalled(laboratory, whole, made(whole, 2), number)
    assert code == EXIT[number]
    assert "stopped after step 2 of 4, state saved; the same command goes on from there" in said
    assert "Traceback" not in said
    attempt = folder_of(root, whole.run).attempt(1)
    assert read_records(attempt.timing).records[-1]["step"] == 2
    assert goes_on_after(laboratory, whole, root) == 2


@pytest.mark.parametrize("what", ["mkdir", "write", "sync", "rename"])
def test_a_signal_within_a_save_stops_after_it(laboratory, plan, what):
    whole = laboratory.undisturbed(plan())
    saving = [each for each in whole.process.calls() if ".step-00000002." in str(each.path)]
    call = next(each for each in saving if each.what == what)
    root, code, said = signalled(laboratory, whole, call, signal.SIGTERM)
    assert code == 75, said
    assert "stopped after step 2 of 4, state saved" in said
    assert goes_on_after(laboratory, whole, root) == 2


def test_a_signal_within_the_last_step_lets_it_finish(laboratory, plan):
    whole = laboratory.undisturbed(plan())
    root, code, said = signalled(laboratory, whole, made(whole, 4), signal.SIGTERM)
    assert code == 75
    assert "was finished before stopping" in said
    assert different(whole.outcome, outcome(folder_of(root, whole.run))) == []
    assert goes_on_after(laboratory, whole, root) == 0  # there is nothing left to train


def test_a_signal_while_the_result_is_published_comes_too_late(laboratory, plan):
    whole = laboratory.undisturbed(plan())
    calls = [each for each in whole.process.calls() if each.path.name.startswith("done.json")]
    root, code, said = signalled(laboratory, whole, calls[0], signal.SIGTERM)
    assert code == 75
    assert "was finished before stopping" in said
    assert different(whole.outcome, outcome(folder_of(root, whole.run))) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 75)])
def test_a_signal_before_the_first_step_gives_the_run_free(laboratory, plan, number, code):
    whole = laboratory.undisturbed(plan())
    claim = next(each for each in whole.process.calls() if each.path.name == "attempt-1")
    root, ended, said = signalled(laboratory, whole, claim, number)
    assert ended == code, said
    assert "Traceback" not in said
    assert goes_on_after(laboratory, whole, root) == 0


def test_a_second_ctrl_c_ends_a_step_that_takes_for_ever(laboratory, plan):
    """The suite's time-out ends the test otherwise."""
    whole = laboratory.undisturbed(plan())
    root = laboratory.new_store()
    bug = "faults.bugs:never_ends_its_third_step"
    process = laboratory.descent(whole.run, root, bugs=(bug,))
    while "in its third step" not in process.text():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert newest_step(folder_of(root, whole.run)) == (2, [])
    assert goes_on_after(laboratory, whole, root) == 2
