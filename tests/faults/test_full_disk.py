"""A disk that is full, read-only or broken from some call on: one sentence, and nothing lost."""

from __future__ import annotations

import errno
import os
import random
import re

import pytest
from faults.forks import REFUSE, Fault
from faults.laboratory import folder_of, newest_step
from faults.trials import SAVED, steps

SEED = 3
FULL = r"^error: .+: disk full, need [\d,]+ bytes, have [\d,]+; make room and start again$"
REFUSED = r"^error: .+: cannot be written \({}\); choose a folder that you may write to$"


def broken_promises(laboratory, whole, nth, number):
    """Refuse every call from the n-th on, and see what the user is told, and what is left."""
    root = laboratory.new_store()
    process = laboratory.start(whole.run, root, Fault(REFUSE, nth, number))
    code, said = process.wait(), process.text()
    told = FULL if number == errno.ENOSPC else REFUSED.format(os.strerror(number))
    broken = []
    if code != 4:
        broken.append(f"ended with {code}: {said}")
    if len(re.findall(told, said, re.MULTILINE)) != 1 or "Traceback" in said:
        broken.append(f"said: {said}")
    folder = folder_of(root, whole.run)
    saved, incomplete = newest_step(folder)
    if saved < max(steps(said, SAVED), default=0) and folder.result() is None:
        broken.append(f"I3: {said}, but {saved} is the newest")
    return broken + incomplete + laboratory.resumed(whole, root, acknowledged=saved)


def all_broken(laboratory, whole, points):
    found = {}
    for call, number in points:
        if broken := broken_promises(laboratory, whole, call.number, number):
            found[f"{errno.errorcode[number]} from {call.number} {call.what} on"] = broken
    return found


def allocating(whole):
    """The calls that need room."""
    return [each for each in whole.process.calls() if each.what not in ("unlink", "rmdir", "sync")]


def test_a_disk_that_is_full_from_some_call_on(laboratory, plan):
    whole = laboratory.undisturbed(plan(training={"steps": 3}))
    chosen = random.Random(SEED).sample(allocating(whole), 8)
    assert all_broken(laboratory, whole, [(each, errno.ENOSPC) for each in chosen]) == {}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.EACCES])
def test_a_disk_that_refuses_from_some_call_on(laboratory, plan, number):
    whole = laboratory.undisturbed(plan(training={"steps": 3}))
    chosen = random.Random(SEED).sample(whole.process.calls(), 2)
    assert all_broken(laboratory, whole, [(each, number) for each in chosen]) == {}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("what", ["open", "resize", "write"])
def test_a_checkpoint_that_does_not_fit_is_named_with_its_size(laboratory, plan, what, number):
    """Its tensors are written by safetensors, with errors of its own."""
    whole = laboratory.undisturbed(plan(training={"steps": 2}))
    tensors = [each for each in whole.process.calls() if each.path.name.startswith(".tmp")]
    call = next(each for each in tensors if each.what == what)
    fault = Fault(REFUSE, call.number, number)
    process = laboratory.start(whole.run, laboratory.new_store(), fault)
    assert process.wait() == 4
    size = max(len(each.content) for each in tensors)
    said = process.text()
    assert "attempt-1/checkpoints/step-00000001: " in said
    if number == errno.EIO:
        assert "cannot be written (Input/output error)" in said
    else:
        needed = re.search(r"disk full, need ([\d,]+) bytes", said)
        assert needed is not None
        assert 0.9 * size < int(needed[1].replace(",", "")) <= size


def test_a_store_that_may_not_be_written_is_refused_before_training(laboratory, plan):
    run = plan(training={"steps": 3})
    for number in (errno.EROFS, errno.EACCES):
        process = laboratory.start(run, laboratory.new_store(), Fault(REFUSE, 1, number))
        assert process.wait() == 4
        assert re.fullmatch(REFUSED.format(os.strerror(number)), process.text().strip())
