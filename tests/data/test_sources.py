"""Every kind of source gives the same documents, from any position on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from oracles.preparation import files_of, some_documents, stream, write_jsonl

from descentlab.data import hub
from descentlab.data.prepare import PreparedData
from descentlab.data.sharding import prepare_shards
from descentlab.data.shards import Manifest, open_shards
from descentlab.data.sources import LocalFiles, Source, source_for
from descentlab.data.spec import PreparationSpec
from descentlab.data.text_policy import Cleaning
from descentlab.errors import ConfigError, DataError

DOCUMENTS = some_documents(90, seed=7)


@pytest.fixture(autouse=True, scope="module")
def _offline(tmp_path_factory) -> Iterator[None]:
    """No hub, and a cache for the library that ends with the tests."""
    hub._library()
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("datasets")
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder)
        patch.setattr("datasets.config.HF_MODULES_CACHE", str(folder / "modules"))
        yield


def parts() -> Iterator[tuple[int, list[str]]]:
    """The documents in three files."""
    return enumerate([DOCUMENTS[:40], DOCUMENTS[40:41], DOCUMENTS[41:]])


def jsonl_files(folder: Path) -> str:
    for number, documents in parts():
        write_jsonl(folder / f"part-{number}.jsonl", documents)
    return str(folder)


def jsonl_with_other_fields(folder: Path) -> str:
    lines = [json.dumps({"id": n, "text": text}) for n, text in enumerate(DOCUMENTS)]
    (folder / "part.jsonl").write_text("\n".join(lines))
    return str(folder / "part.jsonl")


def parquet_files(folder: Path) -> str:
    for number, documents in parts():
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE documents (id INTEGER, text VARCHAR)")
            connection.executemany(
                "INSERT INTO documents VALUES (?, ?)", list(enumerate(documents))
            )
            connection.table("documents").write_parquet(str(folder / f"part-{number}.parquet"))
    return str(folder)


def text_file(folder: Path) -> str:
    (folder / "text.txt").write_text("\f".join(DOCUMENTS), encoding="utf-8")
    return str(folder / "text.txt")


def repository_of_jsonl(folder: Path) -> str:
    return f"hf:{jsonl_files(folder)}"


def repository_of_parquet(folder: Path) -> str:
    return f"hf:{parquet_files(folder)}"


def saved_dataset(folder: Path) -> str:
    import datasets

    dataset = datasets.Dataset.from_dict({"text": DOCUMENTS, "id": list(range(len(DOCUMENTS)))})
    dataset.save_to_disk(str(folder / "saved"), num_shards=3)
    return str(folder / "saved")


def saved_splits(folder: Path) -> str:
    import datasets

    dataset = datasets.Dataset.from_dict({"text": DOCUMENTS})
    datasets.DatasetDict({"test": dataset.select([0]), "train": dataset}).save_to_disk(
        str(folder / "saved")
    )
    return str(folder / "saved")


KINDS = [
    jsonl_files,
    jsonl_with_other_fields,
    parquet_files,
    text_file,
    repository_of_jsonl,
    repository_of_parquet,
    saved_dataset,
    saved_splits,
]


def spec_of(name: str, **changes) -> PreparationSpec:
    return PreparationSpec(source=name, tokenizer="byte", separator="\f", **changes)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def spec(request, tmp_path) -> PreparationSpec:
    folder = tmp_path / "corpus"
    folder.mkdir()
    return spec_of(request.param(folder), held_out=0.2, shard_tokens=1200)


def prepared(spec: PreparationSpec, folder: Path) -> Manifest:
    return prepare_shards(spec, folder, workers=0)


def test_equal_text_gives_equal_tokens_whatever_it_comes_in(spec, tmp_path):
    prepared(spec, tmp_path / "out")
    data = PreparedData(*open_shards(tmp_path / "out"))
    training, held_out = stream(DOCUMENTS, seed=0, share=0.2)
    assert data.train.tokens[:].tolist() == training
    assert data.validation.tokens[:].tolist() == held_out


def test_a_source_goes_on_from_any_position(spec):
    source = source_for(spec)
    positions = [json.loads(json.dumps(source.position())) for _ in source.documents(None)]
    shares = []
    for read in (1, 39, 40, 41, 42, 89, 90):
        again = source_for(spec)
        rest = []
        for text in again.documents(positions[read - 1]):
            rest.append(text)
            shares.append(again.share())
        assert rest == DOCUMENTS[read:]
        assert again.cleaning == Cleaning()
    known = [share for share in shares if share is not None]
    assert all(0 < share <= 1 for share in known)
    assert known[-1:] in ([], [1.0])


def test_a_preparation_goes_on_after_its_last_shard(spec, tmp_path, monkeypatch):
    prepared(spec, tmp_path / "whole")
    prepared(spec, tmp_path / "out")
    (tmp_path / "out" / "manifest.json").unlink()
    for number in range(2, len(list((tmp_path / "out").glob("shard-*")))):
        shutil.rmtree(tmp_path / "out" / f"shard-{number:05}")
    read: list[str] = []
    documents = type(source_for(spec)).documents

    def noted(self: Source, start: object) -> Iterator[str]:
        for text in documents(self, start):  # pyright: ignore[reportArgumentType] as it came
            read.append(text)
            yield text

    monkeypatch.setattr(type(source_for(spec)), "documents", noted)
    prepared(spec, tmp_path / "out")
    files, whole = files_of(tmp_path / "out"), files_of(tmp_path / "whole")
    assert files.keys() == whole.keys()
    differ = {name for name in files if files[name] != whole[name]}
    if isinstance(source_for(spec), LocalFiles):
        assert differ == set()
    else:  # the library writes a place in other words after it was read on from
        assert all(name.endswith("shard.json") for name in differ)
    assert read == DOCUMENTS[-len(read) :]
    assert len(read) < len(DOCUMENTS)


def test_counts_of_a_file_are_not_counted_twice(tmp_path):
    path = tmp_path / "corpus.txt"
    lines = b"".join(b"\r\nword \0 word %d\f" % number for number in range(200))
    path.write_bytes(b"\xef\xbb\xbf" + lines + b"\xff" + b"a" * 9000)
    whole = prepared(
        spec_of(str(path), shard_tokens=10**6, held_out=0.5), tmp_path / "whole"
    ).counts
    assert (whole.carriage_returns, whole.nuls, whole.byte_order_marks, whole.replaced) == (
        200,
        200,
        1,
        1,
    )
    spec = spec_of(str(path), shard_tokens=500, held_out=0.5)
    prepared(spec, tmp_path / "out")
    (tmp_path / "out" / "manifest.json").unlink()
    for number in (1, 3, 4):
        shutil.rmtree(tmp_path / "out" / f"shard-{number:05}")
    assert prepared(spec, tmp_path / "out").counts == whole


@pytest.mark.parametrize("kind", [jsonl_files, repository_of_jsonl, saved_dataset])
def test_a_source_that_changed_is_noticed_and_one_that_was_touched_is_not(kind, tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    name = kind(folder)
    before = source_for(spec_of(name)).identity
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        path.touch()
    assert source_for(spec_of(name)).identity == before
    largest = max(files, key=lambda path: path.stat().st_size)
    raw = bytearray(largest.read_bytes())
    raw[len(raw) // 2] ^= 1
    largest.write_bytes(raw)
    assert source_for(spec_of(name)).identity != before


def test_a_large_file_is_sampled_from_end_to_end(tmp_path):
    path = tmp_path / "corpus.txt"
    raw = bytearray(b"x" * 3_000_000)
    path.write_bytes(raw)
    before = source_for(spec_of(str(path))).identity
    for place in (0, 1_400_000 // 47_555 * 47_555 + 100, len(raw) - 1):
        changed = raw.copy()
        changed[place] = 0
        path.write_bytes(changed)
        assert (source_for(spec_of(str(path))).identity != before) == (place != 1)
    path.write_bytes(raw + b"x")
    assert source_for(spec_of(str(path))).identity != before


# Names


def test_presets_are_the_papers_corpora_and_settings_replace_theirs():
    slimpajama = hub.repository(PreparationSpec(source="slimpajama"))
    assert slimpajama == hub.Repository(name="DKYoon/SlimPajama-6B")
    fineweb = hub.repository(PreparationSpec(source="fineweb", revision="v1", split="test"))
    assert fineweb == hub.Repository(
        name="HuggingFaceFW/fineweb", config="sample-10BT", revision="v1", split="test"
    )
    other = hub.repository(PreparationSpec(source="hf:a/b", config="c", text_field="body"))
    assert other == hub.Repository(name="a/b", config="c", text_field="body")
    assert hub.repository(PreparationSpec(source="a/b")) is None


@pytest.mark.parametrize("name", ["slimpajamaa", "missing.jsonl", "a\0b", "x" * 5000, "~no-such/x"])
def test_what_is_no_source_is_refused(name):
    with pytest.raises(DataError, match="no such file or folder; a source is slimpajama") as error:
        source_for(spec_of(name))
    assert error.value.exit_code == 3


@pytest.mark.parametrize("kind", [jsonl_files, repository_of_jsonl, parquet_files, saved_dataset])
def test_a_field_that_is_not_there_is_named(kind, tmp_path):
    spec = spec_of(kind(tmp_path), text_field="texts")
    with pytest.raises(DataError, match=r"'texts'.*text.*--text-field"):
        list(source_for(spec).documents(None))


@pytest.mark.parametrize("kind", [repository_of_jsonl, saved_splits])
def test_a_split_that_is_not_there_is_named(kind, tmp_path):
    with pytest.raises(DataError, match="tran"):
        source_for(spec_of(kind(tmp_path), split="tran"))


def test_a_field_without_text_is_refused(tmp_path):
    (tmp_path / "part.jsonl").write_text('{"text": 3}\n')
    with pytest.raises(DataError, match="example 1 has no text in the field 'text', but a int"):
        list(source_for(spec_of(f"hf:{tmp_path}")).documents(None))


def test_examples_without_a_text_are_passed_over(tmp_path):
    import datasets

    texts = ["one", None, "two"]
    datasets.Dataset.from_dict({"text": texts}).save_to_disk(str(tmp_path / "saved"))
    assert list(source_for(spec_of(str(tmp_path / "saved"))).documents(None)) == ["one", "two"]


@pytest.mark.parametrize("name", ["hf:a/b", "slimpajama"])
def test_without_the_package_it_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'descentlab\[hf\]'"):
        source_for(spec_of(name))


def test_what_the_library_refuses_is_one_sentence(monkeypatch, tmp_path):
    import datasets

    def refuse(*arguments: object, **options: object) -> Callable[[], None]:
        raise ConnectionError("no way\nto it")

    monkeypatch.setattr(hub, "_commit", lambda chosen: "c" * 40)
    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(DataError, match=r"^hf:DKYoon/SlimPajama-6B: cannot be read \(no way\)$"):
        source_for(spec_of("slimpajama"))


@pytest.mark.slow
def test_reading_a_repository_loads_no_torch(tmp_path):
    code = (
        "import sys; from descentlab.data.sources import source_for\n"
        "from descentlab.data.spec import PreparationSpec\n"
        "source = source_for(PreparationSpec(source=sys.argv[1]))\n"
        "print(len(list(source.documents(None))), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, repository_of_jsonl(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(DOCUMENTS)), "False"]
