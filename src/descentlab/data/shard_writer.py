"""Writes one shard: each document to its side, until that has its number of tokens."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from descentlab.data.encoding import Batch, Encoded
from descentlab.data.shards import (
    SHARD,
    TRAIN,
    VALIDATION,
    Counts,
    ShardRecord,
    ShardState,
    encode_sealed,
)
from descentlab.data.token_file import TokenWriter
from descentlab.data.tokenizer import Tokenizer
from descentlab.storage import flush


@dataclass(frozen=True)
class Room:
    """How many tokens more each side takes; None for any number.

    If only training has a number, no document counts after the one that reaches it.
    """

    train: int | None
    held_out: int | None


class ShardWriter:
    """A shard that is being made.

    Args:
        folder: to be made for it.
        tokenizer: what the tokens are of.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        folder.mkdir()
        self._folder = folder
        self._train = _writer(folder / TRAIN, tokenizer)
        self._validation = _writer(folder / VALIDATION, tokenizer)
        self._text = hashlib.sha256()
        self._position: dict[str, object] = {}
        self.counts = Counts()
        """What came in so far."""

    def add(self, batch: Batch, encoded: Encoded, room: Room) -> None:
        """Append a batch, as far as there is room for it.

        The last document that finds room is cut where its side has its number of tokens.
        """
        training = ~encoded.held_out
        held_out = encoded.held_out
        if room.train is not None and room.held_out is None:
            before = np.cumsum(encoded.lengths * training) - encoded.lengths * training
            held_out = held_out & (before < room.train)
        trained, train_tokens = _append(self._train, encoded, training, room.train)
        kept_apart, held_out_tokens = _append(self._validation, encoded, held_out, room.held_out)
        self._text.update(encoded.text_sha256)
        self._position = batch.position
        documents = len(encoded.lengths)
        self.counts += Counts(
            documents=documents + encoded.left_out,
            train_documents=trained,
            held_out_documents=kept_apart,
            surplus_documents=documents - trained - kept_apart,
            policy_documents=encoded.left_out,
            train_tokens=train_tokens,
            held_out_tokens=held_out_tokens,
            surplus_tokens=len(encoded.ids) - train_tokens - held_out_tokens,
            text_bytes=encoded.size,
            **asdict(batch.cleaning + encoded.cleaning),
        )

    def finish(self) -> ShardState:
        """Write its record, and see all of it on disk."""
        text_sha256 = self._text.hexdigest()
        record = ShardRecord(
            counts=self.counts,
            train_sha256=self._train.finish(text_sha256).sha256,
            validation_sha256=self._validation.finish(text_sha256).sha256,
            text_sha256=text_sha256,
        )
        with (self._folder / SHARD).open("wb") as file:
            state = ShardState(record=record, position=self._position)
            file.write(encode_sealed(state))
            file.flush()
            os.fsync(file.fileno())
        flush(self._folder)
        return state

    def close(self) -> None:
        """Give the shard up as it is."""
        self._train.close()
        self._validation.close()


def _writer(path: Path, tokenizer: Tokenizer) -> TokenWriter:
    return TokenWriter(path, vocabulary=tokenizer.vocabulary, tokenizer_sha256=tokenizer.sha256)


def _append(
    writer: TokenWriter, encoded: Encoded, chosen: NDArray[np.bool_], room: int | None
) -> tuple[int, int]:
    """Append the chosen documents, and return how many documents and tokens found room."""
    lengths = encoded.lengths[chosen]
    tokens = int(lengths.sum())
    taken = tokens if room is None else min(tokens, room)
    writer.add(encoded.ids[np.repeat(chosen, encoded.lengths)][:taken])
    starts = np.cumsum(lengths) - lengths
    return int(np.searchsorted(starts, taken)), taken
