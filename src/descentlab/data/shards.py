"""A prepared dataset: shards of token files in a folder, read as if they were one file.

    DIR/
      preparation.json   what was asked for, and of which source; made first
      tokenizer.json     the tokenizer
      shard-00000/       consecutive documents of the source
        train.tokens       those to train on
        validation.tokens  those held out
        shard.json         how many there are, and where the source goes on
      shard-00001/ …
      manifest.json      the shards' hashes and the sums; made last

A shard appears whole, by renaming, and is never written to again. What identifies the dataset
is the hash of all ids in their order, as for a single token file: how they are cut into shards
does not matter.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from descentlab.config import seal, unseal
from descentlab.data.spec import PreparationSpec
from descentlab.data.token_file import Header, TokenFile, TokenIds, open_token_file, read_pieces
from descentlab.errors import DataError

FORMAT = 1
"""Raised when the same settings would give other tokens than before."""

PREPARATION, MANIFEST, SHARD = "preparation.json", "manifest.json", "shard.json"
TRAIN, VALIDATION = "train.tokens", "validation.tokens"
TOKENIZER = "tokenizer.json"

S = TypeVar("S", bound=msgspec.Struct)


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was read, and where it went."""

    documents: int = 0
    """All that were read; the sum of the next four."""
    train_documents: int = 0
    held_out_documents: int = 0
    surplus_documents: int = 0
    """Left out, since their side had its number of tokens already."""
    policy_documents: int = 0
    """Left out for having no text or too much."""
    train_tokens: int = 0
    held_out_tokens: int = 0
    surplus_tokens: int = 0
    """Of surplus documents, and of the last one of a side, where that was cut."""
    text_bytes: int = 0
    """In UTF-8, of all documents but those that the policy left out."""
    replaced: int = 0
    byte_order_marks: int = 0
    carriage_returns: int = 0
    nuls: int = 0
    too_long: int = 0

    def __add__(self, other: Counts) -> Counts:
        names = self.__struct_fields__
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Preparation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a preparation was begun for."""

    format: int
    spec: PreparationSpec
    source: dict[str, Any]
    """What identifies the source."""
    tokenizer_sha256: str
    vocabulary: int
    end: int
    """The id that ends a document."""


class ShardRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shard holds."""

    counts: Counts
    train_sha256: str
    validation_sha256: str
    text_sha256: str
    """Over the hashes of its documents, in order."""


class ShardState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shard holds, and where the source goes on after it."""

    record: ShardRecord
    position: dict[str, Any]
    """In the source's own terms; a library may write the same place in several ways."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a finished dataset holds."""

    preparation: Preparation
    counts: Counts
    train: Header
    """As if all training tokens were one file."""
    validation: Header
    shards: tuple[ShardRecord, ...]


class JoinedTokens:
    """The ids of several token files as one sequence; it gives slices.

    A slice within one file is a view of its memory map, any other a copy.
    """

    def __init__(self, arrays: Sequence[TokenIds]) -> None:
        self._arrays = [each for each in arrays if len(each)] or list(arrays[:1])
        self._starts = [0, *accumulate(map(len, self._arrays))]
        self._bounds = list(pairwise(self._starts))

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, span: slice) -> TokenIds:
        start, stop, step = span.indices(len(self))
        assert step == 1
        stop = max(start, stop)
        first = min(bisect_right(self._starts, start), len(self._arrays)) - 1
        found = []
        for array, (begin, end) in zip(self._arrays[first:], self._bounds[first:], strict=True):
            found.append(array[start - begin : stop - begin])
            if stop <= end:
                break
            start = end
        return found[0] if len(found) == 1 else np.concatenate(found)


@dataclass(frozen=True)
class TokenShards:
    """One side of a prepared dataset; the form that a ``TokenFile`` takes there."""

    path: Path
    """The dataset's folder."""
    header: Header
    tokens: JoinedTokens
    files: tuple[TokenFile, ...]


def shard_folder(folder: Path, number: int) -> Path:
    """Where a shard is."""
    return folder / f"shard-{number:05}"


def is_prepared(folder: Path) -> bool:
    """Whether a preparation was begun in a folder."""
    return (folder / PREPARATION).is_file()


def encode_sealed(record: msgspec.Struct) -> bytes:
    """The bytes of a record's file: JSON that ends in the CRC-32 of what is before."""
    return seal(msgspec.json.encode(record)) + b"\n"


def read_sealed(path: Path, kind: type[S]) -> S:
    """Read a record's file.

    Raises:
        DataError: if it is missing, damaged, or of another version.
    """
    try:
        content = unseal(path.read_bytes().rstrip(b"\n"))
        if content is None:
            raise DataError(f"{path}: is damaged; delete it and prepare the data again")
        return msgspec.json.decode(content, type=kind)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is of another version of this program ({error})") from None


def open_shard(folder: Path, record: ShardRecord) -> tuple[TokenFile, TokenFile]:
    """Open a shard by its headers and sizes, without reading its tokens.

    Args:
        folder: of the shard.
        record: what the shard must hold.

    Returns:
        The tokens to train on, and those held out.

    Raises:
        DataError: if something is missing, cut off, damaged, or from elsewhere.
    """
    train = open_token_file(folder / TRAIN, verify=False)
    validation = open_token_file(folder / VALIDATION, verify=False)
    hashes = (train.header.sha256, validation.header.sha256)
    if hashes != (record.train_sha256, record.validation_sha256):
        raise DataError(f"{folder}: holds other tokens than were prepared; delete it")
    return train, validation


def read_manifest(folder: Path) -> Manifest:
    """Read what a finished dataset holds.

    Raises:
        DataError: if it is not finished, or not one.
    """
    if is_prepared(folder) and not (folder / MANIFEST).exists():
        raise DataError(
            f"{folder}: its preparation has not come to an end; repeat its descent data prepare"
        )
    return read_sealed(folder / MANIFEST, Manifest)


def open_shards(folder: Path) -> tuple[TokenShards, TokenShards]:
    """Map a finished dataset, checking headers, sizes and the shards' hashes by name.

    Returns:
        The tokens to train on, and those held out.

    Raises:
        DataError: if something is missing, cut off, damaged, or from elsewhere.
    """
    manifest = read_manifest(folder)
    opened = [
        open_shard(shard_folder(folder, number), record)
        for number, record in enumerate(manifest.shards)
    ]
    return (
        _joined(folder, manifest.train, [train for train, _ in opened]),
        _joined(folder, manifest.validation, [validation for _, validation in opened]),
    )


def _joined(folder: Path, header: Header, files: Sequence[TokenFile]) -> TokenShards:
    tokens = JoinedTokens([file.tokens for file in files])
    if len(tokens) != header.count:
        raise DataError(f"{folder}: its shards do not add up; prepare the data again")
    return TokenShards(folder, header, tokens, tuple(files))


def documents_of(file: TokenFile, end: int) -> Iterator[NDArray[np.integer]]:
    """Yield the ids of each document of a token file, without its end-of-text.

    What comes after the last end-of-text, in a document that was cut, is left out.
    """
    begun: list[NDArray[np.integer]] = []
    for piece in read_pieces(file):
        start = 0
        for stop in np.flatnonzero(piece == end).tolist():
            yield np.concatenate([*begun, piece[start:stop]])
            begun, start = [], stop + 1
        begun.append(piece[start:])
