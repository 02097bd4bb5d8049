"""Who may take a run over, and what becomes of the process that it was taken from."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from descentlab.errors import BusyError
from descentlab.runs.heartbeats import LOOKS, SLOW, TTL, Beat, Heart, Heartbeats
from descentlab.runs.identity import make_run
from descentlab.runs.store import Store

RUN = make_run(identity={"seed": 0}, settings={"seed": 0}, data_sha256="d" * 64)
ELSEWHERE = """
import platform
platform.node = lambda: "elsewhere"
"""
HOLD = """
attempt = Store(Path(sys.argv[1])).claim(sys.argv[2])
store = Store(Path(sys.argv[1]))
attempt.begin({})
with store.heart(attempt, ttl=float(sys.argv[3])) as heart:
    print("holds")
    input()
    print("lost" if heart.lost else "has it")
    input()
"""
SHORT = 0.5
"""Seconds; a TTL for tests that really wait."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def heartbeats(store, clock):
    return Heartbeats(store.root / "heartbeats", store.aside, clock)


def looks(heartbeats, clock, seconds, every):
    """Look for so long; return what the last look says."""
    said = heartbeats.still("run", 1)
    for _ in range(round(seconds / every)):
        clock.now += every
        said = heartbeats.still("run", 1)
    return said


def test_a_counter_that_moves_is_never_still(heartbeats, clock):
    for count in range(100):
        heartbeats.write("run", 1, Beat(count=count, step=0, ttl=10))
        clock.now += 9.0
        assert heartbeats.still("run", 1) is None


@pytest.mark.parametrize("beat", [None, Beat(count=3, step=7, ttl=10)])
def test_a_counter_is_still_after_its_own_ttl_and_not_before(heartbeats, clock, beat):
    ttl = TTL if beat is None else beat.ttl
    if beat is not None:
        heartbeats.write("run", 1, beat)
    assert looks(heartbeats, clock, ttl - 1, 0.5) is None
    assert looks(heartbeats, clock, 1, 0.5) == pytest.approx(ttl)


def test_time_asleep_is_not_time_in_which_an_observer_saw_a_counter_stand(heartbeats, clock):
    heartbeats.write("run", 1, Beat(count=1, step=0, ttl=10))
    heartbeats.still("run", 1)
    for look in range(1, LOOKS):
        clock.now += 86_400.0
        assert heartbeats.still("run", 1) is None, look
    clock.now += 86_400.0
    assert heartbeats.still("run", 1) == pytest.approx(10)


def test_one_beat_gives_the_whole_ttl_again(heartbeats, clock):
    heartbeats.write("run", 1, Beat(count=1, step=0, ttl=10))
    assert looks(heartbeats, clock, 9, 0.5) is None
    heartbeats.write("run", 1, Beat(count=2, step=0, ttl=10))
    assert looks(heartbeats, clock, 9.5, 0.5) is None
    assert looks(heartbeats, clock, 1, 0.5) is not None


def test_a_later_generation_has_a_ttl_of_its_own(heartbeats, clock):
    heartbeats.write("run", 1, Beat(count=1, step=0, ttl=10))
    assert looks(heartbeats, clock, 11, 0.5) is not None
    heartbeats.write("run", 2, Beat(count=1, step=0, ttl=10))
    assert heartbeats.still("run", 2) is None


@pytest.mark.parametrize("days", [-1, 1])
def test_no_calendar_and_no_time_of_a_file_has_a_say(heartbeats, clock, store, days, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1.7e9 + days * 86_400)
    path = store.root / "heartbeats" / "run.1"
    for count in range(20):
        heartbeats.write("run", 1, Beat(count=count, step=0, ttl=10))
        os.utime(path, (1.7e9 - days * 86_400 * count,) * 2)
        clock.now += 4.0
        assert heartbeats.still("run", 1) is None
    assert looks(heartbeats, clock, 10, 0.5) is not None


@pytest.mark.parametrize("content", [b"", b"{", b'{"count": "x"}', b"\xff"])
def test_a_damaged_heartbeat_stands_still(heartbeats, clock, store, content):
    (store.root / "heartbeats" / "run.1").write_bytes(content)
    assert looks(heartbeats, clock, TTL, 1) == pytest.approx(TTL)


def test_a_heart_beats_and_leaves_nothing_behind(store):
    store.register(RUN)
    attempt = store.claim(RUN.run_id)
    beats = []
    with store.heart(attempt, ttl=0.12) as heart:
        heart.at(7, slow=False)
        while len(beats) < 5:
            beat = store.heartbeats.latest(RUN.run_id, 1)
            if beat not in beats:
                beats.append(beat)
        assert not heart.lost
    assert beats[-1] == Beat(count=beats[-1].count, step=7, ttl=0.12)
    counts = [each.count for each in beats]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert list((store.root / "heartbeats").iterdir()) == []
    assert [each.name for each in store.aside.iterdir() if each.name != ".writable"] == []


def test_a_store_from_before_there_were_heartbeats_gets_them(store):
    (store.root / "heartbeats").rmdir()
    store.heartbeats.write("run", 1, Beat(count=1, step=0))
    assert store.heartbeats.latest("run", 1) == Beat(count=1, step=0)


def heart_alone(store, hung, **settings):
    """A heart that beats a hundred times a second."""
    return Heart(store.heartbeats, "run", 1, lambda: True, ttl=0.12, hung=hung, **settings)


