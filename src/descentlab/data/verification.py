"""Whether a prepared dataset still holds the tokens that were prepared.

Reading 3.2 billion tokens to hash them takes seconds, too long for every start of a run. So
headers, sizes and recorded hashes are checked whenever a dataset is opened, and the tokens
themselves when the system says that a file was written since they were last checked here: a
check notes each file's size, time of modification and time of change in the user's cache,
and who writes to a file cannot keep the latter. What that misses, a bit that turned on the
disk, ``descent data inspect --verify`` finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from descentlab.config import cache_folder, canonical_json, digest
from descentlab.data.shards import (
    Manifest,
    TokenShards,
    documents_of,
    open_shards,
    read_manifest,
)
from descentlab.data.token_file import TokenFile, verify_tokens
from descentlab.errors import DataError

Notice = Callable[[str], None]
"""Shows the user one line."""


def open_verified(
    folder: Path, notice: Notice = lambda line: None, *, again: bool = False
) -> tuple[TokenShards, TokenShards]:
    """Open a dataset whose tokens are known to be the prepared ones.

    Args:
        folder: of the dataset.
        notice: told if all tokens are read, which takes a while.
        again: read them whether or not their files have changed.

    Returns:
        The tokens to train on, and those held out.

    Raises:
        DataError: if anything is not as it was prepared.
    """
    train, validation = open_shards(folder)
    noted = _noted(folder)
    state = _state([*train.files, *validation.files])
    if not again and noted.is_file() and noted.read_bytes() == state:
        return train, validation
    notice(f"checking the tokens of {folder}: {len(train.tokens) + len(validation.tokens):,}")
    for side in (train, validation):
        if whole_sha256(side.files) != side.header.sha256:
            raise DataError(f"{folder}: its shards are not those of its manifest")
    _write_note(folder, state)  # of before: who wrote meanwhile has changed it
    return train, validation


def note(folder: Path, train: TokenShards, validation: TokenShards) -> None:
    """Note that the tokens were checked, as their files are now."""
    _write_note(folder, _state([*train.files, *validation.files]))


def _write_note(folder: Path, state: bytes) -> None:
    noted = _noted(folder)
    with suppress(OSError):  # then they are checked once more; nothing is lost
        noted.parent.mkdir(parents=True, exist_ok=True)
        noted.write_bytes(state)


def whole_sha256(files: Iterable[TokenFile]) -> str:
    """The hash of all ids of some files in order, after checking each file's own.

    Raises:
        DataError: if a file's tokens have changed.
    """
    whole = hashlib.sha256()
    for file in files:
        try:
            verify_tokens(file, whole)
        except DataError as error:
            raise DataError(
                f"{error}; delete the folder {file.path.parent} and repeat its descent data "
                "prepare, which makes it again"
            ) from None
    return whole.hexdigest()


def overlapping_documents(folder: Path) -> int:
    """Count the documents for training whose tokens are those of a held-out document.

    It takes the memory of the hashes of the held-out documents.
    """
    manifest: Manifest = read_manifest(folder)
    train, validation = open_shards(folder)
    end = manifest.preparation.end
    held_out = {
        hashlib.blake2b(document.tobytes(), digest_size=16).digest()
        for file in validation.files
        for document in documents_of(file, end)
    }
    return sum(
        hashlib.blake2b(document.tobytes(), digest_size=16).digest() in held_out
        for file in train.files
        for document in documents_of(file, end)
    )


def _noted(folder: Path) -> Path:
    return cache_folder() / "verified" / digest(str(folder.resolve()))


def _state(files: Iterable[TokenFile]) -> bytes:
    stats = [(file.header.sha256, file.path.stat()) for file in files]
    return canonical_json(
        [[sha256, each.st_size, each.st_mtime_ns, each.st_ctime_ns] for sha256, each in stats]
    )
