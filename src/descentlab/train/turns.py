"""Times several ways to train side by side: each in a process of its own, taking turns.

While one takes its turn the others wait, so that what else the machine does falls on all of
them. Compare the times of one round with each other, and take medians over rounds.
"""

from __future__ import annotations

import multiprocessing
import signal
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

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
    try:
        for name, contender in contenders.items():
            tell(f"starting {name}")
            running[name] = _Process(contender, device)
            running[name].start(turn_seconds)
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for process in _rotated(list(running.values()), number):
                process.turn()
        return {name: process.result() for name, process in running.items()}
    finally:
        for process in running.values():
            process.end()


def _rotated(processes: list[_Process], number: int) -> list[_Process]:
    """The same, beginning with another one in each round."""
    first = number % len(processes) if processes else 0
    return processes[first:] + processes[:first]


class _Process:
    """A contender at work, seen from outside; once it has failed, it is asked for nothing."""

    def __init__(self, contender: Contender, device: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        # Not a daemon: torch's compiler has processes of its own.
        self._process = context.Process(target=_compete, args=(theirs, contender, device))
        self._process.start()
        theirs.close()
        self._failure: str | None = None
        self._start = 0.0
        self._steps = 1
        self._seconds: list[float] = []

    def start(self, turn_seconds: float) -> None:
        """Wait for its first steps, and choose how many a turn has."""
        self._start = self._answer()
        once = self._ask(WARM_UP) / WARM_UP
        self._steps = max(1, round(turn_seconds / once)) if once else 1

    def turn(self) -> None:
        self._seconds.append(self._ask(self._steps) / self._steps)

    def result(self) -> Times | str:
        memory = int(self._ask(0))
        if self._failure is not None:
            return self._failure
        return Times(start=self._start, steps=tuple(self._seconds), peak_memory=memory)

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._ours.close()

    def _ask(self, steps: int) -> float:
        """Its seconds for so many steps, or its memory for none; 0 once it has failed."""
        if self._failure is None:
            with suppress(OSError):  # its death is found when it does not answer
                self._ours.send(steps)
        return self._answer()

    def _answer(self) -> float:
        if self._failure is not None:
            return 0.0
        try:
            answer: float | str = self._ours.recv()
        except (OSError, EOFError):
            answer = "its process died"
        if isinstance(answer, str):
            self._failure = answer
            return 0.0
        return answer


class _Over(Exception):
    """The last turn is over."""


def _compete(connection: Connection, contender: Contender, device: str) -> None:
    """Be a contender: answer each number of steps with the seconds that they took."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks ends it
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

    with suppress(EOFError, ConnectionError):  # nobody waits any more
        try:
            contender(turn)
        except _Over:
            connection.send(peak_memory(device))
        except Exception as error:
            connection.send(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
