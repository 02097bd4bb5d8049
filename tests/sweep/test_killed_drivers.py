"""Drivers that are killed, stopped and misled about the time: each run comes out once.

The long form is marked ``soak``; its schedules follow from the seed that is printed.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from itertools import pairwise

import pytest
from oracles import toy_driver
from oracles.toy_runs import toy_run

from descentlab.runs.store import Store

DAY = 86_400
TTL = 0.3


@pytest.fixture
def seed():
    chosen = int(os.environ.get("SOAK_SEED") or secrets.randbelow(10**6))
    print(f"SOAK_SEED={chosen}")
    return chosen


@pytest.fixture(scope="session")
def clock(tmp_path_factory):
    """A library under which a process believes in another calendar."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs LD_PRELOAD and a C compiler, cc")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = toy_driver.TESTS / "oracles" / "clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def drivers():
    """Starts drivers that end with the test."""
    started = []

    def start(*arguments, **settings):
        started.append(toy_driver.start(*arguments, **settings))
        return started[-1]

    yield start
    for process in started:
        end(process)


def end(process):
    process.kill()
    with process:  # waits
        pass


def trace(root):
    """By run, its attempts: generation, when it began, and how and when it ended."""
    found = defaultdict(dict)
    for line in (root / "trace.log").read_text().splitlines():
        run_id, generation, what, moment = line.split()
        found[run_id].setdefault(int(generation), {})[what] = float(moment)
    return found


def broken_promises(root, runs, *, at_once=False, **settings):
    """What a disturbed sweep must not do.

    Args:
        root: of the store.
        runs: how many there are.
        at_once: whether two processes may be at work on a run: on several hosts the one that
            sleeps does not know yet that it was replaced.
        settings: of the runs.
    """
    broken = []
    store, traced = Store(root), trace(root)
    for number in range(runs):
        run_id = toy_run(number, "traced", **settings).run_id
        status, attempts = store.status(run_id), traced[run_id]
        if status.result is None or status.result.validation_loss != number:
            broken.append(f"{number} is {status}")
        published = [each for each in attempts.values() if "published" in each]
        if len(published) > 1:  # none, if it was killed before it could say so
            broken.append(f"{run_id} was published {len(published)} times: {attempts}")
        if max(attempts, default=0) != status.generation and not at_once:
            broken.append(f"{run_id} was trained again after its result: {attempts}")
        for (_, one), (_, other) in pairwise(sorted(attempts.items())):
            end = max(one.get(what, 0) for what in ("published", "late", "replaced"))
            if end > other["begins"] and not at_once:
                broken.append(f"{run_id}: two at once: {attempts}")
    return broken


def finished(process):
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said


def results(root):
    return len(list(root.glob("runs/*/done.json")))


def many_drivers(root, drivers, draw, *, count, runs, kills, bug=""):
    """Drivers at once, of which one is killed and replaced at each share of the work."""
    alive = [drivers(root, runs, naps=3, bug=bug) for _ in range(count)]
    for number in range(kills):
        while results(root) < (number + 1) * runs // (kills + 2):
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.05))
        place = draw.randrange(count)
        end(alive[place])
        alive[place] = drivers(root, runs, naps=3, bug=bug)
    for process in alive:
        finished(process)
    attempts = sum(map(len, trace(root).values()))
    print(f"{attempts} attempts at {runs} runs")
    return broken_promises(root, runs, naps=3)


def test_four_drivers_that_are_killed_finish_each_run_once(tmp_path, drivers):
    draw = random.Random(3)
    assert many_drivers(tmp_path / "store", drivers, draw, count=4, runs=40, kills=6) == []


