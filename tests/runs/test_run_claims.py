from __future__ import annotations

import json
import os
import platform
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from descentlab.errors import BusyError
from descentlab.runs.claims import Claims, this_process

CLAIM = """
claims = Claims(Path(sys.argv[1]), Path(sys.argv[1]).parent / "tmp")
print(claims.claim("run"))
input()
"""
HERE = platform.node()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "claims").mkdir()
    return tmp_path / "claims"


@pytest.fixture
def claims(folder: Path) -> Claims:
    return Claims(folder, folder.parent / "tmp")


def held_by(folder: Path, **changes: object) -> None:
    """Make the first claim in the name of this process, but for some changes."""
    holder = {**msgspec.to_builtins(this_process()), **changes}
    (folder / "run.1").write_text(json.dumps(holder))


def test_the_first_claim_is_generation_1(claims):
    assert (claims.generation("run"), claims.holder("run", 0)) == (0, None)
    assert claims.claim("run") == 1
    assert claims.generation("run") == 1


def test_a_claim_names_host_process_and_start(claims, folder):
    claims.claim("run")
    said = json.loads((folder / "run.1").read_text())
    assert (said["host"], said["pid"]) == (HERE, os.getpid())
    assert claims.holder("run", claims.generation("run")) == this_process()


def test_runs_are_claimed_one_by_one(claims):
    claims.claim("run")
    assert claims.claim("run2") == 1


def test_of_eight_processes_exactly_one_wins(race, folder):
    code = """
    claims = Claims(Path(sys.argv[2]), Path(sys.argv[2]).parent / "tmp")
    try:
        print("won", claims.claim("run"))
    except BusyError as error:
        print(f"{error.exit_code}: {error}")
    """
    said = {racer.pid: racer.hear() for racer in race(8, code, folder)}
    (winner,) = [pid for pid, line in said.items() if line == "won 1"]
    del said[winner]
    busy = f"6: run run: process {winner} on {HERE} is working on it; wait for it to end or stop"
    assert [line.startswith(busy) for line in said.values()] == [True] * 7
    assert os.listdir(folder) == ["run.1"]


def test_a_living_process_keeps_its_run(spawn, claims, folder):
    child = spawn(CLAIM, folder)
    assert child.hear() == "1"
    with pytest.raises(BusyError, match=f"process {child.pid} on {HERE} is working on it"):
        claims.claim("run")


def test_a_killed_process_loses_its_run(spawn, claims, folder):
    child = spawn(CLAIM, folder)
    assert child.hear() == "1"
    child.kill()
    assert claims.claim("run") == 2
    assert claims.holder("run", claims.generation("run")) == this_process()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the dead from zombies here")
def test_a_zombie_loses_its_run(spawn, claims, folder):
    child = spawn(CLAIM, folder)
    assert child.hear() == "1"
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert claims.claim("run") == 2


@pytest.mark.parametrize("change", [{"started": "1"}, {"boot": "before"}, {"pid": 2**22 + 1}])
def test_another_process_is_not_taken_for_the_owner(claims, folder, change):
    held_by(folder, **change)
    assert claims.claim("run") == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count starts in seconds")
def test_processes_are_told_apart_by_when_they_started(spawn, folder):
    for generation in ("1", "2"):
        child = spawn(CLAIM, folder)
        assert child.hear() == generation
        child.kill()
    first, second = (json.loads((folder / f"run.{n}").read_text()) for n in (1, 2))
    assert int(first["started"]) < int(second["started"])
    assert first["boot"] == second["boot"] != ""


def test_a_process_on_another_host_is_taken_to_live(claims, folder):
    held_by(folder, host="elsewhere", pid=2**22 + 1)
    with pytest.raises(BusyError, match=f"process {2**22 + 1} on elsewhere"):
        claims.claim("run")


def test_a_holder_is_alive_until_it_is_killed(spawn, claims, folder):
    child = spawn(CLAIM, folder)
    assert child.hear() == "1"
    holder = claims.holder("run", 1)
    assert holder is not None
    assert holder.alive()
    child.kill()
    assert not holder.alive()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"host": "\xff"}', b"[1]"])
def test_a_damaged_claim_is_taken_over_by_the_next_generation(claims, folder, content):
    (folder / "run.1").write_bytes(content)
    assert claims.claim("run") == 2
    assert claims.holder("run", 2) == this_process()


def test_a_lost_claim_does_not_bring_back_a_generation_that_was_tried(claims):
    assert claims.claim("run", tried=4) == 5
    assert claims.generation("run", tried=4) == 5


def test_whoever_was_slower_is_told_who_was_quicker(claims, folder, monkeypatch):
    def publish(path: Path, content: bytes, **settings: object) -> bool:
        held_by(folder, pid=4711)
        return False

    monkeypatch.setattr("descentlab.runs.claims.publish", publish)
    with pytest.raises(BusyError, match="run run: process 4711 on"):
        claims.claim("run")
