from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from descentlab.config import cache_folder
from descentlab.data import prepare as prepare_module
from descentlab.data.prepare import PreparedData, prepare, reopen
from descentlab.data.spec import DataSpec
from descentlab.errors import DataError, StorageError

DOCUMENTS = [f"Document {n} says {'something ' * n}– 🎉" for n in range(20)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("<|endoftext|>".join(DOCUMENTS), encoding="utf-8")
    return path


def spec_of(corpus: Path, **changes) -> DataSpec:
    return DataSpec(**{"corpus": str(corpus), "tokenizer": "byte", **changes})


def texts(tokens: list[int]) -> list[str]:
    """The documents that byte tokens spell."""
    assert tokens[-1] == 256
    raw = bytes(token if token < 256 else 0 for token in tokens[:-1])
    return raw.decode().split("\0")


def both_sides(data: PreparedData) -> list[str]:
    return texts(data.train.tokens[:].tolist()) + texts(data.validation.tokens[:].tolist())


def no_training(*arguments: object) -> None:
    raise AssertionError("the tokenizer was made again")


def test_the_two_files_hold_every_document_once(corpus):
    assert sorted(both_sides(prepare(spec_of(corpus)))) == sorted(DOCUMENTS)


def test_the_hash_is_that_of_both_files_ids(corpus):
    data = prepare(spec_of(corpus))
    ids = [data.train.tokens[:], data.validation.tokens[:]]
    hashes = [hashlib.sha256(each.tobytes()).hexdigest() for each in ids]
    text = json.dumps(hashes, separators=(",", ":"))
    assert data.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_a_bpe_is_trained_without_the_documents_that_are_held_out(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("<|endoftext|>".join(["aaaa " * 20, "bbbb " * 20]))
    data = prepare(spec_of(corpus, tokenizer="bpe", vocabulary=259))
    trained = 1 + 2 * 19 + 1 + 1  # "aaaa", then a space and "aaaa", a space, the end
    assert (len(data.train.tokens), len(data.validation.tokens)) == (trained, 100 + 1)


def test_the_second_time_comes_from_the_cache(corpus, monkeypatch):
    first = prepare(spec_of(corpus, tokenizer="bpe", vocabulary=260))
    monkeypatch.setattr(prepare_module, "tokenizer_for", no_training)
    told: list[str] = []
    second = prepare(spec_of(corpus, tokenizer="bpe", vocabulary=260), told.append)
    assert second.sha256 == first.sha256
    assert told == []


@pytest.mark.parametrize("change", [{"sequence_length": 7}, {"max_epochs": 3}], ids=str)
def test_what_only_batches_depend_on_changes_no_tokens(corpus, monkeypatch, change):
    first = prepare(spec_of(corpus))
    monkeypatch.setattr(prepare_module, "tokenizer_for", no_training)
    assert prepare(spec_of(corpus, **change)).sha256 == first.sha256


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"validation_fraction": 0.5}, {"tokenizer": "bpe", "vocabulary": 260}],
    ids=str,
)
def test_what_decides_the_tokens_changes_their_hash(corpus, change):
    assert prepare(spec_of(corpus, **change)).sha256 != prepare(spec_of(corpus)).sha256


def test_the_same_text_elsewhere_gives_the_same_hash(corpus, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(json.dumps({"body": text}) for text in DOCUMENTS))
    assert prepare(spec_of(other, text_field="body")).sha256 == prepare(spec_of(corpus)).sha256


def test_another_tokenizer_file_of_the_same_name_is_noticed(corpus, tmp_path):
    prepare(spec_of(corpus, tokenizer="bpe", vocabulary=260))
    (saved,) = cache_folder().glob("tokens/*/tokenizer.json")
    tokenizer = tmp_path / "tokenizer.json"
    shutil.copy(saved, tokenizer)
    first = prepare(spec_of(corpus, tokenizer=str(tokenizer)))
    model = json.loads(tokenizer.read_text())
    model["model"]["merges"] = model["model"]["merges"][:1]
    tokenizer.write_text(json.dumps(model))
    assert prepare(spec_of(corpus, tokenizer=str(tokenizer))).sha256 != first.sha256


def test_a_changed_corpus_of_the_same_name_is_noticed(corpus):
    first = prepare(spec_of(corpus))
    corpus.write_text(corpus.read_text("utf-8").replace("something", "anything"), "utf-8")
    assert prepare(spec_of(corpus)).sha256 != first.sha256


# Copies


