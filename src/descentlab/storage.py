"""Writing that either happened or did not, with errors that a user can act on."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from descentlab.errors import BusyError, StorageError

OLD = 86_400
"""Seconds after which an unfinished file was surely left by a killed process."""


@contextmanager
def storage_errors(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn the machine's refusal to write into one sentence.

    Args:
        path: what is being written.
        needed: how many bytes it takes, to say so when the disk is full.

    Raises:
        StorageError: in place of ``OSError``.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            there = next(each for each in (path, *path.parents) if each.exists())
            free = shutil.disk_usage(there).free
            raise StorageError(
                f"{path}: disk full, need {needed:,} bytes, have {free:,}; "
                "make room and start again"
            ) from error
        reason = error.strerror or error
        raise StorageError(
            f"{path}: cannot be written ({reason}); choose a folder that you may write to"
        ) from error


def publish(path: Path, content: bytes, *, aside: Path, durable: bool = True) -> bool:
    """Write a file that appears whole, at once, and only if there was none.

    It is written and flushed to disk under ``aside`` and then linked into place, so that
    of many writers exactly one succeeds, on network file systems too.

    Args:
        path: the file to make.
        content: its bytes.
        aside: a folder on the same file system for the unfinished file.
        durable: whether it must outlive the loss of power; otherwise nothing is flushed.

    Returns:
        Whether this call made it; False if it was there already.

    Raises:
        StorageError: if the disk refuses.
    """
    unfinished = unfinished_name(path.name, aside=aside)
    with storage_errors(path, len(content)):
        try:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            try:
                os.link(unfinished, path)
            except FileExistsError:
                return False
            if durable:
                flush(path.parent)
            return True
        finally:
            unfinished.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that takes the place of what was there, whole or not at all.

    Folders above it that are missing are made. Unfinished, it lies beside its place.

    Raises:
        StorageError: if the disk refuses; what was there stays.
    """
    unfinished = unfinished_name(f".{path.name}", aside=path.parent)
    with storage_errors(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def unfinished_name(name: str, *, aside: Path) -> Path:
    """A path under ``aside`` that nobody has used, which tells what it is for and whose it is.

    The process's number is not enough: in a container the next process may have it too.
    """
    return aside / f"{name}.{os.uname().nodename}.{os.getpid()}.{secrets.token_hex(4)}"


def drop_old(leftovers: Iterable[Path], now: float) -> None:
    """Drop unfinished files and folders that are older than ``OLD``; what refuses to go stays.

    Args:
        leftovers: as ``unfinished_name`` names them.
        now: in seconds, by the clock that dates them, which may be a server's.
    """
    for each in leftovers:
        with suppress(OSError):  # another process has finished with it, or it is another user's
            if now - each.stat().st_mtime > OLD:
                shutil.rmtree(each) if each.is_dir() else each.unlink()


def make_folder(path: Path) -> None:
    """Make a folder whose name is durable, with those above it that are missing.

    Raises:
        OSError: if the disk refuses.
    """
    if not path.parent.is_dir():
        make_folder(path.parent)
    path.mkdir(exist_ok=True)
    flush(path.parent)  # though it was there: whoever made it may have been killed before this


def flush(path: Path) -> None:
    """Make a file's content durable, or a folder's entries."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder until the end of the block.

    The system holds the lock and drops it with this process, however that ends.

    Raises:
        BusyError: if another process is in it.
        StorageError: if the folder cannot be written.
    """
    path = folder / "lock"
    with storage_errors(path):
        file = path.open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise BusyError(
                f"{folder}: {holder} is at work in it; wait for it to end, or stop it"
            ) from None
        with storage_errors(path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
        yield
