"""Sweeps of real trainings whose drivers and workers are killed and stopped at random.

What comes out is what undisturbed runs come to, byte for byte.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from faults.laboratory import folder_of
from faults.trials import as_toml, different, outcome

from descentlab.errors import BusyError
from descentlab.runs.store import Store

SWEEP = "faults.trials:sweep"
QUICK = {"takeover_after": 0.6}
BLOWS = 12
COMMAND = "from descentlab.cli.main import run; run()"


def test_two_drivers_that_are_killed_and_stopped_come_to_the_same_bytes(laboratory, plan):
    draw = random.Random(6)
    runs = [plan(seed=seed, training={"steps": 6}, execution=QUICK) for seed in (1, 2, 3)]
    wholes = [laboratory.undisturbed(each) for each in runs]
    root = laboratory.new_store()
    runs_json = msgspec.json.encode(runs).decode()

    def start():
        return laboratory.forks.start(SWEEP, str(root), runs_json)

    alive = [start(), start()]
    for blow in range(4):
        time.sleep(draw.uniform(0.1, 0.3))
        process = alive[blow % 2]
        if blow == 1:
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(2 * QUICK["takeover_after"])
            os.kill(process.pid, signal.SIGCONT)
        else:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            alive[blow % 2] = start()
    for process in alive:
        assert process.wait() == 0, process.text()
    for whole in wholes:
        assert different(whole.outcome, outcome(folder_of(root, whole.run))) == []


def wait_for(store: Store, steps: int) -> bool:
    """Wait until all attempts together have made so many steps; False if all runs are done."""
    while not all(store.folder(each).done.exists() for each in store.run_ids()):
        paths = store.root.glob("runs/*/attempt-*/timing.jsonl")
        if sum(path.read_bytes().count(b'"tokens_per_second"') for path in paths) >= steps:
            return True
        time.sleep(0.1)
    return False


def descendants(pid: int) -> list[int]:
    """Processes below one, the deepest first."""
    below: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            below = [*descendants(int(path.parent.name)), int(path.parent.name), *below]
    return below


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_commands_that_are_killed_at_random_come_to_the_same_bytes(cache, plan, tmp_path):
    """``descent sweep`` beside ``descent worker``, and the processes that train for them."""
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(10**6))
    print(f"SOAK_SEED={seed}")
    draw = random.Random(seed)
    execution = {"checkpoint_every": 25, "final_checkpoint": False, "takeover_after": 6.0}
    training = {"steps": 800, "evaluate_every": 400}
    run = plan(training=training, execution=execution, data={"max_epochs": 40})
    study = {"name": "s", "axes": {"seed": list(range(6))}, "run": run.settings}
    (tmp_path / "study.toml").write_text(as_toml(study))

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", COMMAND, *arguments]
        environment = {**os.environ, "DESCENTLAB_CACHE": str(cache)}
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)

    assert start("sweep", "study.toml", "--workers", "2", "--store", "whole").wait() == 0
    assert start("sweep", "study.toml", "--register-only").wait() == 0
    commands = [
        ("sweep", "study.toml", "--workers", "1", "--retries", "1000"),
        ("worker", "store", "--retries", "1000"),
    ]
    alive = [start(*each) for each in commands]
    store = Store(tmp_path / "store")
    ends: list[str] = []
    steps = 0
    while len(ends) < BLOWS:
        steps += draw.randint(50, 400)
        if not wait_for(store, steps):
            break
        place = draw.randrange(2)
        process = alive[place]
        victim = draw.choice([process.pid, *descendants(process.pid)])
        number = draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
        ends.append(f"{number.name} to {'driver' if victim == process.pid else 'worker'}")
        try:
            os.kill(victim, number)
            if number == signal.SIGSTOP:
                time.sleep(draw.uniform(0.5, 3.0) * execution["takeover_after"])
                os.kill(victim, signal.SIGCONT)
        except ProcessLookupError:
            pass
        if process.poll() is None and (victim == process.pid and number != signal.SIGSTOP):
            assert process.wait() in (-9, -15, 75, 143)  # -15 before it has begun to listen
        if process.poll() is not None:
            alive[place] = start(*commands[place])
    for process in alive:
        assert process.wait() in (0, BusyError.exit_code)
    print(ends)
    assert start("sweep", "study.toml", "--workers", "2").wait() == 0
    whole = Store(tmp_path / "whole")
    for run_id in store.run_ids():
        ours, theirs = (each.folder(run_id) for each in (store, whole))
        assert different(outcome(theirs), outcome(ours)) == []
