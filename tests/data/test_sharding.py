"""Preparations at scale against a plain one in memory."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles.byte_preparations import DOCUMENTS, made, spec_of
from oracles.preparation import files_of, stream, texts, write_jsonl

from descentlab.data import shard_writer, sharding
from descentlab.data.meter import Progress
from descentlab.data.prepare import PreparedData
from descentlab.data.sharding import prepare_shards
from descentlab.data.shards import Manifest
from descentlab.data.tokenizer import train_bpe
from descentlab.data.verification import overlapping_documents
from descentlab.errors import ConfigError, DataError

SIZE = sum(len(text.encode()) + 1 for text in DOCUMENTS)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", DOCUMENTS)


def both(data: PreparedData) -> tuple[list[int], list[int]]:
    return data.train.tokens[:].tolist(), data.validation.tokens[:].tolist()


def manifest_of(folder: Path, corpus: Path, **changes: Any) -> Manifest:
    return prepare_shards(spec_of(corpus, **changes), folder, workers=0)


# The tokens


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({}, 0.1),
        ({"seed": 3, "held_out": 0.5}, 0.5),
        ({"tokens": 10_000}, 0.1),
        ({"tokens": 10_000, "held_out": 1000}, 1.05 * 1000 / 11_000),
        ({"tokens": 10_000, "held_out": 10_000, "seed": 1}, 0.525),
        ({"tokens": 1, "held_out": 1}, 0.525),
        ({"tokens": 999, "held_out": 111, "shard_tokens": 1}, 1.05 * 111 / 1110),
        ({"shard_tokens": 10**9}, 0.1),
    ],
    ids=str,
)
def test_the_tokens_are_all_documents_one_after_another(tmp_path, corpus, changes, share):
    asked = {name: changes.get(name) for name in ("tokens", "held_out")}
    held_out = asked["held_out"] if isinstance(asked["held_out"], int) else None
    expected = stream(
        DOCUMENTS,
        seed=changes.get("seed", 0),
        share=share,
        tokens=asked["tokens"],
        held_out=held_out,
    )
    assert both(made(tmp_path / "out", corpus, **changes)) == expected


def test_shards_of_any_size_are_the_same_dataset(tmp_path, corpus):
    hashes = {}
    for shard_tokens, number in ((700, 25), (5000, 4), (10**9, 1)):
        data = made(tmp_path / str(shard_tokens), corpus, shard_tokens=shard_tokens, tokens=15_000)
        shards = list((tmp_path / str(shard_tokens)).glob("shard-*"))
        assert len(shards) == pytest.approx(number, abs=4) if number > 1 else len(shards) == 1
        ids = [np.array(side, np.uint16).tobytes() for side in both(data)]
        assert data.train.header.sha256 == hashlib.sha256(ids[0]).hexdigest()
        assert data.validation.header.sha256 == hashlib.sha256(ids[1]).hexdigest()
        hashes[shard_tokens] = data.sha256
    assert len(set(hashes.values())) == 1


def test_any_number_of_processes_makes_the_same_files(tmp_path, corpus):
    tokenizer = tmp_path / "tokenizer.json"
    train_bpe(DOCUMENTS[:50], 300).save(tokenizer)
    files = []
    for workers in range(4):
        out = tmp_path / f"{workers}"
        made(out, corpus, workers=workers, tokenizer=str(tokenizer), held_out=300, tokens=5000)
        files.append(files_of(out))
    assert len(files[0]) > 10
    assert files[0] == files[1] == files[2] == files[3]


def test_equal_documents_are_on_one_side_and_held_out_ones_never_trained_on(tmp_path):
    documents = [*DOCUMENTS[:100], *DOCUMENTS[50:150]] * 2
    corpus = write_jsonl(tmp_path / "copies.jsonl", documents)
    for seed in range(3):
        out = tmp_path / f"{seed}"
        training, held_out = map(texts, both(made(out, corpus, seed=seed)))
        assert not set(training) & set(held_out)
        assert sorted(training + held_out) == sorted(documents)
        assert overlapping_documents(out) == 0


def test_an_overlap_is_found(tmp_path, monkeypatch):
    corpus = write_jsonl(tmp_path / "copies.jsonl", DOCUMENTS * 2)
    turn = iter(range(10_000))
    monkeypatch.setattr("descentlab.data.encoding.is_held_out", lambda *_, **__: next(turn) < 30)
    made(tmp_path / "out", corpus)
    assert overlapping_documents(tmp_path / "out") == 30


def test_the_seed_chooses_what_is_held_out(tmp_path, corpus):
    chosen = {tuple(both(made(tmp_path / f"{n}", corpus, seed=n))[1]) for n in range(3)}
    assert len(chosen) == 3


def test_counts_add_up(tmp_path):
    documents = [*DOCUMENTS, " \n", "\ufeffmarked", "a\0b\r\nc", ""]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", documents)
    manifest = manifest_of(tmp_path / "out", corpus, tokens=6000, held_out=400)
    counts = manifest.counts
    assert (counts.train_tokens, counts.held_out_tokens) == (6000, 400)
    whole = manifest_of(tmp_path / "all", corpus).counts
    assert (whole.documents, whole.policy_documents) == (304, 2)
    assert (whole.byte_order_marks, whole.nuls, whole.carriage_returns) == (1, 1, 1)
    assert whole.surplus_documents == whole.surplus_tokens == 0
    assert whole.text_bytes == SIZE - 300 + len("marked") + len("ab\nc")
    for each in (counts, whole):
        parts = [each.train_documents, each.held_out_documents, each.surplus_documents]
        assert each.documents == sum(parts) + each.policy_documents
        tokens = each.train_tokens + each.held_out_tokens + each.surplus_tokens
        assert tokens == each.text_bytes + sum(parts)


def test_a_corpus_with_fewer_tokens_than_asked_is_told(tmp_path, corpus):
    told: list[str] = []
    data = made(tmp_path / "out", corpus, tokens=10**6, held_out=10**5, told=told)
    training, held_out = stream(DOCUMENTS, seed=0, share=1.05 / 11)
    assert both(data) == (training, held_out)
    assert told[:2] == [
        f"warning: {corpus} has only {len(training):,} tokens to train on, not 1,000,000",
        f"warning: {corpus} has only {len(held_out):,} tokens to hold out, not 100,000",
    ]


def test_progress_tells_how_far_it_is(tmp_path, corpus):
    seen: list[Progress] = []
    spec = spec_of(corpus, tokens=8000, held_out=800)
    prepare_shards(spec, tmp_path / "out", workers=0, observe=seen.append)
    shares = [each.share for each in seen]
    done = [each.counts.train_tokens + each.counts.held_out_tokens for each in seen]
    assert shares[-1] == 1.0
    assert done == sorted(done)
    assert done[-1] == seen[-1].wanted == 8800
    assert all(each.seconds_left is not None and each.seconds_left >= 0 for each in seen[1:])
    assert seen[-1].seconds_left == 0.0


# Going on


def test_a_finished_preparation_is_not_made_again(tmp_path, corpus, monkeypatch):
    made(tmp_path / "out", corpus)
    before = files_of(tmp_path / "out")
    monkeypatch.setattr(sharding, "ShardWriter", None)
    told: list[str] = []
    made(tmp_path / "out", corpus, told=told, workers=0)
    assert files_of(tmp_path / "out") == before
    assert not (tmp_path / "out" / "unfinished").exists()
    assert told == []


@pytest.mark.parametrize("name", ["shard-00002", "shard-00000/train.tokens", "manifest.json"])
def test_a_shard_that_is_missing_is_made_again_and_no_other(tmp_path, corpus, monkeypatch, name):
    out = tmp_path / "out"
    made(out, corpus)
    before = files_of(out)
    shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink()
    asked: list[str] = []
    writer = shard_writer.ShardWriter

    def noted(folder: Path, *arguments: Any) -> shard_writer.ShardWriter:
        asked.append(folder.name)
        return writer(folder, *arguments)

    monkeypatch.setattr(sharding, "ShardWriter", noted)
    told: list[str] = []
    made(out, corpus, told=told)
    assert files_of(out) == before
    *again, beyond = asked  # the last one finds that the source has ended
    assert again == [name.split("/")[0]] * name.startswith("shard")
    assert beyond == f"shard-{len(list(out.glob('shard-*'))):05}"
    assert told[0].startswith(f"warning: {out / name}" if again else "checking")


def test_a_shard_whose_tokens_have_changed_is_named(tmp_path, corpus):
    out = tmp_path / "out"
    made(out, corpus)
    path = out / "shard-00001" / "train.tokens"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"tokens have changed .*delete the folder .*-00001 and"):
        made(out, corpus)
    shutil.rmtree(path.parent)
    expected = stream(DOCUMENTS, seed=0, share=0.1)
    assert both(made(out, corpus)) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": 5000}, "begun with tokens=None, not 5000"),
        ({"seed": 1}, "begun with seed=0, not 1"),
        ({"held_out": 0.2}, r"begun with held_out=0\.1, not 0\.2"),
        ({"shard_tokens": 999}, "begun with shard_tokens=2000, not 999"),
    ],
)
def test_other_settings_need_another_folder(tmp_path, corpus, changes, message):
    made(tmp_path / "out", corpus)
    with pytest.raises(ConfigError, match=message) as error:
        made(tmp_path / "out", corpus, **changes)
    assert error.value.exit_code == 2


def test_another_text_or_tokenizer_needs_another_folder(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in "abc":
        write_jsonl(folder / f"{name}.jsonl", DOCUMENTS)
    made(tmp_path / "out", folder)
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    made(tmp_path / "out", elsewhere)  # the same text
    write_jsonl(elsewhere / "b.jsonl", [*DOCUMENTS[:-1], "x" + DOCUMENTS[-1][1:]])
    with pytest.raises(DataError, match=r"elsewhere has changed since it was begun \(b\.jsonl\)"):
        made(tmp_path / "out", elsewhere)
    tokenizer = tmp_path / "tokenizer.json"
    train_bpe(DOCUMENTS[:50], 300).save(tokenizer)
    with pytest.raises(DataError, match="is another tokenizer than when it was begun"):
        made(tmp_path / "out", folder, tokenizer=str(tokenizer))


def test_a_folder_of_other_things_is_left_alone(tmp_path, corpus):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match=r"holds other things \((corpus|thesis)"):
        made(tmp_path, corpus)
    with pytest.raises(ConfigError, match="is a file"):
        made(tmp_path / "thesis.tex", corpus)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


# What cannot be prepared


@pytest.mark.parametrize(
    ("documents", "held_out", "message"),
    [
        ([], 0.1, "no text in it"),
        ([" ", "\n"], 0.1, "no text in it"),
        (["one"], 0.001, "of its 1 documents there is none to hold out"),
        (["one"], 0.999, "of its 1 documents there is none to train on"),
    ],
)
def test_too_little_text_is_refused(tmp_path, documents, held_out, message):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", documents)
    with pytest.raises(DataError, match=message) as error:
        made(tmp_path / "out", corpus, held_out=held_out)
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out": 10}, "held_out: a number of tokens needs"),
        ({"held_out": 11, "tokens": 10}, "held_out: 11 tokens are more than the 10"),
        ({"tokenizer": "bpe"}, "tokenizer: bpe is trained on a corpus in memory"),
        ({"separator": ""}, "separator: must not be empty"),
    ],
)
def test_settings_that_make_no_sense_are_refused(corpus, changes, message):
    with pytest.raises(ConfigError, match=message):
        spec_of(corpus, **changes)


def test_a_source_that_is_not_there_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "prepared"
    with pytest.raises(DataError, match="no such file"):
        prepare_shards(spec_of(tmp_path / "missing.txt"), folder, workers=0)
    assert not folder.exists()
    folder.mkdir()
    with pytest.raises(DataError, match="no such file"):
        prepare_shards(spec_of(tmp_path / "missing.txt"), folder, workers=0)
    assert folder.is_dir()  # somebody else made it


def test_what_a_process_left_that_died_beside_a_finished_dataset_is_dropped(tmp_path, corpus):
    folder = tmp_path / "prepared"
    made(folder, corpus)
    whole = files_of(folder)
    (folder / "unfinished").mkdir()
    os.link(folder / "manifest.json", folder / "unfinished" / "manifest.json.host.1.0")
    made(folder, corpus)
    assert files_of(folder) == whole
    assert not (folder / "unfinished").exists()
