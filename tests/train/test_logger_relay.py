"""A logger that fails, hangs or falls behind is let go, and nobody but it notices."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from descentlab.errors import BusyError, Paused, Preempted
from descentlab.runs.store import Result
from descentlab.train.loggers import relay as relay_module
from descentlab.train.loggers.base import Ending, Logger
from descentlab.train.loggers.relay import Relay

OK = Result(outcome="ok", generation=1, steps=3, tokens=48, validation_loss=2.0)


class Listening(Logger):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, Mapping[str, float]]] = []
        self.ending: Ending | None = None
        self.threads = {threading.current_thread()}

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.rows.append((step, numbers))
        self.threads.add(threading.current_thread())

    def end(self, ending: Ending) -> None:
        self.ending = ending
        self.threads.add(threading.current_thread())


class Failing(Listening):
    """Raises at one place."""

    def __init__(self, place: str, error: BaseException) -> None:
        super().__init__()
        self.place, self.error = place, error
        self._at("made")

    def _at(self, place: str) -> None:
        if place == self.place:
            raise self.error

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self._at("told")
        super().log(step, numbers)

    def end(self, ending: Ending) -> None:
        self._at("ended")
        super().end(ending)


def tell(relay: Relay, steps: int = 3) -> None:
    for step in range(1, steps + 1):
        relay.tell("metrics", {"step": step, "loss": 1.0 / step, "batch": "5c1f"})


def test_records_and_the_ending_come_in_order_in_one_thread_that_is_not_the_runs() -> None:
    made: list[Listening] = []

    def make() -> Listening:
        made.append(Listening())
        return made[0]

    with Relay(pytest.fail) as relay:
        relay.attach("ours", make)
        tell(relay)
        relay.tell("timing", {"step": 3, "seconds": 0.5})
        relay.finished(OK)
    (logger,) = made
    assert logger.rows == [
        (1, {"loss": 1.0}),
        (2, {"loss": 0.5}),
        (3, {"loss": 1.0 / 3}),
        (3, {"timing/seconds": 0.5}),
    ]
    assert logger.ending == Ending(outcome="ok")
    assert len(logger.threads) == 1
    assert threading.main_thread() not in logger.threads


@pytest.mark.parametrize("place", ["made", "told", "ended"])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt("asked")])
def test_a_logger_that_fails_is_told_of_once_and_the_others_go_on(
    place: str, error: BaseException
) -> None:
    healthy, said = Listening(), []
    with Relay(said.append) as relay:
        relay.attach("bad", lambda: Failing(place, error))
        relay.attach("good", lambda: healthy)
        tell(relay, steps=50)
        relay.finished(OK)
    assert len(said) == 1
    assert said[0].startswith(f"bad logger: {type(error).__name__}: {error}; it is off")
    assert [step for step, _ in healthy.rows] == list(range(1, 51))
    assert healthy.ending == Ending(outcome="ok")


@pytest.fixture
def hanging() -> Any:
    """Makes loggers that hang at one place until the test is over."""
    over = threading.Event()

    class Hanging(Listening):
        def __init__(self, place: str) -> None:
            super().__init__()
            self.place = place

        def log(self, step: int, numbers: Mapping[str, float]) -> None:
            if self.place == "told":
                over.wait()

        def end(self, ending: Ending) -> None:
            if self.place == "ended":
                over.wait()

    yield Hanging
    over.set()


def test_a_logger_that_falls_behind_is_let_go_and_its_queue_stays_bounded(
    hanging: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "WAITING", 5)
    said: list[str] = []
    with Relay(said.append) as relay:
        relay.attach("slow", lambda: hanging("told"))
        tell(relay, steps=100)
        relay.finished(OK)
        assert said == ["slow logger: 5 records behind; it is off, and the run goes on"]


@pytest.mark.parametrize("place", ["told", "ended"])
def test_a_logger_that_never_ends_is_left_after_a_while(
    hanging: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "PATIENCE", 0.05)
    said: list[str] = []
    with Relay(said.append) as relay:
        relay.attach("stuck", lambda: hanging(place))
        tell(relay)
        relay.finished(OK)
    assert said == [
        "stuck logger: not done 0.05 s after the run ended; it is off, and the run goes on"
    ]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Paused("paused after step 3"), Ending(outcome="paused", reason="paused after step 3")),
        (Preempted("saved", 15), Ending(outcome="interrupted", reason="saved")),
        (KeyboardInterrupt(), Ending(outcome="interrupted", reason="stopped by Ctrl-C")),
        (BusyError("taken over"), Ending(outcome="interrupted", reason="taken over")),
        (RuntimeError("planted"), Ending(outcome="failed", reason="RuntimeError: planted")),
    ],
)
def test_how_a_run_ended_is_passed_on(error: BaseException, expected: Ending) -> None:
    logger = Listening()
    with suppress(type(error)), Relay(pytest.fail) as relay:
        relay.attach("ours", lambda: logger)
        raise error
    assert logger.ending == expected


def test_a_result_stands_though_a_signal_came_after_it() -> None:
    logger = Listening()
    diverged = Result(
        outcome="diverged", generation=1, steps=2, tokens=32, diverged_at=3, reason="loss is nan"
    )
    with suppress(Preempted), Relay(pytest.fail) as relay:
        relay.attach("ours", lambda: logger)
        relay.finished(diverged)
        raise Preempted("finished before stopping", 15)
    assert logger.ending == Ending(outcome="diverged", reason="loss is nan")
