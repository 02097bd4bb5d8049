"""A study on record only gains runs; what lies there never changes."""

from __future__ import annotations

import errno
import os
from itertools import pairwise
from typing import Any

import pytest

from descentlab.errors import ConfigError, CorruptError, StorageError
from descentlab.runs.store import Store
from descentlab.runs.studies import Studies


def content(runs: str, **settings: Any) -> dict[str, Any]:
    return {"run": {"optimizer": {"lr": 0.1}}, "axes": {"a": [1]}, "runs": [*runs], **settings}


def files(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.studies.iterdir()}


def test_each_gain_is_a_further_file_and_those_before_stay(store):
    versions = [content("ab"), content("abc", axes={"a": [1, 2]}), content("dcba", seeds=[0, 1])]
    seen: dict[str, bytes] = {}
    for number, each in enumerate(versions, 1):
        for _ in range(2):  # registered again it changes nothing
            store.register_study("s", each)
            assert {**files(store), **seen} == files(store)
            assert len(files(store)) == number
        seen = files(store)
    assert list(seen) == list(dict.fromkeys(seen))
    assert seen.keys() == {"s.json", "s+2.json", "s+3.json"}
    assert Studies(store.studies, store.aside).versions("s") == versions


def test_an_earlier_version_is_known(store):
    store.register_study("s", content("ab"))
    store.register_study("s", content("abc"))
    store.register_study("s", content("ab"))
    assert len(files(store)) == 2


def test_a_study_has_the_runs_of_its_newest_version(store):
    studies = Studies(store.studies, store.aside)
    store.register_study("first", content("ab"))
    store.register_study("first", content("abc"))
    assert studies.runs("first") == ["a", "b", "c"]
    with pytest.raises(ConfigError, match=r"'frist': not in .* did you mean first\?"):
        studies.runs("frist")


def test_a_run_plays_a_part_in_every_study_that_asked_for_it(store):
    points = [{"method": "sgd+Gclip", "run_id": "a"}, {"method": "sgd+Cclip", "run_id": "a"}]
    store.register_study("t-grid", {"experiment": "t", "runs": points})
    store.register_study("s", content("ab"))
    assert store.entries_by_run() == {
        "a": (("s", "s", ""), ("t-grid", "t", "sgd+Gclip"), ("t-grid", "t", "sgd+Cclip")),
        "b": (("s", "s", ""),),
    }


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (content("a"), "lacks 1 of the 2 runs"),
        (content("xy", run={"optimizer": {"lr": 0.2}}), "run.optimizer.lr was 0.1, is 0.2"),
        (content("axc", run={"optimizer": {}}), "run.optimizer.lr was 0.1, is gone"),
        (content("axc", seeds=[1]), "seeds is new"),
        (content("xyz"), "its settings are the same, so the text of its corpus has changed"),
        ({"axes": {"a": [1, 2]}}, "another study of that name"),
    ],
)
def test_a_study_that_lacks_runs_is_refused_with_what_differs(store, now, message):
    store.register_study("s", content("ab"))
    before = files(store)
    with pytest.raises(ConfigError, match="study 's'") as caught:
        store.register_study("s", now)
    assert message in str(caught.value)
    assert "choose another name" in str(caught.value)
    assert files(store) == before


def test_names_with_dots_and_numbers_do_not_meet(store):
    store.register_study("s", content("a"))
    store.register_study("s", content("ab"))
    store.register_study("s.2", content("x"))
    assert files(store).keys() == {"s.json", "s+2.json", "s.2.json"}


def test_checking_writes_nothing(store):
    studies = Studies(store.studies, store.aside)
    assert not studies.check("s", content("a"))
    assert files(store) == {}
    store.register_study("s", content("a"))
    assert studies.check("s", content("a"))
    assert not studies.check("s", content("ab"))
    with pytest.raises(ConfigError):
        studies.check("s", content("b"))


def test_a_damaged_study_is_named_and_left(store):
    store.register_study("s", content("a"))
    (store.studies / "s.json").write_bytes(b'{"runs":')
    with pytest.raises(CorruptError, match=r"s\.json: damaged .* move it out of the store"):
        store.register_study("s", content("a"))
    assert (store.studies / "s.json").read_bytes() == b'{"runs":'


def test_a_full_disk_loses_nothing(store, monkeypatch):
    store.register_study("s", content("a"))
    before = files(store)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk full, need"):
        store.register_study("s", content("ab"))
    monkeypatch.undo()
    assert files(store) == before
    assert list(store.aside.glob("s*")) == []
    store.register_study("s", content("ab"))
    assert len(files(store)) == 2


def test_of_two_that_add_at_once_both_are_kept_or_one_is_refused(race, store):
    store.register_study("s", content("a"))
    code = """
        runs = ["a", *"bc"[int(sys.argv[1]) % 2:]]
        try:
            Store(Path(sys.argv[2])).register_study("s", {"runs": runs})
            print("kept")
        except Exception as error:
            print(type(error).__name__)
    """
    racers = race(4, code, store.root)
    said = sorted(racer.hear() for racer in racers)
    versions = Studies(store.studies, store.aside).versions("s")
    runs = [set(each["runs"]) for each in versions]
    assert all(earlier < later for earlier, later in pairwise(runs))
    # Whoever adds c alone is refused if b was there first; otherwise all four are on record.
    assert said in (["kept"] * 4, ["ConfigError"] * 2 + ["kept"] * 2)
    assert len(versions) == (3 if said == ["kept"] * 4 else 2)
