"""Following a file of records, against reading it whole."""

from __future__ import annotations

import random

import pytest

from descentlab.runs.following import FollowedRecords
from descentlab.runs.records import encode_record, read_records


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_a_file_cut_anywhere_is_read_once_and_whole(path):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    raw = b"".join(encode_record({"step": n, "loss": draw.random()}) for n in range(40))
    followed = FollowedRecords(path)
    assert followed.look().records == []
    found, at = [], 0
    with path.open("ab", buffering=0) as file:
        while at < len(raw):
            size = draw.randrange(1, 90)
            file.write(raw[at : at + size])
            at += size
            found += followed.look(draw.choice([300, 2**20])).records
    while news := followed.look(300).records:
        found += news
    assert found == read_records(path).records
    assert [each["step"] for each in found] == list(range(40))
    assert followed.damaged_at is None


def test_nothing_after_a_damaged_record_is_read(path):
    raw = b"".join(encode_record({"step": n}) for n in range(3))
    second = raw.index(b'{"step":1')
    path.write_bytes(raw.replace(b'"step":1', b'"step":7'))
    followed = FollowedRecords(path)
    assert [each["step"] for each in followed.look().records] == [0]
    assert followed.damaged_at == second == read_records(path).damaged_at
    assert followed.look().records == []


def test_a_torn_end_becomes_damage_once_a_record_follows(path):
    record = encode_record({"step": 1})
    path.write_bytes(record + record[:-3])
    followed = FollowedRecords(path)
    assert len(followed.look().records) == 1
    assert followed.damaged_at is None
    path.write_bytes(record + record[:-3] + record)
    assert followed.look().records == []
    assert followed.damaged_at == len(record) + 1


def test_a_file_that_was_replaced_is_read_anew(path):
    path.write_bytes(encode_record({"step": 1}) + encode_record({"step": 2}))
    followed = FollowedRecords(path)
    assert not followed.look().anew
    path.write_bytes(encode_record({"step": 9}))
    news = followed.look()
    assert news.anew
    assert [each["step"] for each in news.records] == [9]
