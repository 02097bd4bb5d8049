"""Documents → tokens in several processes, in the order of the documents.

One process reads and cuts the documents into batches; the others clean, encode and hash them.
What a batch holds depends on the documents alone, and results come back in order, so nothing
depends on how many processes there are. The batches under way bound the memory.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from descentlab.data.held_out import is_held_out
from descentlab.data.sources import Position, Source
from descentlab.data.text_policy import Cleaning
from descentlab.data.token_file import TokenIds, smallest_type
from descentlab.data.tokenizer import Tokenizer
from descentlab.errors import DataError
from descentlab.processes import leave_with_parent, signals_wait

BATCH = 2**20
"""Characters; a batch ends with the document that reaches them."""
MOST_DOCUMENTS = 2**13


@dataclass(frozen=True)
class Batch:
    """Some documents that follow each other."""

    documents: list[str]
    position: Position
    """Where the source goes on after them."""
    cleaning: Cleaning
    """What had to be changed while reading them."""
    share: float | None
    """How much of the source was read with them."""
    characters: int


@dataclass(frozen=True)
class Encoded:
    """What became of a batch."""

    ids: TokenIds
    """All documents, one after another."""
    lengths: NDArray[np.int64]
    """Tokens of each document."""
    held_out: NDArray[np.bool_]
    """Whether each document belongs to the held-out share."""
    left_out: int
    """Documents of the batch that are not among them, by the text policy."""
    text_sha256: bytes
    """The hashes of the documents' texts, 32 bytes each, one after another."""
    size: int
    """Bytes of the text in UTF-8."""
    cleaning: Cleaning
    """What had to be changed in the documents."""


def batches(source: Source, start: Position | None, *, characters: int) -> Iterator[Batch]:
    """Cut the documents from a position on into batches."""
    documents: list[str] = []
    length = 0

    def batch() -> Batch:
        taken = source.cleaning.take()
        return Batch(documents, source.position(), taken, source.share(), length)

    for document in source.documents(start):
        documents.append(document)
        length += len(document)
        if length >= characters or len(documents) == MOST_DOCUMENTS:
            yield batch()
            documents, length = [], 0
    if documents:
        yield batch()


@dataclass(frozen=True)
class Encoder:
    """Encodes documents and says which of them are held out."""

    tokenizer: Tokenizer
    seed: int
    share: float

    def encode(self, documents: list[str]) -> Encoded:
        cleaning = Cleaning()
        cleaned = map(cleaning.document, documents)
        texts = [text for text in cleaned if text is not None]
        raw = [text.encode("utf-8") for text in texts]
        hashes = [hashlib.sha256(each).digest() for each in raw]
        size = sum(map(len, raw))
        del raw  # of a large document, before it is encoded
        ids = list(self.tokenizer.encode(texts))
        kind = smallest_type(self.tokenizer.vocabulary)
        chosen = [is_held_out(each, seed=self.seed, share=self.share) for each in hashes]
        return Encoded(
            ids=np.concatenate(ids) if ids else np.zeros(0, kind),
            lengths=np.array([len(each) for each in ids], dtype=np.int64),
            held_out=np.array(chosen, dtype=np.bool_),
            left_out=len(documents) - len(texts),
            text_sha256=b"".join(hashes),
            size=size,
            cleaning=cleaning,
        )


class Encoders:
    """Processes that encode batches; to be used in a ``with`` block.

    Args:
        encoder: what each of them does.
        workers: how many; 0 encodes in this process.
    """

    def __init__(self, encoder: Encoder, workers: int) -> None:
        self._encoder = encoder
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self._workers:
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(self._encoder,),
            )
            with signals_wait():  # one process starts for each of these
                for _ in range(self._workers):
                    self._pool.submit(_encode, [])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def encode(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Encoded]]:
        """Yield every batch with what became of it, in order.

        The documents of a batch are given up as soon as it is encoded.

        Raises:
            DataError: as the tokenizer does, or if a process was killed.
        """
        if self._pool is None:
            yield from ((batch, self._encoder.encode(batch.documents)) for batch in batches)
            return
        under_way: deque[tuple[Batch, Future[Encoded]]] = deque()
        characters = 0
        try:
            for batch in batches:
                most = 2 * self._workers  # each process has one at work and one waiting
                while len(under_way) >= most or (characters > most * BATCH and under_way):
                    characters -= under_way[0][0].characters
                    yield _finished(under_way)
                under_way.append((batch, self._pool.submit(_encode, batch.documents)))
                characters += batch.characters
            while under_way:
                yield _finished(under_way)
        except BrokenProcessPool:
            raise DataError(
                "a process that encoded documents was killed, perhaps for want of memory; start "
                "again, with fewer --workers if it happens again: finished shards are kept"
            ) from None


def _finished(under_way: deque[tuple[Batch, Future[Encoded]]]) -> tuple[Batch, Encoded]:
    batch, future = under_way.popleft()
    encoded = future.result()
    batch.documents.clear()
    return batch, encoded


_ENCODER: Encoder | None = None
"""Of this process, if it encodes for another one."""


def _begin(encoder: Encoder) -> None:
    global _ENCODER
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the parent gets it too, and ends us
    leave_with_parent()  # which lets in what was held back until here
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one core each
    _ENCODER = encoder


def _encode(documents: list[str]) -> Encoded:
    assert _ENCODER is not None
    return _ENCODER.encode(documents)
