"""From text to token ids: a BPE trained on the corpus, plain bytes, or a tokenizer file.

Every document ends in one end-of-text token. A document that spells the end-of-text
token out is encoded as ordinary text.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from descentlab.data.pretrained import tokenizer_path
from descentlab.data.spec import BYTE_VOCABULARY, DataSpec
from descentlab.data.token_file import TokenIds, smallest_type
from descentlab.data.words import WordEncoder, pieces, splits_between_words
from descentlab.errors import ConfigError, DataError

if TYPE_CHECKING:
    import tokenizers

END_OF_TEXT = "<|endoftext|>"


class Tokenizer(ABC):
    """Encodes documents. Not shared between threads; another process gets one by pickle."""

    vocabulary: int
    """Every id is below."""
    end: int
    """The id that ends a document."""
    sha256: str
    """Identifies what the tokenizer does."""

    @abstractmethod
    def encode(self, documents: Iterable[str]) -> Iterator[TokenIds]:
        """Yield each document's ids, the end-of-text id last, in the smallest type for them."""

    @abstractmethod
    def decode(self, ids: NDArray[np.integer]) -> str:
        """Return the text of some ids; what is cut off in mid-character becomes U+FFFD."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write a file that says what this tokenizer does."""


class ByteTokenizer(Tokenizer):
    """UTF-8 bytes as ids 0–255, and 256 for the end of a text."""

    vocabulary = BYTE_VOCABULARY
    end = 256
    sha256 = hashlib.sha256(b"utf-8 bytes; 256 ends a text").hexdigest()
    saved = '{"type": "bytes", "end_of_text": 256}\n'

    def encode(self, documents: Iterable[str]) -> Iterator[TokenIds]:
        for document in documents:
            raw = np.frombuffer(document.encode("utf-8"), dtype=np.uint8)
            yield np.append(raw.astype(np.uint16), np.uint16(self.end))

    def decode(self, ids: NDArray[np.integer]) -> str:
        texts = np.split(ids, np.flatnonzero(ids == self.end))
        whole = (each[each != self.end].astype(np.uint8).tobytes() for each in texts)
        return END_OF_TEXT.join(raw.decode("utf-8", errors="replace") for raw in whole)

    def save(self, path: Path) -> None:
        path.write_text(self.saved)


class SubwordTokenizer(Tokenizer):
    """A ``tokenizers`` model; its end-of-text token must be called ``<|endoftext|>``."""

    def __init__(self, model: tokenizers.Tokenizer, name: str) -> None:
        end = model.token_to_id(END_OF_TEXT)
        if end is None:
            raise DataError(f"{name}: it has no {END_OF_TEXT} token, which must end documents")
        model.add_special_tokens([END_OF_TEXT])  # else text that spells it would be encoded as it
        model.encode_special_tokens = True
        model.no_truncation()
        model.no_padding()
        self._model = model
        self._name = name
        self.end = end
        self.vocabulary = max(model.get_vocab(with_added_tokens=True).values()) + 1
        self._kind: Literal["uint16", "uint32"] = smallest_type(self.vocabulary)
        self._words = WordEncoder(model, self._kind) if splits_between_words(model) else None
        self.sha256 = hashlib.sha256(model.to_str().encode()).hexdigest()

    @classmethod
    def from_text(cls, described: str, name: str) -> Self:
        """Make one from the text of a tokenizer.json.

        Raises:
            DataError: if it is not one, or has no end-of-text token.
        """
        from tokenizers import Tokenizer as Model

        try:
            model = Model.from_str(described)
        except Exception as error:  # the library raises bare Exception
            raise DataError(f"{name}: not a tokenizer.json ({error})") from None
        return cls(model, name)

    def __reduce__(self) -> tuple[object, ...]:  # the library's own pickles forget settings
        return type(self).from_text, (self._model.to_str(), self._name)

    def encode(self, documents: Iterable[str]) -> Iterator[TokenIds]:
        end = np.array([self.end], self._kind).tobytes()
        for document in documents:
            raw = b"".join([*map(self._encode, pieces(document)), end])
            yield np.frombuffer(raw, self._kind)

    def _encode(self, piece: str) -> bytes:
        if self._words is not None:
            return self._words.encode(piece)
        (encoding,) = self._model.encode_batch_fast([piece], add_special_tokens=False)
        return np.array(encoding.ids, self._kind).tobytes()

    def decode(self, ids: NDArray[np.integer]) -> str:
        return self._model.decode(ids.tolist(), skip_special_tokens=False)

    def save(self, path: Path) -> None:
        path.write_text(self._model.to_str(pretty=True))


def train_bpe(documents: list[str], vocabulary: int) -> SubwordTokenizer:
    """Train a byte-level BPE; the end-of-text token is id 0.

    Raises:
        DataError: if the text has too few distinct pairs for the vocabulary.
    """
    from tokenizers import Tokenizer as Model
    from tokenizers import decoders, models, pre_tokenizers, trainers

    model = Model(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator(documents, trainer, length=len(documents))
    tokenizer = SubwordTokenizer(model, "bpe")
    if tokenizer.vocabulary != vocabulary:
        raise DataError(
            f"the corpus gives only {tokenizer.vocabulary} BPE tokens, not {vocabulary}; "
            "use a larger corpus or lower data.vocabulary"
        )
    return tokenizer


def tokenizer_for(spec: DataSpec, documents: list[str]) -> Tokenizer:
    """Train or load the tokenizer that the spec names.

    Raises:
        ConfigError: if it is to be trained without saying how large.
        DataError: if a tokenizer file is missing or unfit, or the corpus too small.
    """
    if spec.tokenizer != "bpe":
        return tokenizer_named(spec.tokenizer)
    if spec.vocabulary is None:
        raise ConfigError(
            f"data.vocabulary: is missing; say how many tokens a BPE is to have, at least "
            f"{BYTE_VOCABULARY}"
        )
    return train_bpe(documents, spec.vocabulary)


def tokenizer_named(name: str) -> Tokenizer:
    """Load ``byte``, ``gpt-neox``, one of a hub, or a tokenizer.json by its path.

    Raises:
        DataError: if it is missing or unfit.
    """
    if name == "byte":
        return ByteTokenizer()
    path = tokenizer_path(name)
    if path is None:
        raise DataError(
            f"{name}: no such tokenizer file; data.tokenizer is bpe, byte or gpt-neox, "
            "hf:owner/name, or the path of a tokenizer.json"
        )
    return saved_tokenizer(path)


def saved_tokenizer(path: Path) -> Tokenizer:
    """Load what ``Tokenizer.save`` wrote.

    Raises:
        DataError: if it cannot be read or is not a tokenizer.
    """
    try:
        described = path.read_text("utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a tokenizer.json ({error})") from None
    if described == ByteTokenizer.saved:
        return ByteTokenizer()
    return SubwordTokenizer.from_text(described, str(path))
