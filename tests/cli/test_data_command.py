"""``descent data`` as a user types it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.preparation import apart, write_jsonl

from descentlab.cli.contents import visible
from descentlab.cli.data import count, share_or_count
from descentlab.cli.main import main
from descentlab.data.prepare import prepare
from descentlab.data.shards import open_shards
from descentlab.data.spec import DataSpec
from descentlab.data.verification import note
from descentlab.errors import ConfigError
from descentlab.runs.store import Store

DOCUMENTS = [f"document {n} says {'word ' * (n % 9)}and {n * n}" for n in range(400)]
SPEC = """
[model]
size = "tiny"
vocabulary = 257
[data]
corpus = "tokens"
sequence_length = 16
[optimizer]
method = "adam"
lr = 1e-2
beta = 0.9
[training]
steps = 5
batch_size = 4
[execution]
threads = 1
"""


@pytest.fixture(autouse=True)
def _isolated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESCENTLAB_CACHE", str(tmp_path / "cache"))
    write_jsonl(Path("corpus.jsonl"), DOCUMENTS)


PREPARE = ["data", "prepare", "corpus.jsonl", "--tokenizer=byte", "--workers=0", "--out=tokens"]


def test_a_corpus_is_prepared_inspected_and_trained_on(capsys):
    assert main([*PREPARE, "--tokens=6k", "--held-out=500", "--shard-tokens=2k"]) == 0
    said = capsys.readouterr().out
    assert "tokens     6,000 to train on, 500 held out\n" in said
    assert said.endswith('Train on it with: data.corpus = "tokens"\n')
    hashed = re.search(r"SHA-256    ([0-9a-f]{64})\n", said)
    assert hashed is not None
    Path("spec.toml").write_text(SPEC)
    assert main(["train", "spec.toml"]) == 0
    assert main(["train", "spec.toml", "training.batch_size=100"]) == 3
    assert "tokens: 5 steps of 100 sequences need 500 rows of 17" in capsys.readouterr().err
    assert main(["train", "spec.toml", "data.seed=3"]) == 2
    assert "data.seed: tokens was prepared with settings of its own" in capsys.readouterr().err
    (run,) = Store(Path("store")).runs()
    assert run.data_sha256 == hashed[1] == prepare(DataSpec(corpus="tokens")).sha256
    inspect_rows(capsys)


def inspect_rows(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["data", "inspect", "tokens", "--sequence-length=99", "--rows=2"]
    assert main([*arguments, "--characters=1000", "--verify"]) == 0
    said = capsys.readouterr().out
    assert "rows       60 of 100 tokens" in said
    assert "; every token was read and compared" in said
    share = 1.05 * 500 / 6500
    held_out = [text for text in DOCUMENTS if apart(text, seed=0, share=share)]
    training = [text for text in DOCUMENTS if text not in held_out]
    rows = [row.removeprefix(f"{n}\n  ").rstrip() for n, row in enumerate(said.split("\nrow "))]
    assert len(rows) == 3
    assert all(len(row) >= 100 and row in "<|endoftext|>".join(training) for row in rows[1:])
    assert main([*arguments, "--held-out", "--characters=50"]) == 0
    first, second = capsys.readouterr().out.split("\nheld-out row ")[1:]
    whole = "<|endoftext|>".join(held_out)
    assert first.startswith(f"1\n  {whole[:50]} … ")
    assert second.partition("\n  ")[2].partition(" … ")[0] in whole


def test_the_same_command_again_finds_it_finished(capsys):
    assert main(PREPARE) == 0
    first = capsys.readouterr()
    assert "checking " in first.err
    assert main(PREPARE) == 0
    second = capsys.readouterr()
    assert second.out == first.out
    assert second.err == ""


def test_what_is_not_finished_is_inspected_too(capsys):
    assert main([*PREPARE, "--shard-tokens=3k"]) == 0
    Path("tokens/manifest.json").unlink()
    assert main(["data", "inspect", "tokens"]) == 0
    said = capsys.readouterr().out
    assert "not finished: repeat its descent data prepare" in said
    Path("spec.toml").write_text(SPEC)
    assert main(["train", "spec.toml"]) == 3
    assert "its preparation has not come to an end" in capsys.readouterr().err


def test_verification_finds_what_opening_does_not(capsys):
    assert main(PREPARE) == 0
    path = Path("tokens/shard-00000/train.tokens")
    with path.open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        turned = file.read(1)[0] ^ 4
        file.seek(-9, os.SEEK_END)
        file.write(bytes([turned]))
        file.flush()
        os.fsync(file.fileno())  # some file systems settle the times only then
    note(Path("tokens"), *open_shards(Path("tokens")))  # as if the disk had turned the bit
    assert main(["data", "inspect", "tokens", "--rows=0"]) == 0
    assert main(["data", "inspect", "tokens", "--rows=0", "--verify"]) == 3
    assert "its tokens have changed since it was written" in capsys.readouterr().err


def test_verification_finds_documents_on_both_sides(capsys, monkeypatch):
    write_jsonl(Path("corpus.jsonl"), DOCUMENTS[:50] * 2)
    turn = iter(range(1000))
    monkeypatch.setattr("descentlab.data.encoding.is_held_out", lambda *_, **__: next(turn) < 9)
    assert main(PREPARE) == 0
    assert main(["data", "inspect", "tokens", "--verify"]) == 3
    assert "tokens: 9 documents for training are held out as well" in capsys.readouterr().err


def test_a_plan_says_what_it_takes_and_makes_nothing(capsys):
    arguments = ["--plan", "--tokens=3.26B", "--held-out=100M"]
    assert main([*PREPARE, *arguments]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^rate       [0-9,]+ tokens/s$", said, re.MULTILINE)
    assert "tokens     3,360,000,000 on disk, held-out ones among them" in said
    assert "disk       6.7 GB (6,720,000,000 bytes), " in said
    assert re.search(r"^time       \d+ (s|min|h)", said, re.MULTILINE)
    assert re.search(r"^warning: the whole corpus has about 1\d,\d{3} tokens$", said, re.MULTILINE)
    assert not Path("tokens").exists()


def test_a_plan_for_all_there_is(capsys):
    assert main([*PREPARE, "--plan"]) == 0
    assert re.search(r"tokens     1\d,\d{3} on disk", capsys.readouterr().out)


def test_the_folder_is_named_for_the_source(capsys):
    assert main(PREPARE[:-1]) == 0
    assert 'data.corpus = "data/corpus"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--tokens=1.5"], 2, "tokens: got '1.5'; give a number of tokens, as in 3.26B"),
        (["--tokens=-3"], 2, "tokens: got '-3'"),
        (["--held-out=110%"], 2, "held_out: got '110%'; give a number of tokens, as in 10M, or"),
        (["--held-out=10M"], 2, "held_out: a number of tokens needs a number of tokens to train"),
        (["--workers=-1"], 2, "workers: got -1"),
        (["--seed=-1"], 2, "seed: Expected int >= 0 (given: -1)"),
        (["--tokenizer=bpe"], 2, "tokenizer: bpe is trained on a corpus in memory"),
        (["--tokenizer=missing.json"], 3, "missing.json: no such tokenizer file"),
        (["--text-field=body"], 3, "(fields with text: text); set data.text_field or --text-field"),
        (["--out=corpus.jsonl"], 2, "is a file; give a folder"),
        (["--out=."], 2, "holds other things"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, code, message, capsys):
    assert main([*PREPARE, *arguments]) == code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing"], 3, "missing: no prepared dataset; descent data prepare makes one"),
        (["tokens", "--rows=-1"], 2, "rows: must be 0 or more"),
    ],
)
def test_what_cannot_be_inspected_is_one_sentence(arguments, code, message, capsys):
    assert main(["data", "inspect", *arguments]) == code
    assert message in capsys.readouterr().err


def test_a_missing_source_names_what_there_is(capsys):
    assert main(["data", "prepare", "slimpyjama", "--tokenizer=byte"]) == 3
    assert "a source is slimpajama or fineweb, hf:owner/name, or" in capsys.readouterr().err


# Numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("1_000", 1000),
        ("3.26B", 3_260_000_000),
        ("0.5k", 500),
        ("1e6", 10**6),
        ("3.2e9", 3_200_000_000),
        ("10M", 10**7),
        (" 2g ", 2 * 10**9),
        (".5M", 500_000),
    ],
)
def test_numbers_of_tokens(text, number):
    assert count(text, "tokens") == number
    assert share_or_count(text) == number


@given(st.text(max_size=12) | st.from_regex(r"[0-9.e_]{1,8}[kMB%]?", fullmatch=True))
def test_any_text_is_a_number_a_share_or_refused(text):
    try:
        found = share_or_count(text)
    except ConfigError:
        return
    assert (isinstance(found, int) and 1 <= found <= 2**62) or 0 < found < 1


@pytest.mark.parametrize(
    ("text", "share"), [("3%", 0.03), ("0.03", 0.03), (".5", 0.5), ("0.1%", 1e-3)]
)
def test_shares(text, share):
    assert share_or_count(text) == share


def test_text_cannot_move_the_cursor():
    assert visible("a\x1b[2Jb\r\n\tc\u202e") == "a\\x1b[2Jb\\r\n\\tc\\u202e"
