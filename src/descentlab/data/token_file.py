"""Token files: a JSON header, then the ids; checked in full when opened, unless told otherwise.

Layout: 8 bytes of magic, 8 bytes of header length (little-endian), the header padded
with spaces to a multiple of 64 bytes in all, the ids. The header gives dtype,
vocabulary, count, the SHA-256 of ids, tokenizer and text, and the CRC-32 of itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from descentlab.config import seal, unseal
from descentlab.errors import DataError

MAGIC = b"DESCENT1"
ALIGNMENT = 64
PIECE = 2**20
"""Ids to read at once."""

TokenIds = NDArray[np.uint16 | np.uint32]


def smallest_type(vocabulary: int) -> Literal["uint16", "uint32"]:
    """The smallest type that holds every id below ``vocabulary``."""
    return "uint16" if vocabulary <= 2**16 else "uint32"


class Hash(Protocol):
    """What hashlib's hashes are."""

    def update(self, data: memoryview, /) -> None: ...


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token file says about itself."""

    dtype: Literal["uint16", "uint32"]
    vocabulary: int
    count: int
    sha256: str
    """Of the ids' bytes."""
    tokenizer_sha256: str
    text_sha256: str


@dataclass(frozen=True)
class TokenFile:
    """A token file; ``tokens`` is a read-only memory map."""

    path: Path
    header: Header
    tokens: TokenIds


class TokenWriter:
    """Writes a token file from first to last, in the memory of one document.

    Nothing is a token file before ``finish``: its first bytes are missing.

    Args:
        path: the file to make.
        vocabulary: every id must be below.
        tokenizer_sha256: identifies the tokenizer.
    """

    def __init__(self, path: Path, *, vocabulary: int, tokenizer_sha256: str) -> None:
        self._path = path
        self._vocabulary = vocabulary
        self._tokenizer_sha256 = tokenizer_sha256
        self._kind: Literal["uint16", "uint32"] = smallest_type(vocabulary)
        self._hash = hashlib.sha256()
        self.count = 0
        """Tokens so far."""
        longest = 16 + len(self._sealed("0" * 64, 2**62))  # ids come before they are counted
        self._room = longest + -longest % ALIGNMENT
        self._file = path.open("wb")
        self._file.write(bytes(self._room))

    def add(self, ids: NDArray[np.integer]) -> None:
        """Append the ids of a document.

        Raises:
            DataError: if an id is negative or not below the vocabulary.
        """
        if len(ids) and not 0 <= ids.min() <= ids.max() < self._vocabulary:
            worst = ids.max() if ids.max() >= self._vocabulary else ids.min()
            raise DataError(
                f"{self._path.name}: token id {worst} is outside a vocabulary of {self._vocabulary}"
            )
        raw = ids.astype(self._kind, copy=False).tobytes()
        self._file.write(raw)
        self._hash.update(raw)
        self.count += len(ids)

    def finish(self, text_sha256: str) -> Header:
        """Write the header, and see the whole file on disk."""
        header = self._sealed(text_sha256, self.count).ljust(self._room - 16)
        assert len(header) == self._room - 16
        self._file.seek(0)
        self._file.write(MAGIC + len(header).to_bytes(8, "little") + header)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        return self._header(text_sha256, self.count)

    def close(self) -> None:
        """Give the file up as it is."""
        with suppress(OSError):  # of what a full disk did not take; finish() has seen to the rest
            self._file.close()

    def _header(self, text_sha256: str, count: int) -> Header:
        return Header(
            dtype=self._kind,
            vocabulary=self._vocabulary,
            count=count,
            sha256=self._hash.hexdigest(),
            tokenizer_sha256=self._tokenizer_sha256,
            text_sha256=text_sha256,
        )

    def _sealed(self, text_sha256: str, count: int) -> bytes:
        return seal(msgspec.json.encode(self._header(text_sha256, count)))


def write_token_file(
    path: Path,
    documents: Iterable[NDArray[np.integer]],
    *,
    vocabulary: int,
    tokenizer_sha256: str,
    text_sha256: str,
) -> None:
    """Concatenate documents into a new token file.

    Raises:
        DataError: if an id is negative or not below the vocabulary.
    """
    writer = TokenWriter(path, vocabulary=vocabulary, tokenizer_sha256=tokenizer_sha256)
    try:
        for document in documents:
            writer.add(document)
        writer.finish(text_sha256)
    except DataError:
        path.unlink()
        raise
    finally:
        writer.close()


def open_token_file(path: Path, *, verify: bool = True) -> TokenFile:
    """Map a token file after checking its size, its hash and its ids.

    Args:
        path: the file.
        verify: whether to read all of it. Otherwise only the header and the size are
            checked, and who asks knows from elsewhere that the ids are right.

    Raises:
        DataError: if it is missing, truncated, changed, or holds ids outside its vocabulary.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
            length = int.from_bytes(start[8:16], "little")
            if start[:8] != MAGIC or not 0 < length <= 2**16:
                raise DataError(f"{path}: not a token file; delete it and it is made again")
            raw = file.read(length)
        content = unseal(raw.rstrip(b" "))
        if content is None or len(raw) != length:
            raise DataError(f"{path}: its header is damaged; delete it and it is made again")
        header = msgspec.json.decode(content, type=Header)
        size = 16 + length + header.count * np.dtype(header.dtype).itemsize
        if path.stat().st_size != size:
            raise DataError(
                f"{path}: has {path.stat().st_size:,} bytes, its header says {size:,}; "
                "it was cut off or added to; delete it and it is made again"
            )
        tokens = np.asarray(np.memmap(path, dtype=header.dtype, mode="r", offset=16 + length))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(f"{path}: its header is damaged ({error}); delete it") from None
    opened = TokenFile(path, header, tokens)
    if verify:
        verify_tokens(opened)
    return opened


def read_pieces(opened: TokenFile) -> Iterator[TokenIds]:
    """Yield all ids of a file in pieces, in memory that is given back, as a map's is not."""
    header = opened.header
    kind = np.dtype(header.dtype)
    try:
        with opened.path.open("rb") as file:
            file.seek(-header.count * kind.itemsize, os.SEEK_END)
            for first in range(0, header.count, PIECE):
                yield np.fromfile(file, kind, min(PIECE, header.count - first))
    except OSError as error:
        raise DataError(f"{opened.path}: cannot be read ({error.strerror})") from None


def verify_tokens(opened: TokenFile, *also: Hash) -> None:
    """Read all ids of a file, and compare them with what its header says.

    Args:
        opened: the file.
        also: further hashes to feed with the ids.

    Raises:
        DataError: if they have changed, or are outside the vocabulary.
    """
    path, header = opened.path, opened.header
    own, largest = hashlib.sha256(), -1
    for some in read_pieces(opened):
        largest = max(largest, int(some.max()))
        for each in (own, *also):
            each.update(some.data)
    if own.hexdigest() != header.sha256:
        raise DataError(f"{path}: its tokens have changed since it was written; delete it")
    if largest >= header.vocabulary:
        raise DataError(
            f"{path}: holds token id {largest}, outside its vocabulary of {header.vocabulary}"
        )
