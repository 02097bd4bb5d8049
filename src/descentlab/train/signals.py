"""Signals that stop a run: noted at once, acted upon between two steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from descentlab.errors import Interrupted, Preempted

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Ctrl-C, and what schedulers send before they take a machine away."""


class Stop:
    """Whether a signal has asked to stop."""

    def __init__(self) -> None:
        self.received: int | None = None

    def stopped(self, what: str) -> Interrupted:
        """The exception that ends the run: Ctrl-C is the user's, all others may requeue it."""
        assert self.received is not None
        kind = Interrupted if self.received == signal.SIGINT else Preempted
        return kind(what, self.received)


@contextmanager
def stop_between_steps() -> Iterator[Stop]:
    """Note the first signal of ``STOPPING``; a second does what it would do without this.

    One that is ignored stays so.
    """
    stop = Stop()
    handlers = {int(number): signal.getsignal(number) for number in STOPPING}
    caught = [number for number, handler in handlers.items() if handler != signal.SIG_IGN]

    def note(number: int, frame: FrameType | None) -> None:
        stop.received = number
        for each in caught:
            signal.signal(each, handlers[each])

    for number in caught:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number in caught:
            signal.signal(number, handlers[number])
