"""Trains a run undisturbed and disturbed, and says which promises were broken."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from faults.forks import KILL, TEAR, Fault, Fork, Forks
from faults.trials import SAVED, WENT_ON, different, outcome, steps

from descentlab.runs import checkpoints
from descentlab.runs.identity import Run
from descentlab.runs.store import OLD, RunFolder, Store

TRAIN = "faults.trials:train"


@dataclass
class Laboratory:
    """Stores side by side under one folder, with processes at work on them."""

    forks: Forks
    folder: Path
    _stores: int = field(default=0, init=False)

    def new_store(self) -> Path:
        self._stores += 1
        return self.folder / f"store-{self._stores}"

    def start(
        self,
        run: Run,
        root: Path,
        fault: Fault | None = None,
        *,
        bugs: tuple[str, ...] = (),
        denied: str = "",
    ) -> Fork:
        run_json = msgspec.json.encode(run).decode()
        return self.forks.start(
            TRAIN, str(root), run_json, folder=root, fault=fault, bugs=bugs, denied=denied
        )

    def undisturbed(self, run: Run, *, bugs: tuple[str, ...] = ()) -> Undisturbed:
        """Train a run to its end.

        Raises:
            AssertionError: if it does not come to it.
        """
        root = self.new_store()
        process = self.start(run, root, bugs=bugs)
        assert process.wait() == 0, process.text()
        return Undisturbed(run, outcome(folder_of(root, run)), process)

    def killed(
        self, whole: Undisturbed, fault: Fault, *, bugs: tuple[str, ...] = ()
    ) -> list[str]:
        """Plant a fault in a run, start it again, and return the promises that it broke."""
        root = self.new_store()
        process = self.start(whole.run, root, fault, bugs=bugs)
        code = process.wait()
        assert code == -signal.SIGKILL, process.text()
        broken = after_kill(folder_of(root, whole.run), process)
        return broken + self.resumed(whole, root, process, bugs=bugs)

    def resumed(
        self, whole: Undisturbed, root: Path, killed: Fork, *, bugs: tuple[str, ...] = ()
    ) -> list[str]:
        """Start a disturbed run again and return the promises that are broken in the end."""
        process = self.start(whole.run, root, bugs=bugs)
        code = process.wait()
        if code != 0:
            return [f"started again, it ended with {code}: {process.text()}"]
        broken = []
        acknowledged = max(steps(killed.text(), SAVED), default=0)
        went_on = max(steps(process.text(), WENT_ON), default=0)
        finished = "done.json" in {call.other.name for call in killed.calls()}
        if went_on < acknowledged and not finished:
            broken.append(f"I2: went on after step {went_on}, though {acknowledged} was saved")
        if "warning" in process.text():
            broken.append(f"I1: {process.text()}")
        folder = folder_of(root, whole.run)
        broken += [f"other {part}" for part in different(whole.outcome, outcome(folder))]
        return broken + leftovers(root, [killed.pid])


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing befell, and the process that trained it."""

    run: Run
    outcome: dict[str, bytes]
    process: Fork

    def faults(self) -> list[tuple[str, Fault]]:
        """Death before each call that changes files, and in the middle of each write."""
        faults = []
        for call in self.process.calls():
            name = f"{call.number} {call.what} {call.path.name} {call.other.name}".rstrip()
            faults.append((f"before {name}", Fault(KILL, call.number)))
            if call.what == "write":
                faults.append((f"within {name}", Fault(TEAR, call.number)))
        return faults


def folder_of(root: Path, run: Run) -> RunFolder:
    return RunFolder(root / "runs" / run.run_id, root / "tmp")


def after_kill(folder: RunFolder, killed: Fork) -> list[str]:
    """What is wrong with the store that a killed process left."""
    broken, whole = [], [0]
    for generation in range(1, folder.generations() + 1):
        attempt = folder.attempt(generation)
        for path in checkpoints.checkpoints(attempt):
            try:
                whole.append(checkpoints.verified(path, attempt).step)
            except checkpoints.Damage as damage:
                broken.append(f"I1: {path.name} is incomplete: {damage}")
    acknowledged = max(steps(killed.text(), SAVED), default=0)
    if max(whole) < acknowledged and folder.result() is None:
        broken.append(f"I3: {acknowledged} was saved, {max(whole)} is the newest there is")
    return broken


def leftovers(root: Path, killed: list[int]) -> list[str]:
    """What lies in ``tmp/`` that no killed process left, or that a later start does not remove."""
    broken = []
    aside = root / "tmp"
    for path in aside.iterdir():
        if path.name != ".writable" and not any(f".{pid}." in path.name for pid in killed):
            broken.append(f"left in tmp: {path.name}")
        old = time.time() - 2 * OLD
        os.utime(path, (old, old))
    Store(root, create=True)
    return broken + [
        f"not removed from tmp: {path.name}"
        for path in aside.iterdir()
        if path.name != ".writable"
    ]
