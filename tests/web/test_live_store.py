"""What the live view tells of a store, against what was written into it."""

from __future__ import annotations

import math
import shutil

import msgspec
import pytest
from oracles.growing_runs import GrowingRun, loss_after, made_up_run

from descentlab.runs.heartbeats import Beat
from descentlab.runs.identity import make_run
from descentlab.runs.races import Decision, RaceRecord
from descentlab.runs.records import encode_record
from descentlab.runs.store import Store
from descentlab.web.live.curve import MOST_POINTS, GrowingCurve
from descentlab.web.live.live_store import LiveStore
from descentlab.web.live.opened_run import read_curve


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store", create=True)


def settled(live: LiveStore) -> LiveStore:
    for _ in range(3):
        live.look()
    return live


def contents(store: Store):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(store.root.rglob("*"))
    }


def test_a_run_is_followed_from_pending_to_done(store):
    run = GrowingRun(store, made_up_run(0.01))
    live = LiveStore(store, clock=lambda: 1000.0)
    assert [row.state for row in live.look().rows] == ["pending"]
    run.begin()
    store.heartbeats.write(run.run_id, 1, Beat(count=1, step=0))
    (row,) = live.look().rows
    assert (row.state, row.attempt, row.beat) == ("running", 1, 1000.0)
    run.train(4)
    told = live.look()
    (row,) = told.rows
    assert (row.step, row.loss) == (4, loss_after(4))
    assert (row.rate, row.left) == (64.0, 0.5 * 16)
    assert told.curves[run.run_id].steps == [1, 2, 3, 4]
    run.train(2)
    part = live.look().curves[run.run_id]
    assert (part.start, part.steps, part.losses) == (4, [5, 6], [loss_after(5), loss_after(6)])
    assert not live.look()
    run.finish(3.5)
    told = live.look()
    (row,) = told.rows
    assert (row.state, row.step, row.result) == ("done", 20, 3.5)
    assert told.curves[run.run_id].steps[-1] == 20
    assert told.curves[run.run_id].held_out == [(20, 3.5)]
    assert told.groups is not None
    assert (told.groups[0].trained, told.groups[0].best) == (1.0, run.run_id)
    live.look()
    assert not live.look()


def test_every_state_is_told_with_its_reason(store):
    runs = [GrowingRun(store, made_up_run(lr)) for lr in (1, 2, 3, 4, 5, 6)]
    for run in runs[1:]:
        run.begin()
        run.train(3)
    runs[1].end("failed", "ValueError: no", log="the\nlog")
    runs[2].end("interrupted", "paused after step 3 of 20, state saved")
    runs[3].end("interrupted", "stopped by Ctrl-C")
    runs[4].finish(math.inf)
    rows = settled(LiveStore(store)).rows
    told = [(rows[each.run_id].state, rows[each.run_id].reason) for each in runs]
    assert told == [
        ("pending", ""),
        ("failed", "ValueError: no"),
        ("paused", "paused after step 3 of 20, state saved"),
        ("interrupted", "stopped by Ctrl-C"),
        ("diverged", ""),
        ("running", ""),
    ]
    assert rows[runs[1].run_id].loss == loss_after(3)


def test_an_attempt_after_another_begins_a_new_curve(store):
    run = GrowingRun(store, made_up_run())
    run.begin()
    run.train(5)
    live = settled(LiveStore(store))
    run.end("failed", "killed")
    run.step = 0
    live.look()
    run.begin()
    run.train(2)
    part = settled(live).whole().curves[run.run_id]
    assert (part.start, part.steps) == (0, [1, 2])
    assert live.rows[run.run_id].attempt == 2


def test_reading_changes_nothing(store):
    for lr in (1, 2):
        GrowingRun(store, made_up_run(lr)).begin()
    before = contents(store)
    settled(LiveStore(store))
    assert contents(store) == before


def test_a_torn_last_record_waits_and_damage_is_told(store):
    run = GrowingRun(store, made_up_run())
    attempt = run.begin()
    run.train(2)
    live = settled(LiveStore(store))
    record = encode_record({"step": 3, "loss": 5.0})
    with attempt.metrics.open("ab", buffering=0) as file:
        file.write(record[:10])
        assert not live.look()
        file.write(record[10:])
    assert live.look().curves[run.run_id].losses == [5.0]
    with attempt.metrics.open("ab") as file:
        file.write(b"\nnonsense" + record)
    live.look()
    assert "damaged from byte" in live.rows[run.run_id].reason
    attempt.metrics.write_bytes(record)
    part = live.look().curves[run.run_id]
    assert (part.start, part.steps) == (0, [3])


def test_what_is_damaged_is_shown_and_the_rest_goes_on(store):
    runs = [GrowingRun(store, made_up_run(lr)) for lr in (1, 2, 3)]
    store.folder(runs[0].run_id).spec.write_bytes(b"\xff{")
    (store.folder(runs[1].run_id).path / "done.json").write_bytes(b"null")
    store.register_study("good", {"runs": [each.run_id for each in runs]})
    (store.studies / "bad.json").write_bytes(b"{")
    (store.studies / "odd.json").write_bytes(b'{"runs":[7]}')
    store.races.record("race", b"[]")
    (store.root / "runs" / "unspecified").mkdir()
    (store.root / "claims" / "nonsense").touch()
    live = settled(LiveStore(store))
    assert [live.rows[each.run_id].state for each in runs] == ["damaged", "damaged", "pending"]
    assert live.rows[runs[2].run_id].groups == ("good",)
    said = "\n".join(live.whole().problems or [])
    assert "bad.json: damaged" in said
    assert "study odd" in said
    assert "races/race" in said
    store.folder(runs[1].run_id).done.unlink()
    shutil.rmtree(store.folder(runs[0].run_id).path)
    told = live.look()
    assert told.gone == [runs[0].run_id]
    assert live.rows[runs[1].run_id].state == "pending"


