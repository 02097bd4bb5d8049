"""The one way in for files of others: read in a process of its own, or refused in one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import msgspec

import descentlab
from descentlab.analysis.imports.limited_process import ATTEMPTED, SECONDS, Answer
from descentlab.analysis.imports.table import Format, Table
from descentlab.errors import DataError

WALL_SECONDS = 30.0
"""A busy machine may give the reader little time."""
LARGEST_ANSWER = 64 * 2**20
"""Bytes."""
KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""Of the environment: what Python may need to start."""


class Read(NamedTuple):
    """A table, and the size and SHA-256 of the bytes that it was read from."""

    table: Table
    bytes: int
    sha256: str


def read_table(path: Path, form: Format) -> Read:
    """Read a table from a file that may hold anything.

    Args:
        path: of the file.
        form: how it is written.

    Raises:
        DataError: if it is missing, is no such table, or is made to do something else.
    """
    if not path.is_file():
        raise DataError(f"{path}: is no file")
    try:
        with path.open("rb") as file:
            answer = _ask(file.fileno(), form)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except _Broken as broken:
        raise DataError(f"{path}: not imported: {broken}") from None
    if answer.table is None:
        raise DataError(f"{path}: not imported: {answer.refused}")
    if len({len(cells) for cells in answer.table.columns.values()}) > 1:
        raise DataError(f"{path}: not imported: its columns differ in length")
    return Read(answer.table, answer.bytes, answer.sha256)


class _Broken(Exception):
    """How the reader ended without an answer."""


def _ask(file: int, form: Format) -> Answer:
    process = subprocess.Popen(
        [sys.executable, "-P", "-s", "-m", "descentlab.analysis.imports.limited_process", form],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_environment(),
    )
    assert process.stdout is not None
    late = threading.Timer(WALL_SECONDS, process.kill)
    late.start()
    try:
        content = bytearray()
        while piece := process.stdout.read(2**20):
            content += piece
            if len(content) > LARGEST_ANSWER:
                raise _Broken(f"it stands for more than {LARGEST_ANSWER // 2**20} MiB")
        code = process.wait()
    finally:
        late.cancel()
        process.kill()
        process.stdout.close()
        process.wait()
    if code != 0:
        raise _Broken(_ending(code))
    try:
        return msgspec.msgpack.decode(content, type=Answer)
    except msgspec.MsgspecError:
        raise _Broken("its reader gave no answer") from None


def _environment() -> dict[str, str]:
    """Nothing of the user's but where this program lies."""
    here = str(Path(descentlab.__file__).parents[1])
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": here, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _ending(code: int) -> str:
    if code == ATTEMPTED:
        return "it made its reader try something else than to read it"
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"it takes more than {SECONDS} s to read"
    return f"its reader ended with code {code}"
