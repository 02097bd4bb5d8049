"""Files that are read in blocks give what a reading at once gives."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descentlab.data import text_files, text_policy
from descentlab.data.text_files import TextFile
from descentlab.data.text_policy import Cleaning
from descentlab.errors import DataError

unhurried = settings(deadline=None)
lines = st.lists(
    st.sampled_from([b"word ", b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xc3", b"|", b"||"])
    | st.sampled_from(["é", "🎉", "\ufeff", "\ufffd"]).map(str.encode)
)


def read(path: Path, separator: str = "||", **changes: int) -> tuple[list[str], Cleaning]:
    """Documents and counts, with other constants of the module."""
    cleaning = Cleaning()
    file = TextFile(path, text_field="text", separator=separator, cleaning=cleaning)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setattr(text_files, name, value)
        return list(file.documents()), cleaning


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("text")


def at_once(raw: bytes) -> tuple[str, Cleaning]:
    """The policy in a few lines, for text that is in memory."""
    text = raw.decode("utf-8", errors="replace")
    replaced = text.count("\ufffd") - raw.count("\ufffd".encode())
    marks = int(text.startswith("\ufeff"))
    text = text[marks:]
    counts = Cleaning(replaced, marks, text.count("\r\n"), text.count("\0"))
    return text.replace("\r\n", "\n").replace("\0", ""), counts


@settings(deadline=None, max_examples=150)
@given(lines, st.integers(1, 12), st.sampled_from(["|", "||", "\n", "\n\n"]))
def test_text_in_blocks_is_the_text_at_once(folder, parts, block, separator):
    raw = b"".join([*parts, b"a" * 100_000])  # so that little had to be replaced
    path = folder / "text.txt"
    path.write_bytes(raw)
    text, cleaning = at_once(raw)
    assert read(path, separator, BLOCK=block) == (text.split(separator), cleaning)


@unhurried
@given(st.lists(st.text(st.characters(codec="utf-8"))), st.integers(1, 50))
def test_jsonl_in_blocks_is_jsonl_line_by_line(folder, documents, block):
    path = folder / "text.jsonl"
    spelled = [json.dumps({"text": text}, ensure_ascii=len(text) % 2 == 0) for text in documents]
    path.write_text("\n".join(spelled) + "\n\n", encoding="utf-8", newline="")
    assert read(path, BLOCK=block) == (documents, Cleaning())


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_a_bad_line_has_its_number_in_any_block(tmp_path, block):
    path = tmp_path / "text.jsonl"
    path.write_text('{"text": "a"}\n\n' * 20 + "{bad}\n" + '{"text": "a"}\n' * 3)
    with pytest.raises(DataError, match="line 41 is not JSON"):
        read(path, BLOCK=block)


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_the_first_bad_byte_is_named_in_any_block(tmp_path, block):
    path = tmp_path / "text.txt"
    path.write_bytes(b"one\ntwo \xff\nthree \xff\xff\n")
    with pytest.raises(DataError, match=r"byte 8 is the first of 3 that"):
        read(path, BLOCK=block)


def test_text_in_another_encoding_is_refused_before_all_of_it_was_read(tmp_path):
    path = tmp_path / "text.jsonl"
    path.write_bytes('{"text": "voilà"}\n'.encode("latin-1") * 100 + b"{bad}\n")
    with pytest.raises(DataError, match=r"not UTF-8 text \(byte 14 is the first of 50 "):
        read(path, BLOCK=18 * 50, JUDGED_FROM=18 * 40)
    with pytest.raises(DataError, match="line 101 is not JSON"):
        read(path, BLOCK=18 * 50)


def test_a_line_without_end_is_refused_in_the_memory_of_its_allowance(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"first\n" + b"x" * 1000)
    with pytest.raises(DataError, match="a line of more than 100 bytes after byte 6"):
        read(path, LONGEST_LINE=100, BLOCK=6)
    assert read(path, LONGEST_LINE=1000, BLOCK=6)[0] == ["first\n" + "x" * 1000]


def test_text_without_separators_is_refused_in_the_memory_of_a_document(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"one\n||" + b"xxxx\n" * 30)
    with pytest.raises(DataError, match="a document of more than 100 characters; say what"):
        read(path, LONGEST=100, BLOCK=6)
    assert len(read(path, LONGEST=150, BLOCK=6)[0]) == 2


def test_a_document_that_is_too_long_is_left_out_and_counted(monkeypatch):
    monkeypatch.setattr(text_policy, "LONGEST", 5)
    cleaning = Cleaning()
    assert [cleaning.document(text) for text in ("12345", "123456")] == ["12345", None]
    assert cleaning == Cleaning(too_long=1)
    assert cleaning.summary() == "1 documents of more than 5 characters left out"


def test_counts_add_up():
    assert Cleaning(1, 2, 3, 4, 5) + Cleaning(10, 20, 30, 40, 50) == Cleaning(11, 22, 33, 44, 55)


@pytest.mark.parametrize("suffix", ["txt", "jsonl", "parquet"])
def test_the_share_that_was_read_grows_to_all(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(text_files, "BLOCK", 100)
    path = tmp_path / f"text.{suffix}"
    if suffix == "parquet":
        duckdb.execute(f"COPY (SELECT 'a' AS text FROM range(1000)) TO '{path}'")
    elif suffix == "jsonl":
        path.write_text('{"text": "a"}\n' * 1000)
    else:
        path.write_text("a||\n" * 1000)
    file = TextFile(path, text_field="text", separator="||", cleaning=Cleaning())
    shares = [file.share for _ in file.documents()]
    assert shares == sorted(shares)
    assert shares[0] < 0.1 < shares[200] < 0.3
    assert file.share == 1.0