def test_the_harness_notices_that_living_holders_are_robbed(tmp_path, drivers):
    bug = "takes_every_holder_for_dead"
    root, draw = tmp_path / "store", random.Random(3)
    found = many_drivers(root, drivers, draw, count=3, runs=12, kills=0, bug=bug)
    assert any("two at once" in each for each in found)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_eight_drivers_that_are_killed_finish_each_run_once(tmp_path, drivers, seed):
    draw = random.Random(seed)
    assert many_drivers(tmp_path / "store", drivers, draw, count=8, runs=200, kills=60) == []


def one_driver(root, drivers, draw, *, runs, kills):
    """A driver with a pool of workers, killed at even shares of its work."""
    done = 0
    for _ in range(kills):
        process = drivers(root, runs, workers=2)
        until = done + draw.randint(1, max(1, 2 * (runs - done) // (kills + 1)))
        while results(root) < until and process.poll() is None:
            time.sleep(0.02)
        end(process)
        done = results(root)
    finished(drivers(root, runs, workers=2))
    assert broken_promises(root, runs) == []


def test_a_driver_that_is_killed_thrice_ends_with_all_results(tmp_path, drivers):
    one_driver(tmp_path / "store", drivers, random.Random(4), runs=60, kills=3)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_1500_runs_whose_driver_is_killed_20_times(tmp_path, drivers, seed):
    root = tmp_path / "store"
    one_driver(root, drivers, random.Random(seed), runs=1500, kills=20)
    assert results(root) == 1500


def hosts_under_attack(root, drivers, clock, seed, *, runs, blows, monkeypatch, bug=""):
    """Drivers on three hosts with clocks a day apart: killed, or stopped beyond the TTL."""
    draw = random.Random(seed)
    settings = {"naps": 15, "ttl": TTL}
    alive = {}

    def start(host):
        monkeypatch.setenv("CLOCK_OFFSET", str(draw.choice([-DAY, 0, DAY])))
        alive[host] = drivers(root, runs, host=host, preload=str(clock), bug=bug, **settings)

    for host in "abc":
        start(host)
    for number in range(blows):
        while results(root) < (number + 1) * runs // (blows + 2):
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.1))
        host = draw.choice("abc")
        process = alive[host]
        for path in (root / "heartbeats").glob("*"):
            moment = time.time() + draw.choice([-DAY, DAY])
            try:
                os.utime(path, (moment, moment))
            except FileNotFoundError:
                continue
        if process.poll() is None and draw.random() < 0.6:
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(draw.uniform(1.0, 12.0) * TTL)  # to see it stand still takes a few looks
            os.kill(process.pid, signal.SIGCONT)
        else:
            end(process)
            start(host)
    for process in alive.values():
        finished(process)
    lost = len(list(root.glob("runs/*/attempt-*/interrupted.json")))
    print(f"seed {seed}: {lost} runs were taken over from silent processes")
    return broken_promises(root, runs, at_once=True, **settings)


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_pauses_and_clocks_lose_and_double_nothing(
    tmp_path, drivers, clock, seed, monkeypatch
):
    root = tmp_path / "store"
    broken = hosts_under_attack(
        root, drivers, clock, seed, runs=12, blows=2, monkeypatch=monkeypatch
    )
    assert broken == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_20_seeds_of_kills_pauses_and_clocks(tmp_path, drivers, clock, seed, monkeypatch):
    for number in range(seed, seed + 20):
        root = tmp_path / str(number) / "store"
        broken = hosts_under_attack(
            root, drivers, clock, number, runs=30, blows=6, monkeypatch=monkeypatch
        )
        assert broken == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_harness_notices_that_nobody_is_fenced(tmp_path, drivers, clock, seed, monkeypatch):
    for number in range(seed, seed + 20):
        broken = hosts_under_attack(
            tmp_path / str(number) / "store",
            drivers,
            clock,
            number,
            runs=30,
            blows=6,
            monkeypatch=monkeypatch,
            bug="fences_nobody_and_publishes_over_a_result",
        )
        if any("was published 2 times" in each for each in broken):
            return
    pytest.fail("20 schedules, and it was never noticed")
