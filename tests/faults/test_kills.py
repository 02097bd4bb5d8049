"""Death at any call that changes files: the run goes on to the same bytes."""

from __future__ import annotations

import random

import pytest
from faults import bugs
from faults.forks import KILL, Fault
from faults.laboratory import Laboratory

PROBES = {"every": 1, "shadows": [{"method": "signum", "lr": 0.01, "beta": 0.9}]}
SEED = 7


def broken_promises(laboratory, whole, faults):
    found = {}
    for name, fault in faults:
        if broken := laboratory.killed(whole, fault):
            found[f"killed {name}"] = broken
    return found


def midway(laboratory, whole):
    """The process that goes on after a death between step 2 and its checkpoint."""
    path = f"{whole.run.run_id}.step-00000002"
    call = next(each for each in whole.process.calls() if each.path.name.startswith(path))
    return laboratory.midway(whole, Fault(KILL, call.number + 4))


def test_death_at_every_call_that_changes_files(laboratory, plan):
    """But, of those on unfinished files, at every third; `make soak` takes them all."""
    whole = laboratory.undisturbed(plan(training={"steps": 2}))
    calls = [each for each in whole.process.calls() if not each.other.name]
    unfinished = {each.number for each in calls if each.path.is_relative_to(whole.root / "tmp")}
    faults = whole.faults()
    chosen = [each for each in faults if each[1].nth not in unfinished or each[1].nth % 3 == 0]
    assert 40 < len(chosen) < len(faults)
    assert broken_promises(laboratory, whole, chosen) == {}


def test_death_of_the_process_that_goes_on(laboratory, plan):
    whole = midway(laboratory, laboratory.undisturbed(plan(training={"steps": 3})))
    faults = whole.faults()
    chosen = random.Random(SEED).sample(faults, len(faults) // 8)
    assert broken_promises(laboratory, whole, chosen) == {}


@pytest.fixture(scope="module")
def probed(forks, plan, tmp_path_factory):
    laboratory = Laboratory(forks, tmp_path_factory.mktemp("probed"))
    return laboratory.undisturbed(plan(training={"steps": 3}, probes=PROBES))


def noticed(laboratory, whole, bug, faults):
    name = f"faults.bugs:{bug.__name__}"
    for _, fault in faults[::-3]:
        if broken := laboratory.killed(whole, fault, bugs=(name,)):
            return broken
    return None


@pytest.mark.parametrize("bug", bugs.AT_A_KILL, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_noticed_at_a_kill(laboratory, probed, bug):
    found = noticed(laboratory, probed, bug, probed.faults())
    print(found)
    assert found


@pytest.mark.parametrize("bug", bugs.AT_A_SECOND_KILL, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_noticed_at_a_second_kill(laboratory, plan, bug):
    whole = midway(laboratory, laboratory.undisturbed(plan(training={"steps": 3})))
    faults = whole.faults()
    found = noticed(laboratory, whole, bug, faults[: len(faults) // 2])
    print(found)
    assert found
