"""Times several ways to train side by side: each in a process of its own, taking turns.

While one takes its turn the others wait, so that what else the machine does falls on all of
them. Compare the times of one round with each other, and take medians over rounds.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from descentlab.train.memory import peak_memory

Contender = Callable[[Callable[[], None]], None]
"""Trains without end and calls its argument before each step; it can be pickled."""
WARM_UP = 2
"""Steps after the first that are not timed."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """What one contender took."""

    start: float
    """Seconds to build, compile and take the first step."""
    steps: tuple[float, ...]
    """Seconds per step, by round."""
    peak_memory: int
    """Bytes."""

    @property
    def step(self) -> float:
        """The median over rounds."""
        return statistics.median(self.steps)


def take_turns(
    contenders: Mapping[str, Contender],
    *,
    device: str,
    rounds: int,
    turn_seconds: float = 1.0,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Times | str]:
    """Let every contender train for about ``turn_seconds`` in each round.

    On a GPU each takes all its turns before the next one starts, so that one model at a time
    has its memory.

    Args:
        contenders: by name.
        device: the type of what they train on, as torch names it.
        rounds: turns of each.
        turn_seconds: a turn has as many steps as this lasts, at least one.
        tell: told what is happening.

    Returns:
        The times of each, in the order given; the reason where one failed.
    """
    groups = [contenders]
    if device == "cuda":
        groups = [{name: contender} for name, contender in contenders.items()]
    found: dict[str, Times | str] = {}
    for group in groups:
        found |= _together(group, device, rounds, turn_seconds, tell)
    return found


def _together(
    contenders: Mapping[str, Contender],
    device: str,
    rounds: int,
    turn_seconds: float,
    tell: Callable[[str], None],
) -> dict[str, Times | str]:
    running: dict[str, _Process] = {}
    failed: dict[str, Times | str] = {}
    try:
        for name, contender in contenders.items():
            tell(f"starting {name}")
            process = _Process(contender, device)
            running[name] = process
            if (reason := process.start(turn_seconds)) is not None:
                failed[name] = reason
                running.pop(name).end()
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for process in _rotated(list(running.values()), number):
                process.turn()
        done = {name: process.times() for name, process in running.items()}
    finally:
        for process in running.values():
            process.end()
    return {name: failed.get(name) or done[name] for name in contenders}


def _rotated(processes: list[_Process], number: int) -> list[_Process]:
    """The same, beginning with another one in each round."""
    first = number % len(processes) if processes else 0
    return processes[first:] + processes[:first]


class _Process:
    """A contender at work, seen from outside."""

    def __init__(self, contender: Contender, device: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_compete, args=(theirs, contender, device), daemon=True
        )
        self._process.start()
        theirs.close()
        self._steps = 1
        self._start = 0.0
        self._seconds: list[float] = []

    def start(self, turn_seconds: float) -> str | None:
        """Wait for its first steps; say why if they fail."""
        try:
            self._start = self._answer()
            self._ours.send(WARM_UP)
            once = self._answer() / WARM_UP
        except (RuntimeError, EOFError) as error:
            return str(error) or "its process died"
        self._steps = max(1, round(turn_seconds / once))
        return None

    def turn(self) -> None:
        self._ours.send(self._steps)
        self._seconds.append(self._answer() / self._steps)

    def times(self) -> Times:
        self._ours.send(0)
        return Times(start=self._start, steps=tuple(self._seconds), peak_memory=int(self._answer()))

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._ours.close()

    def _answer(self) -> float:
        answer: Any = self._ours.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer


class _Over(Exception):
    """The last turn is over."""


def _compete(connection: Connection, contender: Contender, device: str) -> None:
    """Be a contender: answer each number of steps with the seconds that they took."""
    left, began = 1, time.perf_counter()

    def turn() -> None:
        nonlocal left, began
        if left == 0:
            if device == "cuda":
                import torch

                torch.cuda.synchronize()
            connection.send(time.perf_counter() - began)
            left = connection.recv()
            if left == 0:
                raise _Over
            began = time.perf_counter()
        left -= 1

    with suppress(EOFError):  # nobody waits any more
        try:
            contender(turn)
        except _Over:
            connection.send(peak_memory(device))
        except Exception as error:
            connection.send(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
