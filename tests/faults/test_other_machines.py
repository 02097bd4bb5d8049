"""A run goes on exactly only where the same bits come out; elsewhere it asks, and says so."""

from __future__ import annotations

import pytest
from faults.forks import KILL, Fault
from faults.laboratory import folder_of
from faults.trials import WENT_ON, different, outcome, steps

from descentlab.runs import checkpoints
from descentlab.runs.store import Store

OTHER_TORCH = "faults.bugs:has_another_torch"


@pytest.fixture
def interrupted(laboratory, plan):
    """The run, undisturbed; and a store in which it was killed with step 2 saved."""
    whole = laboratory.undisturbed(plan())
    return whole, laboratory.stopped(whole, 3)


def newest(root, run):
    found = checkpoints.newest(folder_of(root, run), lambda line: None)
    assert found is not None
    return found


def test_another_torch_is_refused_with_the_difference(laboratory, interrupted):
    whole, root = interrupted
    process = laboratory.start(whole.run, root, bugs=(OTHER_TORCH,))
    assert process.wait() == 2
    said = process.text()
    assert "stopped after step 2 where torch was '" in said
    assert "not '0.0.0'" in said
    assert "threads" not in said
    assert 'set execution.resume to "inexact", which the result will tell, or to "restart"' in said
    assert newest(root, whole.run).manifest.step == 2
    assert laboratory.resumed(whole, root, acknowledged=2) == []


def test_another_thread_count_is_refused_with_the_difference(laboratory, plan, interrupted):
    whole, root = interrupted
    process = laboratory.start(plan(execution={"threads": 2}), root)
    assert process.wait() == 2
    assert "stopped after step 2 where threads was 1, not 2, so" in process.text()
    assert laboratory.resumed(whole, root, acknowledged=2) == []


def test_another_micro_batch_is_refused_with_the_difference(laboratory, plan, interrupted):
    whole, root = interrupted
    process = laboratory.start(plan(execution={"micro_batch": 2}), root)
    assert process.wait() == 2
    assert "micro_batch was 4, not 2" in process.text()
    assert laboratory.resumed(whole, root, acknowledged=2) == []


def test_going_on_elsewhere_is_on_record_for_good(laboratory, plan, interrupted):
    whole, root = interrupted
    inexact = plan(execution={"resume": "inexact"})
    copy = laboratory.copy(root)
    uncut = laboratory.start(inexact, copy, bugs=(OTHER_TORCH,))
    assert uncut.wait() == 0, uncut.text()
    saved = next(each for each in uncut.calls() if each.other.name == "step-00000003")
    fault = Fault(KILL, saved.number + 2)
    assert laboratory.start(inexact, root, fault, bugs=(OTHER_TORCH,)).wait() == -9
    assert newest(root, whole.run).manifest.inexact_since == 2
    # Back where it began, it is elsewhere again.
    back = laboratory.start(whole.run, root)
    assert back.wait() == 2
    assert "torch was '0.0.0'" in back.text()
    # Where it was last, nothing has changed, but for its past.
    again = laboratory.start(whole.run, root, bugs=(OTHER_TORCH,))
    assert again.wait() == 0, again.text()
    assert steps(again.text(), WENT_ON) == [3]
    for store in (copy, root):
        result = Store(store).folder(whole.run.run_id).result()
        assert result is not None
        assert result.inexact_since == 2
    assert newest(root, whole.run).manifest.inexact_since == 2


def test_beginning_again_elsewhere_is_exact(laboratory, plan, interrupted):
    whole, root = interrupted
    process = laboratory.start(plan(execution={"resume": "restart"}), root, bugs=(OTHER_TORCH,))
    assert process.wait() == 0, process.text()
    assert steps(process.text(), WENT_ON) == []
    assert different(whole.outcome, outcome(folder_of(root, whole.run))) == []
    result = folder_of(root, whole.run).result()
    assert result is not None
    assert result.inexact_since is None