def test_records_that_no_trainer_writes_are_told_and_passed_over(store):
    run = GrowingRun(store, made_up_run())
    attempt = run.begin()
    odd = encode_record({"step": "three", "loss": 5.0})
    attempt.metrics.write_bytes(odd)
    live = settled(LiveStore(store))
    assert "no trainer writes" in live.rows[run.run_id].reason
    assert read_curve(store, run.run_id)[0].steps == []
    run.train(2)
    live.look()
    assert live.rows[run.run_id].step == 2


def test_whatever_a_spec_holds_it_is_one_damaged_run(store):
    run = made_up_run(1, seed=2)
    odd = make_run(identity={"training": 7}, settings={"optimizer": {"lr": []}}, data_sha256="")
    worse = make_run(identity={}, settings={"training": {"steps": 2**70}}, data_sha256="")
    for each in (run, odd, worse):
        store.register(each)
    live = settled(LiveStore(store))
    assert live.rows[run.run_id].state == "pending"
    assert live.rows.keys() == {run.run_id, odd.run_id, worse.run_id}
    msgspec.json.encode(live.whole())


def test_time_left_is_what_is_left_at_the_pace_of_finished_runs(store):
    runs = [GrowingRun(store, made_up_run(lr)) for lr in (1, 2, 3, 4, 5)]
    for run in runs[:3]:
        run.begin()
    runs[0].finish(4.0)
    runs[1].train(10)
    runs[2].train(5)
    store.register_study("study", {"runs": [each.run_id for each in runs]})
    (group,) = settled(LiveStore(store)).whole().groups or []
    assert group.states == {"done": 1, "running": 2, "pending": 2}
    assert group.trained == pytest.approx((20 + 10 + 5) / 100)
    # 65 steps of 4 × 8 tokens are left, at 64 tokens/s, by two at once.
    assert group.left == pytest.approx(65 * 32 / 64 / 2, rel=1e-2)


def decision(cell: str, verdict, score: float, fraction: float = 0.25) -> Decision:
    return Decision(
        fraction=fraction,
        cell=cell,
        verdict=verdict,
        rule="halving",
        score=score,
        threshold=4.25,
        against="x",
    )


def test_decisions_of_races_are_told_as_they_are_made(store):
    runs = [GrowingRun(store, made_up_run(lr)) for lr in (1, 2, 3)]
    for run in runs:
        run.begin()
        run.train(5)
        run.end("interrupted", "paused after step 5 of 20, state saved")
    live = settled(LiveStore(store))
    assert {row.state for row in live.rows.values()} == {"paused"}
    one, two, three = (each.run_id for each in runs)
    made = [
        decision(one, "kept", 4.0),
        decision(two, "paused", 4.5),
        decision(three, "paused", 4.6),
    ]
    record = RaceRecord(scheduler="racing", decisions={"adam": made}, times={"adam": [9.0] * 3})
    store.races.note("study", record)
    told = live.look()
    (entry,) = told.races["study"]
    assert (entry.race, entry.rule, entry.fraction, entry.at) == ("adam", "halving", 0.25, 9.0)
    assert (entry.kept, entry.stopped) == (1, [(two, 4.5, 4.25), (three, 4.6, 4.25)])
    assert [live.rows[each].state for each in (one, two, three)] == ["paused", "stopped", "stopped"]
    again = decision(three, "kept", 4.1, 0.5)
    record = RaceRecord(
        scheduler="racing", decisions={"adam": [*made, again]}, times={"adam": [9.0] * 3 + [11.0]}
    )
    store.races.note("study", record)
    assert [each.at for each in live.look().races["study"]] == [9.0, 11.0]
    assert [live.rows[each].state for each in (one, two, three)] == ["paused", "stopped", "paused"]


def test_labels_tell_runs_of_a_study_apart(store):
    runs = [made_up_run(0.5, weight_decay=decay) for decay in (0.1, 0.2)]
    for run in runs:
        store.register(run)
    labels = sorted(row.label for row in settled(LiveStore(store)).rows.values())
    assert labels == [f"adam lr=0.5 beta=0.9 seed=0 weight_decay={each}" for each in (0.1, 0.2)]


def test_a_long_curve_keeps_its_means_and_a_bounded_size():
    count = 5 * MOST_POINTS + 3
    records = [{"step": step, "loss": float(step % 7)} for step in range(1, count + 1)]
    grown, whole = GrowingCurve(), GrowingCurve()
    told = grown.place
    steps: list[int] = []
    losses: list[float | None] = []
    for start in range(0, count, 97):
        grown.add(records[start : start + 97])
        part = grown.since(told)
        told = grown.place
        steps[part.start :], losses[part.start :] = part.steps, part.losses
    whole.add(records)
    assert (steps, losses) == (whole.since().steps, whole.since().losses)
    assert MOST_POINTS / 2 <= len(steps) < MOST_POINTS
    stretch = steps[0]
    for step, loss in zip(steps, losses, strict=True):
        mean = sum(each % 7 for each in range(step - stretch + 1, step + 1)) / stretch
        assert loss == pytest.approx(mean, abs=1e-4)


def test_a_curve_breaks_where_a_loss_is_not_finite():
    curve = GrowingCurve()
    curve.add([{"step": 1, "loss": 2.0}, {"step": 2, "loss": math.inf}])
    assert curve.since().losses == [2.0, None]


def test_a_curve_that_was_asked_for_is_the_one_that_grew(store):
    run = GrowingRun(store, made_up_run())
    run.begin()
    run.train(7)
    live = settled(LiveStore(store))
    assert live.whole().curves[run.run_id] == read_curve(store, run.run_id)[0]
