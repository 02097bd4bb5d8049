"""What a preparation will take, from encoding the beginning of its very corpus here and now."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from descentlab.data.encoding import BATCH, Batch, Encoded, Encoder, Encoders, batches
from descentlab.data.sources import source_for
from descentlab.data.spec import PreparationSpec
from descentlab.data.token_file import smallest_type
from descentlab.data.tokenizer import tokenizer_named
from descentlab.errors import DataError

SAMPLE_SECONDS = 20.0
"""Rates grow for the first seconds, while the words that are frequent are met."""


@dataclass(frozen=True)
class Sample:
    """What was encoded in so many seconds."""

    documents: int
    text_bytes: int
    tokens: int
    seconds: float
    share: float | None
    """How much of the corpus was read in the end."""


@dataclass(frozen=True)
class Forecast:
    """A sample, and what it says about the whole."""

    workers: int
    sample: Sample
    there_are: float | None
    """Tokens of the whole corpus, if the source knows how much it has."""
    to_read: float | None
    """Tokens to encode for what was asked for; None if that is all, and how much there is is
    not known."""
    to_store: float | None
    """Tokens on disk in the end."""
    bytes_per_id: int

    @property
    def tokens_per_second(self) -> float:
        """Tokens that all processes encode in a second, as timed."""
        return self.sample.tokens / self.sample.seconds

    @property
    def bytes_per_token(self) -> float:
        """Bytes of text in UTF-8 that a token stands for."""
        return self.sample.text_bytes / self.sample.tokens

    @property
    def tokens_per_document(self) -> float:
        """Mean length of the sample's documents, in tokens."""
        return self.sample.tokens / self.sample.documents


def forecast(
    spec: PreparationSpec, *, workers: int, sample_seconds: float = SAMPLE_SECONDS
) -> Forecast:
    """Encode the beginning of a corpus for some seconds and reckon what all of it takes.

    The clock starts when the first batch is back, so that the start of the processes does not
    count, unless the corpus has no more than that.

    Raises:
        DataError: if the source cannot be read, or has no text.
    """
    tokenizer = tokenizer_named(spec.tokenizer)
    source = source_for(spec)
    with Encoders(Encoder(tokenizer, spec.seed, spec.share()), workers) as encoders:
        results = encoders.encode(batches(source, None, characters=min(BATCH, spec.shard_tokens)))
        first = _sample(islice(results, 1), math.inf)
        rest = _sample(results, sample_seconds)
    sample = rest if rest.tokens else first
    if not sample.tokens:
        raise DataError(f"{source.name}: no text in it")
    there_are = (first.tokens + rest.tokens) / sample.share if sample.share else None
    to_read = to_store = there_are
    if spec.tokens is not None:
        to_read = spec.tokens / (1 - spec.share())
        held_out = spec.held_out if isinstance(spec.held_out, int) else to_read - spec.tokens
        to_store = spec.tokens + held_out
    return Forecast(
        workers=workers,
        sample=sample,
        there_are=there_are,
        to_read=to_read,
        to_store=to_store,
        bytes_per_id=np.dtype(smallest_type(tokenizer.vocabulary)).itemsize,
    )


def _sample(results: Iterator[tuple[Batch, Encoded]], seconds: float) -> Sample:
    began = time.perf_counter()
    documents = text_bytes = tokens = 0
    share: float | None = None
    for batch, encoded in results:
        documents += len(encoded.lengths)
        text_bytes += encoded.size
        tokens += len(encoded.ids)
        share = batch.share
        if time.perf_counter() - began >= seconds:
            break
    return Sample(documents, text_bytes, tokens, time.perf_counter() - began, share)
