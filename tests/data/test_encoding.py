"""Batches in order, in bounded memory, and the share of documents that is held out."""

from __future__ import annotations

import hashlib
import json
import math
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.preparation import apart, some_documents, write_jsonl

from descentlab.data import encoding
from descentlab.data.encoding import Batch, Encoder, Encoders, batches
from descentlab.data.forecast import forecast
from descentlab.data.held_out import is_held_out
from descentlab.data.sources import source_for
from descentlab.data.spec import PreparationSpec
from descentlab.data.text_policy import Cleaning
from descentlab.data.tokenizer import ByteTokenizer
from descentlab.errors import DataError


def spec_of(path: Path, **changes: Any) -> PreparationSpec:
    return PreparationSpec(source=str(path), tokenizer="byte", **changes)


# Who is held out


@given(st.binary(min_size=32, max_size=32), st.integers(0, 9), st.floats(0, 1))
def test_the_choice_is_the_hash_below_the_share(text, seed, share):
    mixed = hashlib.sha256(b"%d/held-out/" % seed + text).digest()
    expected = int.from_bytes(mixed[:8], "little") < share * 2**64
    assert is_held_out(text, seed=seed, share=share) == expected


@pytest.mark.parametrize("share", [0.003, 0.03, 0.5])
def test_about_the_share_of_the_documents_is_held_out(share):
    hashes = [hashlib.sha256(b"%d" % number).digest() for number in range(20_000)]
    for seed in (0, 1):
        count = sum(is_held_out(each, seed=seed, share=share) for each in hashes)
        assert abs(count - 20_000 * share) < 4 * math.sqrt(20_000 * share * (1 - share))


# Batches


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=30)), st.integers(1, 60))
def test_a_batch_ends_with_the_document_that_fills_it(tmp_path_factory, texts, characters):
    path = write_jsonl(tmp_path_factory.mktemp("batches") / "corpus.jsonl", texts)
    found = list(batches(source_for(spec_of(path)), None, characters=characters))
    assert [text for batch in found for text in batch.documents] == texts
    for batch in found[:-1]:
        assert len("".join(batch.documents[:-1])) < characters <= len("".join(batch.documents))
    for batch, following in pairwise(found):
        rest = batches(source_for(spec_of(path)), batch.position, characters=characters)
        assert next(rest).documents == following.documents


def test_many_small_documents_are_a_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "MOST_DOCUMENTS", 10)
    path = write_jsonl(tmp_path / "corpus.jsonl", ["x"] * 25)
    found = batches(source_for(spec_of(path)), None, characters=1000)
    assert [len(batch.documents) for batch in found] == [10, 10, 5]


def test_results_come_in_order_whatever_takes_long():
    """Batches of very different sizes, so that later ones are ready first."""
    draw = random.Random(0)
    sizes = [draw.choice([1, 10, 100_000]) for _ in range(40)]
    texts = [[f"{number} " + "word " * size] for number, size in enumerate(sizes)]
    given_batches = [
        Batch(list(each), {"n": n}, Cleaning(), None, len(each[0])) for n, each in enumerate(texts)
    ]
    encoder = Encoder(ByteTokenizer(), 0, 0.1)
    with Encoders(encoder, 2) as encoders:
        found = list(encoders.encode(given_batches))
    assert [batch.position["n"] for batch, _ in found] == list(range(40))
    for (_, encoded), each in zip(found, texts, strict=True):
        assert encoded.ids.tolist() == [*each[0].encode(), 256]
        assert encoded.held_out.tolist() == [apart(each[0], seed=0, share=0.1)]


def test_no_more_batches_are_read_than_are_under_way(monkeypatch):
    monkeypatch.setattr(encoding, "BATCH", 10)
    read: list[int] = []

    def given_batches(characters: int) -> Iterator[Batch]:
        for number in range(30):
            read.append(number)
            yield Batch([f"{number}"], {}, Cleaning(), None, characters)

    with Encoders(Encoder(ByteTokenizer(), 0, 0.1), 2) as encoders:
        for characters, most in ((1, 5), (30, 3), (1000, 2)):
            read.clear()
            for number, _ in enumerate(encoders.encode(given_batches(characters))):
                assert len(read) <= number + most
            assert len(read) == 30


