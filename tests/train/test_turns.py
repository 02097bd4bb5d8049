"""Who trains when, and what becomes of contenders that fail."""

from __future__ import annotations

import multiprocessing
import re
import signal
from pathlib import Path

import pytest
from oracles.toy_contenders import Counting

from descentlab.train.turns import Times, _compete, take_turns


def test_turns_go_round_and_steps_are_counted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    told: list[str] = []
    times = take_turns(
        {"a": Counting("a", log), "b": Counting("b", log)},
        device="cpu",
        rounds=3,
        turn_seconds=0.0,  # so that a turn is one step
        tell=told.append,
    )
    # Each starts alone, with three steps; then one step in each round, the first rotating.
    assert log.read_text() == "aaabbb" + "ab" + "ba" + "ab"
    assert told == ["starting a", "starting b", *(f"round {n} of 3" for n in (1, 2, 3))]
    for each in times.values():
        assert isinstance(each, Times)
        assert len(each.steps) == 3
        assert each.step == sorted(each.steps)[1] > 0
        assert each.start > 0
        assert each.peak_memory > 5e6


def test_a_turn_has_as_many_steps_as_fit(tmp_path: Path) -> None:
    log = tmp_path / "log"
    take_turns({"a": Counting("a", log)}, device="cpu", rounds=1, turn_seconds=0.05)
    assert len(log.read_text()) > 3 + 5  # a step takes far less than 10 ms


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"fails_at": 1}, r"ValueError: b cannot"),  # on the way to the first step
        ({"dies_at": 2}, r"its process died"),  # while it warms up
        ({"fails_at": 4}, r"ValueError: b cannot"),  # in the first round
        ({"dies_at": 5}, r"its process died"),
    ],
)
def test_contenders_that_fail_say_why_and_stop_nobody(
    broken: dict[str, int], reason: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    times = take_turns(
        {"b": Counting("b", log, **broken), "a": Counting("a", log)},
        device="cpu",
        rounds=2,
        turn_seconds=0.0,
    )
    assert list(times) == ["b", "a"]
    failure = times["b"]
    assert isinstance(failure, str)
    assert re.fullmatch(reason, failure)
    assert isinstance(times["a"], Times)


def test_a_contender_whose_parent_was_killed_ends_without_a_word(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    handler = signal.getsignal(signal.SIGINT)
    try:
        _compete(theirs, Counting("a", tmp_path / "log"), "cpu")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert (tmp_path / "log").read_text() == "a"