def test_copies_of_a_held_out_document_are_not_trained_on(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("<|endoftext|>".join([*DOCUMENTS[:4], "the same", *DOCUMENTS[4:9]] * 7))
    for seed in range(10):
        told: list[str] = []
        data = prepare(spec_of(corpus, seed=seed, validation_fraction=0.05), told.append)
        held_out = texts(data.validation.tokens[:].tolist())
        training = texts(data.train.tokens[:].tolist())
        assert not set(training) & set(held_out)
        left_out = 70 - len(held_out) - len(training)
        assert left_out == 7 * len(set(held_out)) - len(held_out) > 0
        assert told[-1] == f"{corpus}: {left_out} documents left out, as copies of held-out ones"


def test_a_corpus_of_copies_is_refused(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("one<|endoftext|>" * 9)
    with pytest.raises(DataError, match="every document for training is also held out"):
        prepare(spec_of(corpus))


# Damage


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def spoil(path: Path) -> None:
    path.write_bytes(b"\xff\0")


@pytest.mark.parametrize("pattern", ["tokens/*/train.tokens", "tokens/*/validation.tokens"])
@pytest.mark.parametrize("damage", [flip, Path.unlink, spoil])
def test_damaged_tokens_are_told_and_made_again(
    corpus, cache, pattern, damage: Callable[[Path], None]
):
    first = prepare(spec_of(corpus))
    (path,) = cache.glob(pattern)
    damage(path)
    told: list[str] = []
    again = prepare(spec_of(corpus), told.append)
    assert told[0].startswith(f"warning: {path}: ")
    assert again.sha256 == first.sha256
    assert sorted(both_sides(again)) == sorted(DOCUMENTS)


@pytest.mark.parametrize("damage", [flip, spoil, lambda path: path.write_text("")])
def test_a_damaged_entry_of_the_cache_is_told_and_made_again(corpus, cache, damage):
    first = prepare(spec_of(corpus))
    (path,) = cache.glob("keys/*")
    damage(path)
    told: list[str] = []
    assert prepare(spec_of(corpus), told.append).sha256 == first.sha256
    assert told[0].startswith("warning: ")
    assert path.read_text() == first.sha256


def test_what_was_prepared_is_opened_by_its_hash(corpus):
    data = prepare(spec_of(corpus))
    assert both_sides(reopen(data.sha256)) == both_sides(data)


def test_an_unknown_hash_cannot_be_opened(corpus):
    prepare(spec_of(corpus))
    with pytest.raises(DataError, match="cannot be read") as error:
        reopen("0" * 64)
    assert error.value.exit_code == 3


def test_tokens_under_another_name_are_refused(corpus, cache):
    data = prepare(spec_of(corpus))
    shutil.copytree(cache / "tokens" / data.sha256[:24], cache / "tokens" / ("0" * 24))
    with pytest.raises(DataError, match="holds other tokens than its name says"):
        reopen("0" * 64)


# The cache


@pytest.mark.parametrize("blocked", ["", "keys", "tokens"])
def test_a_cache_that_cannot_be_written_is_named(corpus, cache, blocked):
    (cache / blocked).parent.mkdir(exist_ok=True)
    (cache / blocked).write_text("a file where a folder should be")
    with pytest.raises(StorageError, match=f"{cache}: cannot write the token cache") as error:
        prepare(spec_of(corpus))
    assert error.value.exit_code == 4


def test_equal_tokens_are_kept_once_and_nothing_unfinished_is_left(corpus, cache):
    data = prepare(spec_of(corpus))
    prepare(spec_of(corpus, text_field="unused in text files"))
    assert os.listdir(cache / "tokens") == [data.sha256[:24]]
    assert len(os.listdir(cache / "keys")) == 2


def test_what_a_killed_process_left_a_day_ago_is_dropped(corpus, cache):
    for name, age in ((".making-old", 90_000), (".making-young", 80_000)):
        (cache / "tokens" / name).mkdir(parents=True)
        written = time.time() - age
        os.utime(cache / "tokens" / name, (written, written))
    data = prepare(spec_of(corpus))
    assert set(os.listdir(cache / "tokens")) == {".making-young", data.sha256[:24]}


def test_processes_that_prepare_at_once_agree(corpus, cache):
    code = (
        "import sys; from descentlab.data.prepare import prepare; "
        "from descentlab.data.spec import DataSpec; input(); "
        "print(prepare(DataSpec(corpus=sys.argv[1], tokenizer='byte')).sha256)"
    )
    command = [sys.executable, "-c", code, str(corpus)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert {process.communicate()[0].strip() for process in processes} == {
        prepare(spec_of(corpus)).sha256
    }
    assert len(os.listdir(cache / "tokens")) == 1


def test_what_another_process_has_made_meanwhile_is_left_to_it(corpus, cache, monkeypatch):
    """Also if it was not there yet when this one looked."""

    def look(sha256: str) -> PreparedData:
        monkeypatch.setattr(prepare_module, "reopen", reopen)
        try:
            return reopen(sha256)
        finally:  # now the other process comes, and is done before this one goes on
            other = prepare(spec_of(corpus, text_field="unused in text files"))
            other.train.path.with_name("of the other").touch()

    monkeypatch.setattr(prepare_module, "reopen", look)
    data = prepare(spec_of(corpus))
    assert [path.parent for path in cache.glob("tokens/*/of the other")] == [data.train.path.parent]