def test_a_main_thread_without_a_step_is_reported_and_one_with_steps_is_not(store):
    said = []
    with heart_alone(store, lambda *what: said.append(what), hang_after=0.2) as heart:
        for step in range(40):
            heart.at(step, slow=False)
            time.sleep(0.02)
        assert said == []
        while not said:
            time.sleep(0.01)
    step, seconds = said[0]
    assert step == 39
    assert seconds > 0.2


def test_a_first_step_and_an_evaluation_may_take_longer(store):
    said = []
    with heart_alone(store, lambda *what: said.append(what), hang_after=0.15) as heart:
        time.sleep(0.3)
        assert said == []
        heart.at(1, slow=True)
        time.sleep(0.3)
        assert said == []
        while not said:
            time.sleep(0.01)
    assert said[0][1] > 0.15 * SLOW


def test_a_heart_that_may_wait_for_ever_does(store):
    said = []
    with heart_alone(store, lambda *what: said.append(what), hang_after=0.0) as heart:
        heart.at(1, slow=False)
        time.sleep(0.3)
    assert said == []


def wait_until_free(store, run_id):
    while store.status(run_id).state == "running":
        time.sleep(0.05)


def held_by_another(spawn, store, *, where=ELSEWHERE, ttl=SHORT):
    store.register(RUN)
    child = spawn(where + HOLD, store.root, RUN.run_id, ttl)
    assert child.hear() == "holds"
    return child


def test_a_process_of_another_host_that_beats_keeps_its_run(spawn, store):
    held_by_another(spawn, store, ttl=1.0)
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        assert store.status(RUN.run_id).state == "running"
        with pytest.raises(BusyError, match="on elsewhere is working on it"):
            store.claim(RUN.run_id)
        time.sleep(0.02)


def test_a_process_of_another_host_that_died_loses_its_run_after_its_ttl(spawn, store):
    child = held_by_another(spawn, store)
    child.kill()
    began = time.monotonic()
    wait_until_free(store, RUN.run_id)
    assert time.monotonic() - began >= SHORT
    status = store.status(RUN.run_id)
    assert status.state == "interrupted"
    assert status.reason is not None
    assert status.reason.startswith("lost: its heartbeat stood still for 0.")
    assert store.claim(RUN.run_id).generation == 2


def test_whoever_waits_for_a_lost_host_gets_its_run(spawn, store):
    child = held_by_another(spawn, store)
    child.kill()
    said = []
    store.watch(RUN.run_id, said.append)
    assert store.claim(RUN.run_id).generation == 2
    assert said == [
        f"run {RUN.run_id}: process {child.pid} on elsewhere was working on it; waiting for its "
        "heartbeat, at most 0 s"
    ]


@pytest.mark.parametrize("where", ["", ELSEWHERE], ids=["here", "elsewhere"])
def test_whoever_waits_for_a_living_process_is_told_soon(spawn, store, where):
    held_by_another(spawn, store, where=where, ttl=6)
    said = []
    store.watch(RUN.run_id, said.append)
    with pytest.raises(BusyError):
        store.claim(RUN.run_id)
    assert bool(said) == bool(where)


@pytest.mark.parametrize("where", ["", ELSEWHERE], ids=["here", "elsewhere"])
def test_a_stopped_process_loses_its_run_and_knows_it_when_it_wakes(spawn, store, where):
    child = held_by_another(spawn, store, where=where)
    os.kill(child.pid, signal.SIGSTOP)
    wait_until_free(store, RUN.run_id)
    assert store.claim(RUN.run_id).generation == 2
    child.say()  # the first thing that it does when it wakes is to look at its heart
    os.kill(child.pid, signal.SIGCONT)
    assert child.hear() == "lost"


def test_a_process_that_slept_for_less_than_its_ttl_keeps_its_run(spawn, store):
    child = held_by_another(spawn, store, ttl=20)
    os.kill(child.pid, signal.SIGSTOP)
    assert store.status(RUN.run_id).state == "running"
    os.kill(child.pid, signal.SIGCONT)
    child.say()
    assert child.hear() == "has it"


def test_what_is_on_record_as_lost_is_lost_though_nobody_has_claimed_it(spawn, store):
    child = held_by_another(spawn, store)
    store.folder(RUN.run_id).attempt(1).end("interrupted", "lost: for a test")
    time.sleep(SHORT)
    child.say()
    assert child.hear() == "lost"


def test_an_observer_that_has_not_looked_may_not_claim(spawn, store):
    child = held_by_another(spawn, store)
    child.kill()
    wait_until_free(store, RUN.run_id)
    with pytest.raises(BusyError):
        Store(store.root).claim(RUN.run_id)


def test_a_process_in_another_container_is_not_taken_for_dead(spawn, store):
    other = "from descentlab.runs import claims\nclaims._namespace = lambda: 'pid:[1]'\n"
    child = held_by_another(spawn, store, where=other)
    child.kill()
    assert store.status(RUN.run_id).state == "running"
    wait_until_free(store, RUN.run_id)
    assert store.claim(RUN.run_id).generation == 2


def test_a_claim_carries_the_name_of_its_job(store):
    store.register(RUN)
    store.claim(RUN.run_id, job="job 7")
    said = json.loads((store.root / "claims" / f"{RUN.run_id}.1").read_text())
    assert said["job"] == "job 7"
