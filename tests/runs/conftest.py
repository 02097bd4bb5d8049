from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from descentlab.runs.store import Store

IMPORTS = """
import sys
from pathlib import Path
from descentlab.errors import BusyError
from descentlab.runs.claims import Claims
from descentlab.runs.records import RecordWriter
from descentlab.storage import publish
from descentlab.runs.store import Store
"""


class Child:
    """Another process that runs some code and talks in lines."""

    def __init__(self, code: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", IMPORTS + dedent(code), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.pid = self.process.pid
        self._ears, self._mouth = self.process.stdin, self.process.stdout

    def say(self) -> None:
        self._ears.write("\n")
        self._ears.flush()

    def hear(self) -> str:
        return self._mouth.readline().rstrip("\n")

    def hear_the_rest(self) -> str:
        return self._mouth.read()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def spawn() -> Iterator[Callable[..., Child]]:
    """Start processes that end with the test."""
    children: list[Child] = []

    def start(code: str, *arguments: object) -> Child:
        children.append(Child(code, *arguments))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        with child.process:
            pass


@pytest.fixture
def race(spawn: Callable[..., Child]) -> Callable[..., list[Child]]:
    """Start processes that begin the same code at the same moment, and live on after it."""

    def start(count: int, code: str, *arguments: object) -> list[Child]:
        whole = f"print('ready')\ninput()\n{dedent(code)}\ninput()\n"
        racers = [spawn(whole, number, *arguments) for number in range(count)]
        assert [racer.hear() for racer in racers] == ["ready"] * count
        for racer in racers:
            racer.say()
        return racers

    return start


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", create=True)


@pytest.fixture
def each_flipped_bit() -> Callable[[Path], Iterator[int]]:
    """Flip one bit of a file after another, and say in which byte it lies."""

    def flip(path: Path) -> Iterator[int]:
        with path.open("r+b", buffering=0) as file:
            for place, byte in enumerate(path.read_bytes()):
                for changed in (*(byte ^ 1 << bit for bit in range(8)), byte):
                    file.seek(place)
                    file.write(bytes([changed]))
                    if changed != byte:
                        yield place

    return flip
