"""Processes that a fault is planted in, started by ``server.py`` under the shim."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
WATCH, KILL, TEAR, STOP, REFUSE = range(5)


class Fault(NamedTuple):
    """What happens at the n-th call that changes files, and, for a refusal, with what error.

    ``TEAR`` ends the process right after the call, which writes only half if it is a write.
    """

    mode: int
    nth: int
    error: int = 0


class Call(NamedTuple):
    """A call that changed files."""

    number: int
    what: str
    path: Path
    other: Path
    offset: int
    content: bytes


def why_not() -> str | None:
    """Say why the shim cannot be used here, if it cannot."""
    if sys.platform != "linux":
        return "LD_PRELOAD and /proc are Linux's"
    return None if shutil.which("cc") else "needs a C compiler, cc"


@dataclass(frozen=True)
class Fork:
    """A process; its log holds the calls, and ``said`` what it printed."""

    server: Forks
    pid: int
    log: Path
    said: Path

    def wait(self) -> int | None:
        """Return its exit code, minus the signal that ended it, or None when it has stopped."""
        return self.server.ask({"wait": self.pid})["code"]

    def text(self) -> str:
        return self.said.read_text() if self.said.exists() else ""

    def calls(self) -> list[Call]:
        """The calls that succeeded."""
        if not self.log.exists():
            return []
        raw, place, calls = self.log.read_bytes(), 0, []
        while place < len(raw):
            end = raw.index(b"\n", place)
            number, what, path, other, offset, length = raw[place:end].decode().split("\t")
            place = end + 1 + int(length)
            content = raw[end + 1 : place]
            calls.append(Call(int(number), what, Path(path), Path(other), int(offset), content))
        return calls


class Forks:
    """Starts processes under the shim.

    Args:
        scratch: for the compiled shim, logs and what processes print.
        cache: of prepared data.
    """

    def __init__(self, scratch: Path, cache: Path) -> None:
        self._scratch = scratch
        self._count = 0
        shim = scratch / "shim.so"
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", shim, HERE / "shim.c"]
        subprocess.run(command, check=True)
        paths = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        self._server = subprocess.Popen(
            [sys.executable, "-m", "faults.server", "faults.trials:warm_up"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "DESCENTLAB_CACHE": str(cache),
                "LD_PRELOAD": str(shim),
                "PYTHONPATH": paths,
            },
        )
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._ears, self._mouth = self._server.stdin, self._server.stdout
        assert self._mouth.readline() == "ready\n"

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._ears.write(json.dumps(request) + "\n")
        self._ears.flush()
        return json.loads(self._mouth.readline())

    def start(
        self,
        target: str,
        *arguments: str,
        folder: Path | None = None,
        fault: Fault | None = None,
        bugs: tuple[str, ...] = (),
        denied: str = "",
    ) -> Fork:
        """Call ``module:function`` in a new process.

        Args:
            target: the function.
            arguments: of it.
            folder: changes under it are counted and noted; None leaves the shim asleep.
            fault: what happens when.
            bugs: functions to call before, which change the program.
            denied: files whose path contains this cannot be opened.
        """
        self._count += 1
        log, said = (self._scratch / f"{self._count}.{kind}" for kind in ("log", "said"))
        answer = self.ask(
            {
                "target": target,
                "arguments": arguments,
                "folder": str(folder) if folder else None,
                "fault": fault,
                "bugs": bugs,
                "denied": denied,
                "log": str(log),
                "said": str(said),
            }
        )
        return Fork(self, answer["pid"], log, said)

    def close(self) -> None:
        self._ears.close()
        self._mouth.close()
        self._server.wait()


class FreshProcesses:
    """Starts each process under a server of its own, which has just imported all it needs."""

    def __init__(self, scratch: Path, cache: Path) -> None:
        self._scratch, self._cache = scratch, cache
        self._servers: list[Forks] = []

    def start(self, target: str, *arguments: str, **settings: Any) -> Fork:
        self.close()
        scratch = self._scratch / str(len(self._servers))
        scratch.mkdir()
        self._servers.append(Forks(scratch, self._cache))
        return self._servers[-1].start(target, *arguments, **settings)

    def close(self) -> None:
        for server in self._servers[-1:]:
            server.close()
