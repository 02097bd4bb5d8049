"""The process behind the gate: reads one untrusted file with little memory, time and rights.

It gets the file as its standard input and nothing else of the user's: no environment, no
arguments but the format, no other open file. Before the first byte is read it limits its own
memory and processor time, and from then on it ends at the first thing that it tries to open,
import, start or compile. Its answer is our own format, on its standard output.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress

import msgspec

from descentlab.analysis.imports.dataframe import NAMES, table
from descentlab.analysis.imports.pickle_reader import read
from descentlab.analysis.imports.pickle_scan import Refused, scan
from descentlab.analysis.imports.table import Format, Table
from descentlab.analysis.imports.text_tables import read_csv, read_jsonl

LARGEST_FILE = 32 * 2**20
"""Bytes; the paper's largest has 1.2 MB."""
MEMORY = 160 * 2**20
"""Bytes that may be had besides what the program itself takes."""
RESERVED = {"parquet": 2**30}
"""Bytes of address space that a format's library reserves besides, and hardly uses."""
SECONDS = 5
"""Of processor time."""
ATTEMPTED = 70
"""Exit code after something else than reading was tried."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came out: a table, or why there is none."""

    bytes: int = 0
    sha256: str = ""
    table: Table | None = None
    refused: str | None = None


def read_pickle(raw: bytes) -> Table:
    """Scan a pickle as a whole, then read it as inert records, then as a table.

    Raises:
        Refused: if it is anything but a table of numbers and texts.
    """
    scan(raw)
    return table(read(raw, NAMES))


def reader(form: Format) -> Callable[[bytes], Table]:
    """The reader of a format, with all that it imports."""
    if form == "parquet":
        from descentlab.analysis.imports.parquet_table import read_parquet

        return read_parquet
    return {"pickle": read_pickle, "csv": read_csv, "jsonl": read_jsonl}[form]


def answer(raw: bytes, read_table: Callable[[bytes], Table]) -> Answer:
    """Read a file's bytes, and say so if they are refused."""
    if len(raw) > LARGEST_FILE:
        return Answer(refused=f"it is larger than {LARGEST_FILE // 2**20} MiB")
    try:
        found = read_table(raw)
    except Refused as reason:
        return Answer(refused=str(reason))
    except MemoryError:
        return Answer(refused=f"it takes more than {MEMORY // 2**20} MiB of memory")
    return Answer(bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest(), table=found)


def limit(reserved: int = 0) -> None:
    """Limit this process for the rest of its life, as far as the system can.

    Args:
        reserved: bytes of address space that it may have besides ``MEMORY``.
    """
    limits = {
        resource.RLIMIT_CPU: SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: _memory_now() + MEMORY + reserved,
    }
    for what, most in limits.items():
        with suppress(ValueError, OSError):  # macOS knows no limit of memory
            resource.setrlimit(what, (most, most))
    sys.addaudithook(_end)


def _memory_now() -> int:
    """Bytes of address space that this process has."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 2**30


def _end(event: str, _: object) -> None:
    """End at once: reading a table raises no event that Python's audit knows."""
    os._exit(ATTEMPTED)


def main() -> None:
    """Answer for the file on standard input, in the format that the argument names."""
    form = msgspec.convert(sys.argv[1], Format)
    read_table = reader(form)
    encoder = msgspec.msgpack.Encoder()
    limit(RESERVED.get(form, 0))
    found = answer(sys.stdin.buffer.read(LARGEST_FILE + 1), read_table)
    sys.stdout.buffer.write(encoder.encode(found))
    sys.stdout.buffer.flush()
    os._exit(0)  # what Python does at its end may raise events, too


if __name__ == "__main__":
    main()
