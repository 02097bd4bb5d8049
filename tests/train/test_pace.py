"""How long runs take: known from finished runs, from memory, or timed; and never mixed up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descentlab.runs.identity import make_run
from descentlab.runs.store import Result, Store
from descentlab.train import pace, turns
from descentlab.train.pace import Pace
from descentlab.train.spec import run_spec
from descentlab.train.turns import Times

SETTINGS: dict[str, Any] = msgspec.to_builtins(
    run_spec(
        {
            "model": {"size": "tiny"},
            "data": {"tokenizer": "byte", "sequence_length": 16},
            "optimizer": {"method": "adam", "lr": 1e-2, "beta": 0.9},
            "training": {"steps": 30, "batch_size": 4},
            "execution": {"threads": 1},
        },
        where="test",
    )
)


def changed(table: str, **values: Any) -> dict[str, Any]:
    return {**SETTINGS, table: {**SETTINGS[table], **values}}


def finished(store: Store, settings: Mapping[str, Any], rate: float, memory: int) -> str:
    """A run that ended with a rate of training on record."""
    whole = make_run(identity={"rate": rate}, settings=dict(settings), data_sha256="0" * 64)
    store.register(whole)
    attempt = store.claim(whole.run_id)
    attempt.begin({})
    with attempt.open_timing() as timing:
        timing.write(
            {
                "step": 30,
                "summary": True,
                "tokens_per_second": rate,
                "start_seconds": 2.0,
                "peak_memory_bytes": memory,
            }
        )
    attempt.finish(Result(outcome="ok", generation=1, steps=30, tokens=1920, validation_loss=1.0))
    return whole.run_id


def test_what_changes_the_pace_changes_the_kind():
    same = [
        changed("optimizer", lr=0.5),
        changed("training", steps=99),
        changed("execution", checkpoint_every=3),
        changed("execution", takeover_after=7.0, hang_after=0.0),
        {**SETTINGS, "seed": 4},
    ]
    assert {pace.kind(each) for each in same} == {pace.kind(SETTINGS)}
    others = [
        changed("model", layers=2),
        changed("training", batch_size=8),
        changed("data", sequence_length=32),
        changed("execution", threads=2),
        {**SETTINGS, "precision": "bfloat16"},
        {**SETTINGS, "probes": {"every": 1}},
    ]
    assert len({pace.kind(each) for each in [SETTINGS, *others]}) == 1 + len(others)


def test_finished_runs_give_medians_and_the_most_memory(tmp_path):
    store = Store(tmp_path / "store", create=True)
    rates = {64.0: 100, 128.0: 300, 32.0: 200}  # 64 tokens a step: 1, 0.5 and 2 seconds
    runs = {finished(store, SETTINGS, rate, memory): SETTINGS for rate, memory in rates.items()}
    (found,) = pace.finished_paces(store, runs).values()
    assert (found.step_seconds, found.start_seconds, found.peak_memory) == (1.0, 2.0, 300)
    assert found.source == f"3 finished runs in {store.root}"
    assert pace.finished_paces(store, {}) == {}


def test_a_damaged_run_tells_no_pace_and_spoils_none(tmp_path):
    store = Store(tmp_path / "store", create=True)
    runs = {finished(store, SETTINGS, rate, 1): SETTINGS for rate in (64.0, 1.0)}
    store.folder(list(runs)[1]).done.write_bytes(b"{")
    (found,) = pace.finished_paces(store, runs).values()
    assert found.step_seconds == 1.0


def test_a_run_takes_its_start_its_steps_and_its_evaluations():
    each = Pace(step_seconds=2.0, start_seconds=5.0, peak_memory=1, source="")
    # 96 held-out tokens are 1.5 steps of 64, without the two thirds of a backward pass.
    assert each.seconds(SETTINGS, 96) == pytest.approx(5 + 30 * 2 + 0.5 * 2)
    often = changed("training", evaluate_every=20)  # after steps 20 and 30
    assert each.seconds(often, 96) == pytest.approx(5 + 30 * 2 + 2 * 0.5 * 2)


def test_steps_are_timed_once_and_remembered(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path))
    asked: list[dict[str, Any]] = []

    def timed(contenders: Mapping[str, Any], **options: Any) -> dict[str, Times | str]:
        asked.extend(each.settings for each in contenders.values())
        return {"steps": Times(start=3.0, steps=(1.0, 0.5, 2.0), peak_memory=7)}

    monkeypatch.setattr(turns, "take_turns", timed)
    assert pace.remembered(SETTINGS) is None
    found = pace.time_steps(SETTINGS)
    assert found == Pace(
        step_seconds=1.0, start_seconds=2.0, peak_memory=7, source="timed on this machine"
    )
    assert isinstance(found, Pace)
    again = pace.remembered(changed("optimizer", lr=0.5))
    assert again == msgspec.structs.replace(found, source="timed on this machine before")
    assert pace.remembered(changed("training", batch_size=8)) is None
    assert asked[0]["training"]["batch_size"] == 4
    assert asked[0]["execution"]["compile"] == "never"  # too short to be compiled
    for damaged in (tmp_path / "paces").iterdir():
        damaged.write_bytes(damaged.read_bytes().replace(b"7", b"8"))
    assert pace.remembered(SETTINGS) is None


def test_a_large_batch_is_timed_in_part_and_scaled(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path))
    monkeypatch.setitem(
        pace.AT_ONCE, "cpu", 3.5 * 16 * run_spec(SETTINGS, where="").model.training_flops(16)
    )
    times = Times(start=3.0, steps=(1.5,), peak_memory=7)
    monkeypatch.setattr(turns, "take_turns", lambda *_, **__: {"steps": times})
    found = pace.time_steps(SETTINGS)
    assert isinstance(found, Pace)
    assert (found.step_seconds, found.peak_memory) == (1.5 * 4 / 3, None)
    assert found.source == "timed on this machine, on 3 of 4 sequences"


def test_what_cannot_be_timed_says_why(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(turns, "take_turns", lambda *_, **__: {"steps": "out of memory"})
    assert pace.time_steps(SETTINGS) == "out of memory"
    assert pace.remembered(SETTINGS) is None
    monkeypatch.setitem(pace.TOO_MANY, "cpu", 1.0)
    assert "more operations than are timed here" in str(pace.time_steps(SETTINGS))


def test_the_longest_run_stands_for_its_kind():
    runs = [changed("training", steps=steps) for steps in (10, 30, 20)]
    other = changed("training", batch_size=8)
    longest = pace.longest_of_each_kind([*runs, other])
    assert list(longest.values()) == [runs[1], other] or list(longest.values()) == [other, runs[1]]
    assert [each["training"]["steps"] for each in longest.values()] == [30, 30]


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path / "file"))
    times = Times(start=3.0, steps=(1.5,), peak_memory=7)
    monkeypatch.setattr(turns, "take_turns", lambda *_, **__: {"steps": times})
    assert isinstance(pace.time_steps(SETTINGS), Pace)


@pytest.mark.slow
def test_real_steps_are_timed_in_another_process(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(pace, "ROUNDS", 1)
    monkeypatch.setattr(pace, "TURN_SECONDS", 0.0)
    found = pace.time_steps(SETTINGS)
    assert isinstance(found, Pace)
    assert found.step_seconds > 0
    assert found.peak_memory is not None
    assert found.peak_memory > 5e7  # torch alone holds as much
