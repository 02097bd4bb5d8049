"""A process that forks preparations which kill themselves at a call to the system.

python killed_preparation.py CORPUS FOLDER [CALL ...]

Without calls, prints how many calls a preparation makes. Otherwise prints, for each call,
whether going on after a kill right before it gives the files of an uninterrupted preparation.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oracles.preparation import files_of

from descentlab.data.sharding import prepare_shards
from descentlab.data.spec import PreparationSpec

CALLS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "shutil.rmtree"}


class Calls:
    """Counts what this process asks of the file system, and may end it at one of them."""

    def __init__(self, folder: Path, last: int) -> None:
        self.count = 0
        self._folder = str(folder)
        self._last = last
        sys.addaudithook(self._audit)
        self._fsync, os.fsync = os.fsync, self._flush

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in CALLS or (event == "open" and self._folder in str(arguments[0])):
            self._note()

    def _flush(self, handle: int) -> None:
        self._note()
        self._fsync(handle)
        self._note()

    def _note(self) -> None:
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_child(work: Callable[[], int]) -> int:
    """Do something in a forked process; its exit code, or less than 0 for a signal."""
    pid = os.fork()
    if not pid:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    corpus, folder = Path(sys.argv[1]), Path(sys.argv[2])
    spec = PreparationSpec(
        source=str(corpus), tokenizer="byte", tokens=3000, held_out=300, shard_tokens=1500
    )

    def prepare(out: Path) -> None:
        prepare_shards(spec, out, workers=0)

    def count() -> int:
        prepare(folder / "reference")  # and the folders of the cache
        calls = Calls(folder / "counted", -1)
        prepare(folder / "counted")
        print(calls.count, flush=True)
        return 0

    in_a_child(count)
    reference = files_of(folder / "reference")
    out = folder / "out"
    for call in map(int, sys.argv[3:]):

        def die(call: int = call) -> int:
            Calls(out, call)
            prepare(out)
            return 0

        def go_on() -> int:
            prepare(out)
            return 0 if files_of(out) == reference else 1

        killed = in_a_child(die)
        after = in_a_child(go_on)
        print(call, "killed" if killed == -signal.SIGKILL else killed, after, flush=True)
        shutil.rmtree(out)


if __name__ == "__main__":
    main()
