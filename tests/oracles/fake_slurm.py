"""Slurm's commands as scripts that answer as told."""

from __future__ import annotations

import re
from pathlib import Path

from descentlab.sweep.executors.slurm_queue import HEADER


class FakeSlurm:
    """Commands that keep what they were told, and answer what a file says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[str, str] = {}
        self.tell("sbatch", "Submitted batch job 7")
        self.tell("squeue", HEADER)
        self.tell("scancel", "")
        self.tell("srun", "")

    def tell(self, command: str, answer: str, code: int = 0) -> None:
        path = self.folder / command
        (self.folder / f"{command}.answer").write_text(answer)
        keep = f'echo "$@" >> {path}.told\n'
        if command == "sbatch":
            keep += f'cp "$1" {path}.script\n'
        loud = f"cat {path}.answer >&2\n" if code else ""
        path.write_text(f"#!/bin/sh\n{keep}cat {path}.answer\n{loud}exit {code}\n")
        path.chmod(0o755)

    def lists(self, *lines: str) -> None:
        self.tell("squeue", "".join(f"{line}\n" for line in (HEADER, *lines)))

    def told(self, command: str) -> list[str]:
        path = self.folder / f"{command}.told"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def script(self) -> str:
        return (self.folder / "sbatch.script").read_text()

    @property
    def name(self) -> str:
        """Of the last submission."""
        found = re.search(r"--job-name=(\S+)", self.script)
        assert found is not None
        return found[1]
