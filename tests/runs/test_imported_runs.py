"""Imported runs come back as they were written, or not at all."""

from __future__ import annotations

import math

import numpy as np
import pytest

from descentlab.errors import ConfigError, CorruptError, StorageError
from descentlab.runs.imported import (
    ImportedRun,
    Source,
    find_import,
    imports,
    load_imported,
    write_import,
)
from descentlab.runs.store import Store

SOURCE = Source(kind="table", name="a.csv", bytes=3, sha256="ab" * 32)


def run(row=0, **changes):
    known = {
        "sweep": "s",
        "row": row,
        "method": "adam",
        "settings": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.95, "clip_norm": "none"},
        "curve": np.array([9.0, 0.1 + 0.2, math.inf, math.nan, 4.0]),
        "final_perplexity": 4.25,
        "train_perplexity": math.inf,
        "batch_size": 256,
        "sequence_length": 2048,
        "steps": 6200,
        "notes": ("a note",),
    }
    return ImportedRun(**{**known, **changes})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


def test_runs_come_back_equal(store):
    steps = np.array([1, 2, 3, 4, 100])
    written = [run(0), run(1, curve_steps=steps, final_perplexity=None, diverged=True), run(2)]
    write_import(store, SOURCE, written, notes=["of the file"])
    found = load_imported(store)
    assert [each.row for each in found] == [0, 1, 2]
    for before, after in zip(written, found, strict=True):
        for name in ImportedRun.__struct_fields__:
            np.testing.assert_equal(getattr(after, name), getattr(before, name))
        assert after.curve.dtype == np.float64
    assert found[1].curve_steps is not None
    assert found[1].curve_steps.dtype == np.int64
    assert imports(store)[0].notes == ("of the file",)
    assert (imports(store)[0].runs, imports(store)[0].diverged) == (3, 1)


def test_a_run_without_a_curve(store):
    write_import(store, SOURCE, [run(curve=np.array([]))])
    assert load_imported(store)[0].curve.shape == (0,)
    assert load_imported(store)[0].fractions.shape == (0,)


def test_tokens_and_labels():
    assert run().tokens == 3_250_585_600  # 6200 · 256 · 2048
    assert run(steps=None).tokens is None
    sgd = {"lr": 1.0, "beta": 0.9}
    assert run(method="sgd", settings={**sgd, "clip_norm": "none"}).label == "sgd"
    assert run(method="sgd", settings={**sgd, "clip_norm": 1.0}).label == "sgd+Gclip"
    both = {**sgd, "clip_norm": 1.0, "coordinate_clip": 1.0}
    assert run(method="sgd", settings=both).label == "sgd+Cclip"
    assert run().label == "adam"


def test_fractions_are_the_expected_positions_of_ordered_draws():
    draws = np.sort(np.random.default_rng(0).random((20_000, 5)), axis=1).mean(axis=0)
    np.testing.assert_allclose(run().fractions, draws, atol=0.005)
    known = run(curve_steps=np.array([62, 620, 3100, 6000, 6200]))
    np.testing.assert_allclose(known.fractions, [0.01, 0.1, 0.5, 6000 / 6200, 1.0])


def test_the_same_file_is_imported_once(store):
    first = write_import(store, SOURCE, [run()])
    assert find_import(store, SOURCE) == first
    write_import(store, SOURCE, [run(method="sgd")])  # as if another process had been quicker
    assert load_imported(store)[0].method == "adam"
    assert not list(store.aside.glob("imported*"))
    other = Source(kind="table", name="b.csv", bytes=3, sha256="ab" * 32)
    assert find_import(store, other) is None


@pytest.mark.parametrize("name", ["runs.jsonl", "manifest.json"])
def test_a_changed_byte_is_found(store, name):
    made = write_import(store, SOURCE, [run()])
    path = store.root / "imported" / made.source.import_id / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptError, match="import the file again"):
        load_imported(store)


def test_a_newer_schema_is_refused(store):
    from descentlab.config import seal, unseal

    made = write_import(store, SOURCE, [run()])
    path = store.root / "imported" / made.source.import_id / "manifest.json"
    content = unseal(path.read_bytes())
    assert content is not None
    path.write_bytes(seal(content.replace(b'"schema":1', b'"schema":2')))
    with pytest.raises(ConfigError, match="newer version"):
        imports(store)


def test_a_full_disk_leaves_nothing(store, monkeypatch):
    import descentlab.runs.imported as module

    def refuse(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "flush", refuse)
    with pytest.raises(StorageError, match="disk full"):
        write_import(store, SOURCE, [run()])
    monkeypatch.undo()
    assert load_imported(store) == []
    assert not list(store.aside.iterdir()) or not list(store.aside.glob("imported*"))
