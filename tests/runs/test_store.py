from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

import pytest

from descentlab.errors import ConfigError, StorageError
from descentlab.runs import checkpoints
from descentlab.runs.identity import Run, make_run
from descentlab.runs.records import read_records
from descentlab.runs.store import Result, Store
from descentlab.storage import publish


def run_of(number: int) -> Run:
    return make_run(
        identity={"seed": number}, settings={"seed": number, "threads": 2}, data_sha256="d" * 64
    )


RUN = run_of(0)
RESULT = Result(outcome="ok", generation=1, steps=3, tokens=96, validation_loss=2.5)


def every_entry(root: Path) -> dict[str, tuple[int, bytes]]:
    """Each file and folder with when it was last written and what is in it."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [root, *root.rglob("*")]
    }


def test_a_registered_run_is_read_back(store):
    assert store.register(RUN).run() == RUN


def test_the_first_spelling_stays(store):
    store.register(RUN)
    store.register(make_run(identity=RUN.identity, settings={}, data_sha256=RUN.data_sha256))
    assert store.folder(RUN.run_id).run().settings == RUN.settings


def test_runs_are_listed_by_id_and_unfinished_folders_are_not(store):
    runs = [run_of(number) for number in range(5)]
    for run in runs:
        store.register(run)
    (store.root / "runs" / ("0" * 16)).mkdir()
    assert list(store.runs()) == sorted(runs, key=lambda run: run.run_id)


@pytest.mark.parametrize("length", [3, 16])
def test_a_run_is_found_by_its_beginning(store, length):
    for number in range(5):
        store.register(run_of(number))
    assert store.find(RUN.run_id[:length]) == RUN


def test_a_beginning_that_several_runs_have_is_refused(store):
    ids = [store.register(run_of(number)).run_id for number in range(17)]
    shared = next(letter for letter in "0123456789abcdef" if sum(i[0] == letter for i in ids) > 1)
    count = sum(run_id.startswith(shared) for run_id in ids)
    with pytest.raises(ConfigError, match=f"{count} runs start so; give more of the id"):
        store.find(shared)


@pytest.mark.parametrize("prefix", ["x", ""])
def test_an_unknown_run_lists_those_there_are(store, prefix):
    store.register(RUN)
    with pytest.raises(ConfigError, match=f"allowed are {RUN.run_id}"):
        store.find(prefix)


def test_a_study_may_be_registered_again_but_not_changed(store):
    store.register_study("signum", {"axes": {"seed": [0, 1]}, "scale": 1})
    before = (store.studies / "signum.json").read_bytes()
    store.register_study("signum", {"scale": 1.0, "axes": {"seed": [0, 1]}})
    with pytest.raises(ConfigError, match="study 'signum': another study of that name"):
        store.register_study("signum", {"axes": {"seed": [0, 1, 2]}, "scale": 1})
    assert (store.studies / "signum.json").read_bytes() == before


def test_readers_write_nothing(store):
    for number, end in enumerate(["pending", "failed", "done"]):
        folder = store.register(run_of(number))
        if end != "pending":
            attempt = store.claim(folder.run_id)
            attempt.begin({})
            attempt.end("failed", "for a test") if end == "failed" else attempt.finish(RESULT)
    before = every_entry(store.root)
    reader = Store(store.root)
    states = {reader.status(reader.find(run.run_id).run_id).state for run in reader.runs()}
    attempts = [reader.latest_attempt(run.run_id) for run in reader.runs()]
    assert states == {"pending", "failed", "done"}
    assert len([read_records(attempt.metrics) for attempt in attempts if attempt]) == 2
    assert every_entry(store.root) == before


@pytest.mark.parametrize("name", ["missing", ""])
def test_what_is_not_a_store_is_refused_and_left_alone(tmp_path, name):
    (tmp_path / "file.txt").write_text("not a store")
    before = every_entry(tmp_path)
    with pytest.raises(ConfigError, match="not a store"):
        Store(tmp_path / name)
    assert every_entry(tmp_path) == before


def test_a_store_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=re.escape(str(tmp_path / "file" / "store"))):
        Store(tmp_path / "file" / "store", create=True)


def test_making_a_store_again_keeps_its_runs(store):
    store.register(RUN)
    assert list(Store(store.root, create=True).runs()) == [RUN]


def test_a_leftover_that_cannot_be_dropped_is_in_nobodys_way(store, monkeypatch):
    """As another user's is, in a store that several share."""

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (store.aside / "theirs").mkdir()
    os.utime(store.aside / "theirs", (0, 0))
    monkeypatch.setattr("shutil.rmtree", refused)
    Store(store.root, create=True)
    assert (store.aside / "theirs").exists()


def test_a_finished_run_keeps_the_newest_of_its_last_attempt(store):
    """Which may have begun again, and ended before it came as far as the one before."""
    store.register(RUN)
    for step in (20, 12):
        attempt = store.claim(RUN.run_id)
        attempt.begin({})
        checkpoints.save(attempt, step, lambda folder: None, size=0, fingerprint={})
        attempt.end("interrupted", "stopped")
    checkpoints.discard_all(store.folder(RUN.run_id), but=1)
    kept = [path.parent.parent.name for path in store.root.glob("runs/*/*/checkpoints/*")]
    assert kept == ["attempt-2"]


def test_a_copy_of_an_old_checkpoint_is_no_leftover(store, monkeypatch):
    """A run goes on after days; meanwhile another process makes sure that there is a store."""
    store.register(RUN)
    first = store.claim(RUN.run_id)
    first.begin({})
    path = checkpoints.save(
        first, 3, lambda folder: (folder / "state").touch(), size=0, fingerprint={}
    )
    for each in (*path.iterdir(), path):
        os.utime(each, (0, 0))
    first.end("interrupted", "stopped")
    second = store.claim(RUN.run_id)
    second.begin({})
    flush = checkpoints.flush

    def meanwhile(path: Path) -> None:
        flush(path)
        Store(store.root, create=True)

    monkeypatch.setattr(checkpoints, "flush", meanwhile)
    found = checkpoints.newest(store.folder(RUN.run_id), pytest.fail)
    assert found is not None
    assert checkpoints.adopt(found, second).manifest.step == 3


def test_making_a_store_drops_only_old_leftovers(store):
    for name, hours in (("old", 25), ("young", 23)):
        (store.aside / name).write_text("unfinished")
        written = time.time() - hours * 3600
        os.utime(store.aside / name, (written, written))
    Store(store.root, create=True)
    assert {path.name for path in store.aside.iterdir()} - {".writable"} == {"young"}


def test_a_store_can_be_opened_while_others_write_to_it(store):
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            publish(store.studies / f"{number}.json", b"{}", aside=store.aside)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(1000):
            Store(store.root, create=True)
    finally:
        stop.set()
        writer.join()
