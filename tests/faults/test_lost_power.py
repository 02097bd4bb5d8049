"""The power goes at any call that changes files: nothing that was saved is lost."""

from __future__ import annotations

import random

import pytest
from faults import bugs
from faults.laboratory import folder_of
from faults.lost_power import Disk

SEED = 13


def test_the_model_sees_what_the_disk_holds(laboratory, plan):
    whole = laboratory.undisturbed(plan())
    disk = Disk(whole.root.parent)
    disk.replay(whole.process.calls())
    there = whole.root.parent.rglob("*")
    found = {
        str(path.relative_to(whole.root.parent)): None if path.is_dir() else path.read_bytes()
        for path in there
    }
    assert disk.content() == found


def broken_promises(laboratory, whole, points, bugs=()):
    """What is broken if the power goes right after some calls, by the call and the seed.

    Without a seed nothing has reached the disk that was not flushed; else lots decide.
    """
    found = {}
    for call in points:
        for seed in (None, call.number):
            if broken := laboratory.without_power(whole, call.number + 1, seed, bugs=bugs):
                found[f"after {call.number} {call.what} {call.path.name}, seed {seed}"] = broken
    return found


def test_nothing_saved_is_lost_with_the_power(laboratory, plan):
    whole = laboratory.undisturbed(plan(training={"steps": 3}))
    calls = whole.process.calls()
    flushes = [each for each in calls if each.what == "sync"]
    chosen = [*random.Random(SEED).sample(flushes, 6), calls[-1]]
    assert broken_promises(laboratory, whole, chosen) == {}


def test_a_result_that_outlives_the_power_has_its_records(laboratory, plan):
    """Without a checkpoint, too, which would have flushed them."""
    run = plan(
        training={"steps": 2},
        execution={"checkpoint_every": 0, "final_checkpoint": False},
        probes={"every": 1},
    )
    root = laboratory.new_store()
    process = laboratory.start(run, root)
    assert process.wait() == 0
    disk = Disk(root.parent)
    disk.replay(process.calls())
    left = laboratory.new_store()
    disk.lose_power(left.parent, None)
    folder, before = (folder_of(each, run) for each in (left, root))
    assert folder.result() == before.result() is not None
    for name in ("metrics.jsonl", "probes.jsonl", "timing.jsonl", "environment.json"):
        path = folder.attempt(1).path / name
        assert path.read_bytes() == (before.attempt(1).path / name).read_bytes()


@pytest.mark.parametrize("bug", bugs.WITHOUT_POWER, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_noticed_when_the_power_goes(laboratory, plan, bug):
    whole = laboratory.undisturbed(
        plan(training={"steps": 2}), bugs=(f"faults.bugs:{bug.__name__}",)
    )
    saves = [each for each in whole.process.calls() if each.path.name == "checkpoints"]
    flushes = [each for each in saves if each.what == "sync"]
    found = broken_promises(laboratory, whole, flushes or whole.process.calls()[-1:])
    print(found)
    assert found
