"""Pickles that would run, rewrite, exhaust or confuse are refused in one sentence."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from oracles.pickles import bombs, frame, hostile

from descentlab.analysis.imports import limited_process
from descentlab.analysis.imports.gate import read_table
from descentlab.analysis.imports.limited_process import answer, read_pickle
from descentlab.errors import DataError

NAMES = sorted(hostile(Path("marker")))

PART = "is part of another"
REASONS = {
    "a list in itself": "holds itself",
    "a dict in itself": "holds itself",
    "a list in itself, further down": PART,
    "a call in its state": PART,
    "a state that is set later": PART,
    "a list that grows later": PART,
    "a state that is set twice": "rewrites a value",
    "rewrites a default argument": "no such thing",
    "rewrites a type's attribute": "no such thing",
    "calls what it made": "calls something that is no name",
    "a key twice": "a key twice",
    "a key that is no text": "a key twice, or one that is no text",
    "a key without a value": "a key without a value",
    "a value from below the mark": "too few values",
    "a value that is not there": "too few values",
    "a place that was never filled": "has not put aside",
    "a place that is filled twice": "in one place",
    "two values": "no single value",
    "a mark left": "no single value",
    "two pickles": "after its end",
    "cut off": "cut off",
    "tuples that double": "nested more than",
    "nested tuples": "nested more than",
    "nested lists": "nested more than",
    "marks": "more than 200,000 instructions",
    "many values": "more than 200,000 instructions",
    "many rows": "out of range",
    "one array in all cells": "more than 2,000,000 values",
    "an integer of 255 bytes": "more than 64 bits",
}
"""Which defence must hold, where another one would refuse the pickle later on."""


@pytest.mark.parametrize("name", NAMES)
def test_each_is_refused(name, tmp_path):
    marker = tmp_path / "marker"
    found = answer(hostile(marker)[name], read_pickle)
    assert found.table is None
    assert found.refused
    assert "\n" not in found.refused
    assert REASONS.get(name, "") in found.refused
    assert not marker.exists()


def test_every_reason_is_of_a_pickle():
    assert REASONS.keys() <= {*NAMES}


@pytest.mark.parametrize(
    "name", [f"runs a command, protocol {protocol}" for protocol in range(6)] + ["evaluates",
    "runs a command in a cell", "evaluates in a cell", "instantiates", "makes an object"]
)  # fmt: skip
def test_they_are_hostile_indeed(name, tmp_path):
    marker = tmp_path / "marker"
    try:
        pickle.loads(hostile(marker)[name])
    except Exception as error:  # it comes after the harm
        print(error)
    assert marker.exists()


def test_the_gate_tells_the_file_and_the_reason(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(hostile(tmp_path / "marker")["runs a command, protocol 4"])
    with pytest.raises(DataError) as caught:
        read_table(path, "pickle")
    assert str(caught.value) == (
        f"{path}: not imported: it names 'posix.system', which no table of numbers needs"
    )
    assert caught.value.exit_code == 3
    assert not (tmp_path / "marker").exists()


MEASURED = """
import json, resource, sys
from pathlib import Path
from descentlab.analysis.imports.gate import read_table
from descentlab.errors import DataError
from descentlab.train.memory import peak_memory
refused = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_table(path, "pickle")
    except DataError:
        refused += 1
own = peak_memory("cpu") // 1024  # getrusage counts the process that started it as well
print(json.dumps([refused, own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


def test_bombs_take_little_memory(tmp_path):
    chosen = {name: raw for name, raw in bombs().items() if len(raw) > 10_000}
    for number, raw in enumerate(chosen.values()):
        (tmp_path / f"{number}.pkl").write_bytes(raw)
    command = [sys.executable, "-c", MEASURED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    refused, parent, child = json.loads(done.stdout)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    print(f"parent {parent * unit:,} bytes, reader {child * unit:,} bytes at most")
    assert refused == len(chosen) > 3
    assert max(parent, child) * unit < 256 * 2**20


def limited(code: str) -> int:
    """The exit code of a process that limits itself and then does something else."""
    setup = "import os, socket, descentlab.analysis.imports.limited_process as limited; "
    setup += "limited.SECONDS = 1; limited.limit()\n"
    return subprocess.run(
        [sys.executable, "-c", setup + code], stderr=subprocess.DEVNULL
    ).returncode


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/hostname')",
        "import wave",
        "eval('1')",
        "os.system('true')",
        "os.listdir('/')",
        "socket.socket()",
        "os.posix_spawn('/bin/true', ['true'], {})",
    ],
)
def test_a_reader_that_tries_something_else_ends_at_once(code):
    assert limited(code + "\nos._exit(0)") == limited_process.ATTEMPTED


def test_a_reader_has_limits_of_memory_and_time():
    assert limited("os._exit(0)") == 0
    taken = "try:\n    bytearray(limited.MEMORY + 2**22)\nexcept MemoryError:\n    os._exit(5)\n"
    assert limited(taken) == (0 if sys.platform == "darwin" else 5)
    assert limited("while True: pass") in (-24, -9)  # SIGXCPU, or SIGKILL at the hard limit


def test_the_reader_gets_nothing_of_the_environment(tmp_path, monkeypatch):
    from descentlab.analysis.imports.gate import _environment

    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")  # Python would not start with it
    assert "secret" not in _environment().values()
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(frame(2), 4))
    assert read_table(path, "pickle").table.rows == 2


def test_a_reader_that_ends_without_an_answer_is_a_sentence(tmp_path, monkeypatch):
    from descentlab.analysis.imports import gate

    path = tmp_path / "a.pkl"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="ended with code"):
        read_table(path, "nonsense")  # pyright: ignore[reportArgumentType] as a bug would
    monkeypatch.setattr(gate, "WALL_SECONDS", 0.0)
    with pytest.raises(DataError, match="takes more than 5 s to read"):
        read_table(path, "pickle")


def test_files_that_are_none(tmp_path):
    for path in (tmp_path / "missing.pkl", tmp_path, Path("/dev/zero")):
        with pytest.raises(DataError, match="is no file"):
            read_table(path, "pickle")
    huge = tmp_path / "huge.pkl"
    with huge.open("wb") as file:
        file.truncate(limited_process.LARGEST_FILE + 1)
    with pytest.raises(DataError, match="larger than 32 MiB"):
        read_table(huge, "pickle")
