"""Death at any call that changes files: the run goes on to the same bytes."""

from __future__ import annotations

import pytest
from faults.forks import Forks
from faults.laboratory import Laboratory

PROBES = {"every": 1, "shadows": [{"method": "signum", "lr": 0.01, "beta": 0.9}]}


def broken_promises(laboratory, whole, faults):
    found = {}
    for name, fault in faults:
        if broken := laboratory.killed(whole, fault):
            found[f"killed {name}"] = broken
    return found


def test_death_at_every_call_that_changes_files(laboratory, plan):
    whole = laboratory.undisturbed(plan(training={"steps": 3}))
    faults = whole.faults()
    assert len(faults) > 100
    assert broken_promises(laboratory, whole, faults) == {}
