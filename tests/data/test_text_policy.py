from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from descentlab.data.corpora import Corpus, load_corpus
from descentlab.data.prepare import prepare
from descentlab.data.spec import DataSpec
from descentlab.data.text_policy import Cleaning
from descentlab.errors import DataError

MARK = "\ufeff".encode()


def load(folder: Path, raw: bytes, name: str = "corpus.txt", **changes) -> Corpus:
    path = folder / name
    path.write_bytes(raw)
    return load_corpus(DataSpec(corpus=str(path), tokenizer="byte", **changes))


@pytest.mark.parametrize(
    ("raw", "text", "cleaning"),
    [
        (b"plain\n", "plain\n", Cleaning()),
        (MARK + b"marked", "marked", Cleaning(byte_order_marks=1)),
        (b"not " + MARK + b" leading", "not \ufeff leading", Cleaning()),
        (b"a\r\nb\r\n\rc\r", "a\nb\n\rc\r", Cleaning(carriage_returns=2)),
        (b"a\0b\0\0c", "abc", Cleaning(nuls=3)),
        (b"a" * 2000 + b"\xff!", "a" * 2000 + "\ufffd!", Cleaning(replaced=1)),
        ("genuine \ufffd".encode(), "genuine \ufffd", Cleaning()),
        ("\ufffd".encode() * 9 + b"\xff" + b"a" * 990, "\ufffd" * 10 + "a" * 990, Cleaning(1)),
        (MARK + b"\0\r\n" * 999 + b"a\xc3", "\n" * 999 + "a\ufffd", Cleaning(1, 1, 999, 999)),
    ],
    ids=["none", "mark", "inner mark", "crlf", "nul", "latin-1", "U+FFFD", "U+FFFD and 1", "all"],
)
def test_text_is_cleaned_by_the_stated_policy_with_counts(tmp_path, raw, text, cleaning):
    corpus = load(tmp_path, raw)
    assert corpus.documents == [text]
    assert corpus.cleaning == cleaning


@pytest.mark.parametrize("raw", [b"a\r\n\r\nb\r\n\r\nc", b"a\0\n\n\0b\n\0\nc"], ids=["crlf", "nul"])
def test_text_is_cleaned_before_it_is_cut_into_documents(tmp_path, raw):
    assert load(tmp_path, raw, separator="\n\n").documents == ["a", "b", "c"]


def test_jsonl_is_cleaned_too(tmp_path):
    lines = [json.dumps({"text": text}) for text in ("a\r\nb\0", "\ufeffc")]
    corpus = load(tmp_path, MARK + "\r\n".join(lines).encode(), "corpus.jsonl")
    assert corpus.documents == ["a\nb", "c"]


def test_half_a_surrogate_pair_in_json_is_replaced(tmp_path):
    raw = b'{"text": "' + b"a" * 2000 + b'\\ud83c"}\n{"text": "\\ud83c\\udf89"}'
    corpus = load(tmp_path, raw, "corpus.jsonl")
    assert corpus.documents == ["a" * 2000 + "\ufffd", "🎉"]
    assert corpus.cleaning == Cleaning(replaced=1)


def test_parquet_is_cleaned_too(tmp_path):
    path = tmp_path / "corpus.parquet"
    text = "'a' || chr(13) || chr(10) || 'b' || chr(0)"
    duckdb.execute(f"COPY (SELECT {text} AS text) TO '{path}' (FORMAT parquet)")
    corpus = load_corpus(DataSpec(corpus=str(path), tokenizer="byte"))
    assert corpus.documents == ["a\nb"]
    assert corpus.cleaning == Cleaning(carriage_returns=1, nuls=1)


def test_one_replaced_character_in_a_thousand_is_accepted(tmp_path):
    assert load(tmp_path, b"a" * 999 + b"\xff").cleaning == Cleaning(replaced=1)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"a" * 998 + b"\xff", "byte 998 is the first of 1 that cannot be decoded"),
        ("voilà".encode("latin-1"), "byte 4 is the first of 1 "),
        ("text".encode("utf-16"), "byte 0 is the first of 2 "),
    ],
    ids=["1 in 999", "latin-1", "utf-16"],
)
def test_what_is_not_text_is_refused(tmp_path, raw, reason):
    with pytest.raises(DataError, match=reason):
        load(tmp_path, raw)


def test_what_was_changed_is_told(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_bytes(MARK + b"a\r\nb<|endoftext|>" + b"c\0\r\n" * 1500)
    told = []
    prepare(DataSpec(corpus=str(path), tokenizer="byte"), told.append)
    assert told[0] == (
        f"{path}: 1 byte order marks removed, 1,501 CRLF line ends made LF, "
        "1,500 NUL characters removed"
    )


def test_nothing_is_told_where_nothing_was_changed():
    assert Cleaning().summary() == ""
