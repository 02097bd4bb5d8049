"""Passes records on to loggers without ever making a run wait, fail or change.

Each logger works in a thread of its own, behind a queue that the run only ever puts into.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from descentlab.errors import BusyError, Interrupted, Paused
from descentlab.runs.records import Value
from descentlab.runs.store import Result
from descentlab.train.loggers.base import Ending, Kind, Logger, numbers_of

WAITING = 100_000
"""Records that may wait for a logger, some 40 MB; one that is further behind is let go."""
PATIENCE = 30.0
"""Seconds that a process with a result waits for a logger to be done with it."""
PATIENCE_STOPPED = 10.0
"""The same for a run that was stopped: whoever asked for that may not wait long."""

Make = Callable[[], Logger]
Record = tuple[Kind, Mapping[str, Value]]


class Relay:
    """The loggers of one attempt, none at first; told of its end when the block ends.

    Args:
        warn: told once, in the thread that trains, why a logger was let go.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._lines: list[_Line] = []
        self._warn = warn
        self._result: Result | None = None

    def attach(self, name: str, make: Make) -> None:
        """Add a logger, which is made in its own thread."""
        self._lines.append(_Line(name, make))

    def tell(self, kind: Kind, record: Mapping[str, Value]) -> None:
        """Pass a record on, which nobody may change afterwards."""
        for line in self._lines:
            line.put((kind, record))
        self._say()

    def finished(self, result: Result) -> None:
        """The run has this result, however the block ends."""
        self._result = result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ending = ending_of(self._result, error)
        patience = PATIENCE_STOPPED if isinstance(error, Interrupted) else PATIENCE
        for line in self._lines:
            line.put(ending)
        for line in self._lines:
            line.wait(patience)
        self._say()

    def _say(self) -> None:
        for line in self._lines:
            if line.trouble is not None and not line.said:
                line.said = True
                self._warn(f"{line.name} logger: {line.trouble}; it is off, and the run goes on")


def ending_of(result: Result | None, error: BaseException | None) -> Ending:
    """How an attempt ended: with a result, or else with an error."""
    if result is not None:
        return Ending(outcome=result.outcome, reason=result.reason)
    if isinstance(error, Paused):
        return Ending(outcome="paused", reason=str(error))
    if isinstance(error, Interrupted | KeyboardInterrupt | BusyError):
        return Ending(outcome="interrupted", reason=str(error) or "stopped by Ctrl-C")
    return Ending(outcome="failed", reason=f"{type(error).__name__}: {error}")


class _Line:
    """One logger, and what waits for it."""

    def __init__(self, name: str, make: Make) -> None:
        self.name = name
        self.trouble: str | None = None
        """Why it was let go, if it was."""
        self.said = False
        self._make = make
        self._waiting: queue.Queue[Record | Ending] = queue.Queue(WAITING)
        # A daemon: a logger that never returns must not keep the process.
        self._thread = threading.Thread(target=self._pass_on, name=f"{name} logger", daemon=True)
        self._thread.start()

    def put(self, told: Record | Ending) -> None:
        if self.trouble is None:
            try:
                self._waiting.put_nowait(told)
            except queue.Full:
                self.trouble = f"{WAITING:,} records behind"

    def wait(self, seconds: float) -> None:
        """Wait until the logger has ended."""
        if self.trouble is None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                self.trouble = f"not done {seconds:g} s after the run ended"

    def _pass_on(self) -> None:
        try:
            logger = self._make()
            while not isinstance(told := self._waiting.get(), Ending):
                if self.trouble is not None:
                    return
                kind, record = told
                logger.log(int(record["step"]), numbers_of(kind, record))
            logger.end(told)
        except BaseException as error:  # W&B, for one, raises KeyboardInterrupt of its own
            self.trouble = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
