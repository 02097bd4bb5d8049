"""A disk of its own that can be full or read-only: a file system in memory, which takes root."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of this size on a new folder; skip the test where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(disk: Path) -> None:
    """Refuse everything that writes to a disk, from now on."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Take all of a disk but so many kilobytes, and return the file that holds them."""
    filler = disk / "filler"
    chunk = b"0" * 1024
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(chunk) == len(chunk):
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() // 1024 - left) * 1024)
    return filler
