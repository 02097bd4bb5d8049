"""Shards that are read as one file, and what is refused of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.preparation import some_documents, stream, write_jsonl

from descentlab.config import seal
from descentlab.data import prepare as prepare_module
from descentlab.data import verification
from descentlab.data.batches import Batches, held_out_batches
from descentlab.data.prepare import PreparedData, prepare
from descentlab.data.sharding import prepare_shards
from descentlab.data.shards import JoinedTokens, documents_of, open_shards
from descentlab.data.spec import DataSpec, PreparationSpec
from descentlab.data.token_file import TokenFile, open_token_file, write_token_file
from descentlab.errors import ConfigError, DataError

DOCUMENTS = some_documents(120)


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A dataset of a few shards."""
    folder = tmp_path_factory.mktemp("dataset")
    corpus = write_jsonl(folder / "corpus.jsonl", DOCUMENTS)
    spec = PreparationSpec(
        source=str(corpus), tokenizer="byte", held_out=0.2, shard_tokens=2000, seed=4
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESCENTLAB_CACHE", str(folder / "cache"))
        prepare_shards(spec, folder / "out", workers=0)
    return folder / "out"


@pytest.fixture
def dataset(original, tmp_path) -> Path:
    """A copy of it to damage; nobody has read it here yet."""
    return shutil.copytree(original, tmp_path / "dataset")


def opened(folder: Path, told: list[str] | None = None) -> PreparedData:
    notice = [].append if told is None else told.append
    return prepare(DataSpec(corpus=str(folder)), notice)


# Reading


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 45), st.integers(0, 45)), max_size=20),
)
def test_joined_tokens_are_cut_as_one_array_is(lengths, spans):
    whole = np.arange(sum(lengths), dtype=np.uint16)
    parts = np.split(whole, np.cumsum(lengths)[:-1])
    joined = JoinedTokens(parts)
    assert len(joined) == len(whole)
    assert joined[:].tolist() == whole.tolist()
    for start, stop in spans:
        assert joined[start:stop].tolist() == whole[start:stop].tolist()


def test_shards_are_not_copied_where_one_suffices():
    parts = [np.arange(10, dtype=np.uint16), np.arange(10, 20, dtype=np.uint16)]
    assert np.shares_memory(JoinedTokens(parts)[12:17], parts[1])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 4), st.integers(0, 3))