def test_documents_that_the_policy_leaves_out_are_counted():
    encoded = Encoder(ByteTokenizer(), 0, 0.5).encode(["one", " ", "", "two\r\n"])
    assert (encoded.lengths.tolist(), encoded.left_out, encoded.size) == ([4, 5], 2, 7)
    assert encoded.cleaning == Cleaning(carriage_returns=1)
    hashes = [hashlib.sha256(text).digest() for text in (b"one", b"two\n")]
    assert encoded.text_sha256 == b"".join(hashes)
    nothing = Encoder(ByteTokenizer(), 0, 0.5).encode([""])
    assert (len(nothing.ids), nothing.ids.dtype, nothing.left_out) == (0, np.uint16, 1)


# Memory

PEAK = """
import re, resource, sys
from pathlib import Path
from descentlab.data.sharding import prepare_shards
from descentlab.data.spec import PreparationSpec
if __name__ == "__main__":
    spec = PreparationSpec(
        source=sys.argv[1], tokenizer="byte", held_out=0.1, shard_tokens=2_000_000
    )
    prepare_shards(spec, Path(sys.argv[2]), workers=int(sys.argv[3]))
    # What getrusage says of this process counts the one that started it as well.
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_corpus(tmp_path, workers):
    script = tmp_path / "prepare.py"
    script.write_text(PEAK)
    text = " ".join(some_documents(400))
    line = json.dumps({"text": text}) + "\n"
    factor = 1 if workers == 0 else 8
    peaks = {}
    for megabytes in (4 * factor, 48 * factor):
        corpus = tmp_path / f"{megabytes}.jsonl"
        with corpus.open("w") as file:
            for number in range(megabytes * 10**6 // len(line)):
                file.write(line.replace("0:", f"{number}:", 1))
        command = [sys.executable, str(script), str(corpus), str(tmp_path / f"out-{megabytes}")]
        done = subprocess.run([*command, str(workers)], capture_output=True, text=True, check=True)
        peaks[megabytes] = [int(line) / 1000 for line in done.stdout.split()]
    small, large = peaks.values()
    print(f"peaks in MB, of this process and of its largest child: {peaks}")
    assert max(large) < 300
    for before, after in zip(small, large, strict=True):
        assert after - before < 15  # MB, for 44 MB of text or 352 MB


# Forecasts


def test_a_forecast_measures_the_very_corpus(tmp_path):
    documents = some_documents(500)
    path = write_jsonl(tmp_path / "corpus.jsonl", documents)
    size = sum(len(text.encode()) for text in documents)
    found = forecast(spec_of(path), workers=0)
    assert (found.sample.documents, found.sample.text_bytes) == (500, size)
    assert found.sample.tokens == size + 500
    assert found.there_are == found.to_read == found.to_store == pytest.approx(size + 500)
    assert found.bytes_per_token == size / (size + 500)
    assert found.tokens_per_document == (size + 500) / 500
    assert found.bytes_per_id == 2
    asked = forecast(spec_of(path, tokens=10**9, held_out=10**8), workers=0)
    assert asked.to_store == 1.1e9
    assert asked.to_read == pytest.approx(1e9 / (1 - 1.05 / 11))
    by_share = forecast(spec_of(path, tokens=10**9, held_out=0.2), workers=0)
    assert by_share.to_read == by_share.to_store == 1.25e9


def test_a_forecast_stops_when_its_time_is_over(tmp_path):
    path = write_jsonl(tmp_path / "corpus.jsonl", some_documents(500))
    found = forecast(spec_of(path, shard_tokens=1000), workers=0, sample_seconds=0)
    assert found.sample.tokens < 2500
    assert found.sample.share == 1.0  # of a file that is read in one block
    assert not (tmp_path / "data").exists()


def test_no_forecast_is_made_of_nothing(tmp_path):
    with pytest.raises(DataError, match="no text in it"):
        forecast(spec_of(write_jsonl(tmp_path / "corpus.jsonl", [])), workers=0)


def test_a_process_that_encodes_lets_signals_in_when_it_can_stand_them(monkeypatch):
    """What came while it started is delivered then, and TERM would end it before its parent."""
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "")
    monkeypatch.setattr(encoding, "_ENCODER", None)
    handlers = []
    monkeypatch.setattr(
        encoding, "leave_with_parent", lambda: handlers.append(signal.getsignal(signal.SIGTERM))
    )
    before = signal.getsignal(signal.SIGTERM)
    try:
        encoding._begin(Encoder(ByteTokenizer(), 0, 0.1))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert handlers == [signal.SIG_IGN]
