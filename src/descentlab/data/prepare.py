"""The tokens that a spec names: a prepared dataset's, or made from a corpus and kept in a cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from descentlab.config import cache_folder, digest
from descentlab.data.corpora import Corpus, load_corpus
from descentlab.data.pretrained import tokenizer_path
from descentlab.data.shards import TokenShards, is_prepared
from descentlab.data.spec import DataSpec
from descentlab.data.token_file import TokenFile, open_token_file, write_token_file
from descentlab.data.tokenizer import Tokenizer, tokenizer_for
from descentlab.data.verification import Notice, open_verified
from descentlab.errors import ConfigError, DataError, StorageError
from descentlab.seeding import permutation
from descentlab.storage import drop_old

FORMAT = 2
"""Raised when the same settings would give other tokens than before."""
MAKING = ".making-"
"""What the name of an unfinished folder begins with."""


@dataclass(frozen=True)
class PreparedData:
    """Tokens to train on and tokens held out, from disjoint sets of whole documents."""

    train: TokenFile | TokenShards
    validation: TokenFile | TokenShards

    @cached_property
    def sha256(self) -> str:
        """Identifies exactly which tokens a run reads."""
        return digest([self.train.header.sha256, self.validation.header.sha256])

    @property
    def vocabulary(self) -> int:
        """How many ids there are; every token is below it."""
        return self.train.header.vocabulary


def prepare(spec: DataSpec, notice: Notice = lambda line: None) -> PreparedData:
    """Return the spec's tokens, making them if they are not there already.

    If the corpus is a folder that ``descent data prepare`` made, they are its shards.

    Args:
        spec: corpus, tokenizer and split.
        notice: told what is being made, and what the text policy changed.

    Raises:
        ConfigError, DataError: as ``load_corpus`` and ``tokenizer_for`` do; ConfigError also
            for a setting that a prepared dataset leaves no choice about; DataError also if it
            is damaged, or if a corpus has a single document, which cannot be split.
        StorageError: if the cache cannot be written.
    """
    if (folder := prepared_folder(spec)) is not None:
        return PreparedData(*open_verified(folder, notice))
    corpus = load_corpus(spec)
    if summary := corpus.cleaning.summary():
        notice(f"{corpus.name}: {summary}")
    key = _keys() / digest([FORMAT, corpus.sha256, _settings(spec)])
    try:
        return reopen(key.read_text())
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (DataError, OSError, UnicodeDecodeError) as error:
        notice(f"warning: {error}; making it again")
    notice(f"preparing {corpus.name}: {len(corpus.documents):,} documents, {spec.tokenizer} tokens")
    training, held_out = split(corpus, spec)
    apart = without_copies(corpus, training, held_out)
    if len(apart) < len(training):
        copies = len(training) - len(apart)
        notice(f"{corpus.name}: {copies:,} documents left out, as copies of held-out ones")
    training = apart
    tokenizer = tokenizer_for(spec, [corpus.documents[i] for i in training])
    try:
        data = _make(corpus, training, held_out, tokenizer)
        _keys().mkdir(parents=True, exist_ok=True)
        aside = key.with_suffix(f".{os.getpid()}")
        aside.write_text(data.sha256)
        aside.replace(key)
    except OSError as error:
        raise StorageError(
            f"{cache_folder()}: cannot write the token cache ({error.strerror})"
        ) from None
    return data


def prepared_folder(spec: DataSpec) -> Path | None:
    """The prepared dataset that the spec names, if it names one.

    Raises:
        ConfigError: if the spec sets what was settled when the dataset was prepared.
    """
    try:
        folder = Path(spec.corpus).expanduser()
        found = is_prepared(folder)
    except (OSError, RuntimeError, ValueError):  # too long, of no user, with a NUL
        return None
    if not found:
        return None
    for field in msgspec.structs.fields(DataSpec):
        free = field.name in ("corpus", "sequence_length", "max_epochs")
        if not free and getattr(spec, field.name) != field.default:
            raise ConfigError(
                f"data.{field.name}: {folder} was prepared with settings of its own; leave this "
                "one out"
            )
    return folder


def reopen(sha256: str) -> PreparedData:
    """Open tokens that were prepared before, by the hash of their content.

    Raises:
        DataError: if they are not in the cache, or are damaged.
    """
    data = _open(_tokens(sha256))
    if data.sha256 != sha256:
        raise DataError(f"{_tokens(sha256)}: holds other tokens than its name says; delete it")
    return data


def _keys() -> Path:
    return cache_folder() / "keys"


def _tokens(sha256: str) -> Path:
    return cache_folder() / "tokens" / sha256[:24]


def _settings(spec: DataSpec) -> dict[str, object]:
    """What decides the tokens besides the text; a tokenizer file counts by its content."""
    settings = spec.preparation()
    path = tokenizer_path(spec.tokenizer)
    if path is not None:
        settings["tokenizer"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return settings


def split(corpus: Corpus, spec: DataSpec) -> tuple[list[int], list[int]]:
    """Shuffle the documents and hold out whole ones until the fraction of text is reached.

    Returns:
        Indices of the documents for training, and of those held out.

    Raises:
        DataError: if there are not two documents.
    """
    count = len(corpus.documents)
    if count < 2:
        raise DataError(
            f"{corpus.name}: one document cannot be split into training and validation; "
            'say what separates documents in it, as in data.separator="\\n\\n"'
        )
    order = permutation(count, spec.seed, "documents").tolist()
    lengths = np.array([len(corpus.documents[i]) for i in order])
    reached = np.cumsum(lengths) >= spec.validation_fraction * lengths.sum()
    held_out = min(int(reached.argmax()) + 1, count - 1)
    return order[held_out:], order[:held_out]


def without_copies(corpus: Corpus, training: list[int], held_out: list[int]) -> list[int]:
    """The documents for training whose text is not also held out.

    Raises:
        DataError: if there are none.
    """
    texts = {corpus.documents[i] for i in held_out}
    apart = [i for i in training if corpus.documents[i] not in texts]
    if not apart:
        raise DataError(
            f"{corpus.name}: every document for training is also held out; give a corpus of "
            "different documents"
        )
    return apart


def _make(
    corpus: Corpus, training: list[int], held_out: list[int], tokenizer: Tokenizer
) -> PreparedData:
    """Write both files aside and move them to where their hash says, together."""
    parent = cache_folder() / "tokens"
    parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=parent, prefix=MAKING))
    drop_old(parent.glob(f"{MAKING}*"), aside.stat().st_mtime)
    try:
        for name, chosen in (("train", training), ("validation", held_out)):
            write_token_file(
                aside / f"{name}.tokens",
                tokenizer.encode([corpus.documents[i] for i in chosen]),
                vocabulary=tokenizer.vocabulary,
                tokenizer_sha256=tokenizer.sha256,
                text_sha256=corpus.sha256,
            )
        tokenizer.save(aside / "tokenizer.json")
        return _in_place(aside, _open(aside).sha256)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _in_place(aside: Path, sha256: str) -> PreparedData:
    """Move tokens to where their hash says, unless others have put the same ones there.

    These are taken away only if they are damaged, since others are using them.
    """
    folder = _tokens(sha256)
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        try:
            return reopen(sha256)
        except DataError:
            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
    return reopen(sha256)


def _open(folder: Path) -> PreparedData:
    train = open_token_file(folder / "train.tokens")
    return PreparedData(train, open_token_file(folder / "validation.tokens"))