def test_batches_of_shards_are_those_of_one_file(original, length, batch_size, seed):
    shards = PreparedData(*open_shards(original))
    one_file = PreparedData(
        *(
            TokenFile(Path("one"), side.header, np.ascontiguousarray(side.tokens[:]))
            for side in (shards.train, shards.validation)
        )
    )
    rows = len(shards.train.tokens) // (length + 1)
    steps = 2 * rows // batch_size
    for step in (1, steps // 2, steps):
        first, second = (
            Batches(
                data,
                sequence_length=length,
                batch_size=batch_size,
                steps=steps,
                max_epochs=2,
                seed=seed,
            )(step)
            for data in (shards, one_file)
        )
        assert first.tolist() == second.tolist()
    pairs = [
        [(inputs.tolist(), targets.tolist()) for inputs, targets in found]
        for found in (
            held_out_batches(data, sequence_length=length, sequences=batch_size)
            for data in (shards, one_file)
        )
    ]
    assert pairs[0] == pairs[1]


def test_a_dataset_is_named_as_the_corpus_of_a_run(dataset):
    data = opened(dataset)
    training, held_out = stream(DOCUMENTS, seed=4, share=0.2)
    assert data.train.tokens[:].tolist() == training
    assert data.validation.tokens[:].tolist() == held_out
    assert data.vocabulary == 257
    assert data.train.path == dataset


def test_the_same_tokens_in_two_files_have_the_same_hash(dataset, tmp_path):
    data = opened(dataset)
    files = []
    for name, side in (("train", data.train), ("validation", data.validation)):
        path = tmp_path / f"{name}.tokens"
        write_token_file(
            path, [side.tokens[:]], vocabulary=257, tokenizer_sha256="", text_sha256=""
        )
        files.append(open_token_file(path))
    assert PreparedData(*files).sha256 == data.sha256


@pytest.mark.parametrize(
    "change",
    [
        {"tokenizer": "byte"},
        {"vocabulary": 300},
        {"seed": 1},
        {"validation_fraction": 0.1},
        {"text_field": "body"},
        {"separator": "\n"},
    ],
    ids=str,
)
def test_what_was_settled_when_it_was_prepared_cannot_be_set(dataset, change):
    (name,) = change
    with pytest.raises(ConfigError, match=rf"data\.{name}: .* was prepared with settings of its"):
        prepare(DataSpec(corpus=str(dataset), **change))


def test_a_run_may_choose_its_rows(dataset):
    spec = DataSpec(corpus=str(dataset), sequence_length=7, max_epochs=3)
    assert prepare(spec).sha256 == opened(dataset).sha256


def test_documents_are_found_in_pieces_of_any_size(dataset, monkeypatch):
    file = open_shards(dataset)[0].files[0]
    expected: list[list[int]] = [[]]
    for token in file.tokens.tolist():
        if token == 256:
            expected.append([])
        else:
            expected[-1].append(token)
    for piece in (1, 5, 64, 10**6):
        monkeypatch.setattr("descentlab.data.token_file.PIECE", piece)
        found = [document.tolist() for document in documents_of(file, 256)]
        assert found == expected[:-1]
        assert len(found) > 10


# Damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_another_type(path: Path) -> None:
    write_token_file(path, [], vocabulary=2**20, tokenizer_sha256="t", text_sha256="x")


def of_another_dataset(path: Path) -> None:
    shutil.copy(path.parent.parent / "shard-00000" / path.name, path)


def swap_sides(path: Path) -> None:
    train, validation = path.parent / "train.tokens", path.parent / "validation.tokens"
    aside = path.parent / "aside"
    train.rename(aside)
    validation.rename(train)
    aside.rename(validation)


@pytest.mark.parametrize("name", ["train", "validation"])
@pytest.mark.parametrize(
    "damage",
    [Path.unlink, cut, lengthen, flip, empty, of_another_type, of_another_dataset, swap_sides],
)
def test_a_damaged_shard_is_refused_by_name(dataset, name, damage: Callable[[Path], None]):
    opened(dataset)  # what was checked before must not count
    damage(dataset / "shard-00002" / f"{name}.tokens")
    with pytest.raises(DataError, match="shard-00002") as error:
        opened(dataset)
    assert error.value.exit_code == 3


def test_every_flipped_bit_of_the_manifest_is_noticed(dataset):
    path = dataset / "manifest.json"
    raw = path.read_bytes()
    for place in range(0, len(raw) - 1, 29):  # the last byte ends the line
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(DataError, match="manifest"):
            open_shards(dataset)


def test_ids_outside_the_vocabulary_are_refused(tmp_path):
    """Of a dataset whose hashes fit, as a faulty program would write it."""
    corpus = write_jsonl(tmp_path / "corpus.jsonl", DOCUMENTS)
    spec = PreparationSpec(source=str(corpus), tokenizer="byte", held_out=0.2)
    out = tmp_path / "out"
    prepare_shards(spec, out, workers=0)
    for path in (out / "shard-00000" / "train.tokens", out / "manifest.json"):
        rewrite(path, lambda text: text.replace(b'"vocabulary":257', b'"vocabulary":256'))
    with pytest.raises(DataError, match="holds token id 256, outside its vocabulary of 256"):
        opened(out)


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change sealed JSON, or the sealed header of a token file, and seal it again."""
    raw = path.read_bytes()
    start = 16 if path.suffix == ".tokens" else 0
    end = start + int.from_bytes(raw[8:16], "little") if start else len(raw)
    content = change(raw[start:end]).rpartition(b',"crc":')[0] + b"}"
    path.write_bytes(raw[:start] + seal(content).ljust(end - start if start else 0) + raw[end:])


def test_manifests_of_other_versions_are_refused(dataset):
    rewrite(dataset / "manifest.json", lambda text: text.replace(b'"shards":', b'"pieces":'))
    with pytest.raises(DataError, match="another version of this program"):
        opened(dataset)


def test_an_unfinished_dataset_is_refused_with_the_cure(dataset):
    (dataset / "manifest.json").unlink()
    with pytest.raises(DataError, match="not come to an end; repeat its descent data prepare"):
        opened(dataset)


# Checking once


def test_tokens_are_read_once_and_again_when_a_file_was_written(dataset, monkeypatch):
    told: list[str] = []
    read: list[str] = []
    verify = verification.verify_tokens

    def noted(file: TokenFile, *hashes: Any) -> None:
        read.append(file.path.name)
        verify(file, *hashes)

    monkeypatch.setattr(verification, "verify_tokens", noted)
    opened(dataset, told)
    shards = len(list(dataset.glob("shard-*")))
    assert len(read) == 2 * shards
    assert told == [f"checking the tokens of {dataset}: {total(dataset):,}"]
    opened(dataset, told)
    assert (len(read), len(told)) == (2 * shards, 1)
    path = dataset / "shard-00001" / "train.tokens"
    path.write_bytes(path.read_bytes())
    opened(dataset, told)
    assert (len(read), len(told)) == (4 * shards, 2)


def total(folder: Path) -> int:
    train, validation = open_shards(folder)
    return len(train.tokens) + len(validation.tokens)


def test_what_is_written_while_tokens_are_read_is_read_once_more(dataset, monkeypatch):
    whole_sha256 = verification.whole_sha256

    def and_then_written(files: Any) -> str:
        found = whole_sha256(files)
        path = dataset / "shard-00000" / "train.tokens"
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(verification, "whole_sha256", and_then_written)
        opened(dataset)
    with pytest.raises(DataError, match="its tokens have changed since it was written"):
        opened(dataset)


def test_a_dataset_is_not_checked_again_right_after_it_was_made(tmp_path, monkeypatch):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", DOCUMENTS)
    spec = PreparationSpec(source=str(corpus), tokenizer="byte", held_out=0.2)
    prepare_shards(spec, tmp_path / "out", workers=0)
    monkeypatch.setattr(verification, "verify_tokens", None)
    opened(tmp_path / "out")


def test_a_dataset_opens_where_nothing_can_be_noted(dataset, cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file where a folder should be")
    told: list[str] = []
    opened(dataset, told)
    opened(dataset, told)
    assert len(told) == 2


def test_nothing_else_is_made_of_a_prepared_dataset(dataset, monkeypatch):
    monkeypatch.setattr(prepare_module, "load_corpus", None)
    opened(dataset)


def test_the_manifest_says_where_the_tokens_come_from(dataset):
    described = msgspec.json.decode((dataset / "manifest.json").read_bytes())
    assert described["preparation"]["spec"]["seed"] == 4
    ((name, size, _),) = described["preparation"]["source"]["files"]
    assert name == "corpus.jsonl"
    assert size == sum(len(json.dumps({"text": text})) + 1 for text in DOCUMENTS)
