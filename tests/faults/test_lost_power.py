"""The power goes at any call that changes files: nothing that was saved is lost."""

from __future__ import annotations

from faults.lost_power import Disk


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


def test_nothing_saved_is_lost_with_the_power(laboratory, plan):
    whole = laboratory.undisturbed(plan(training={"steps": 3}))
    last = max(call.number for call in whole.process.calls())
    points = [call.number for call in whole.process.calls() if call.what == "sync"] + [last]
    found = {}
    for point in points:
        for seed in (None, point):
            if broken := laboratory.without_power(whole, point + 1, seed):
                found[f"before call {point + 1}, seed {seed}"] = broken
    assert found == {}
