"""The long form: faults at every call that changes files, and at 200 random moments.

Every schedule of faults follows from the seed that is printed.
"""

from __future__ import annotations

import errno
import os
import random
import secrets
import signal
import time

import pytest
from faults.forks import KILL, STOP, Fault, FreshProcesses
from faults.laboratory import Laboratory, folder_of
from faults.test_fencing import asleep, give_free, wake
from faults.test_full_disk import all_broken
from faults.test_kills import PROBES, broken_promises
from faults.test_lost_power import broken_promises as broken_without_power
from faults.test_signals import EXIT, goes_on_after
from faults.trials import SAVED, WENT_ON, different, outcome, steps

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]
RANDOM_KILLS = 200


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("SOAK_SEED") or secrets.randbelow(10**6))
    print(f"SOAK_SEED={chosen}")
    return chosen


@pytest.fixture
def whole(laboratory, plan):
    return laboratory.undisturbed(plan(probes=PROBES))


def test_death_at_every_call(laboratory, whole):
    faults = whole.faults(flushes=True)
    print(f"{len(faults)} kill points")
    assert broken_promises(laboratory, whole, faults) == {}


def test_death_at_every_call_each_in_a_fresh_process(whole, tmp_path_factory, cache):
    fresh = FreshProcesses(tmp_path_factory.mktemp("fresh"), cache)
    faults = whole.faults()
    print(f"{len(faults)} kill points")
    assert (
        broken_promises(Laboratory(fresh, tmp_path_factory.mktemp("stores")), whole, faults) == {}
    )
    fresh.close()


@pytest.mark.parametrize("step", [1, 2, 3])
def test_death_at_every_call_of_the_process_that_goes_on(laboratory, whole, step):
    saves = [each for each in whole.process.calls() if f".step-{step + 1:08}." in str(each.path)]
    midway = laboratory.midway(whole, Fault(KILL, saves[4].number))
    faults = midway.faults(flushes=True)
    print(f"{len(faults)} kill points")
    assert broken_promises(laboratory, midway, faults) == {}


def test_death_at_random_moments(laboratory, plan, seed):
    """Each run is killed again and again until it comes to its end."""
    draw = random.Random(seed)
    whole = laboratory.undisturbed(plan(training={"steps": 40}, execution={"checkpoint_every": 3}))
    kills, broken = 0, []
    while kills < RANDOM_KILLS:
        root, acknowledged = laboratory.new_store(), 0
        while True:
            process = laboratory.start(whole.run, root)
            time.sleep(draw.uniform(0.02, 0.6))
            os.kill(process.pid, signal.SIGKILL)
            killed = process.wait() != 0
            kills += killed
            went_on = steps(process.text(), WENT_ON)
            if went_on and went_on[0] < acknowledged:
                broken.append(f"went on after {went_on}, though {acknowledged} was saved")
            acknowledged = max([acknowledged, *steps(process.text(), SAVED)])
            if folder_of(root, whole.run).result() is not None:
                break
        broken += different(whole.outcome, outcome(folder_of(root, whole.run)))
    print(f"{kills} kills")
    assert broken == []


def test_the_power_goes_at_every_call(laboratory, whole):
    calls = whole.process.calls()
    print(f"{len(calls)} points, {2 * len(calls)} outcomes")
    assert broken_without_power(laboratory, whole, calls) == {}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_the_disk_refuses_from_every_call_on(laboratory, whole, number):
    gone = ("unlink", "rmdir") if number == errno.ENOSPC else ()
    calls = [each for each in whole.process.calls() if each.what not in gone]
    print(f"{len(calls)} points")
    assert all_broken(laboratory, whole, [(each, number) for each in calls]) == {}


def test_a_sleeper_wakes_at_every_call(laboratory, whole):
    calls = whole.process.calls()
    first = next(n for n, each in enumerate(calls) if each.other.parent.name == "claims")
    last = next(n for n, each in enumerate(calls) if each.other.name == "done.json")
    broken = {}
    for call in calls[first + 1 : last + 1]:
        root, sleeper = asleep(laboratory, whole, call)
        give_free(root, whole.run.run_id)
        assert laboratory.start(whole.run, root).wait() == 0
        folder = folder_of(root, whole.run)
        done = folder.done.read_bytes()
        code = wake(sleeper)
        same = done == folder.done.read_bytes()
        if code not in (0, 6) or not same or different(whole.outcome, outcome(folder)):
            broken[call.number] = (code, same, sleeper.text())
    assert broken == {}


def test_a_signal_at_every_call(laboratory, whole, seed):
    draw = random.Random(seed)
    calls = whole.process.calls()
    first = next(n for n, each in enumerate(calls) if each.path.name == "probes.jsonl")
    last = next(n for n, each in enumerate(calls) if each.other.name == "done.json")
    broken = {}
    for call in calls[first + 2 : last]:
        number = draw.choice(list(EXIT))
        root = laboratory.new_store()
        process = laboratory.descent(whole.run, root, Fault(STOP, call.number))
        assert process.wait() is None
        os.kill(process.pid, number)
        os.kill(process.pid, signal.SIGCONT)
        code = process.wait()
        done = folder_of(root, whole.run).result() is not None
        if code != EXIT[number]:
            broken[call.number] = (number, code, process.text())
        saved = max(steps(process.text(), SAVED), default=0)
        if goes_on_after(laboratory, whole, root) < saved and not done:
            broken[call.number] = (number, "a step was repeated")
    assert broken == {}
