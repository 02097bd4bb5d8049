"""Trains a run undisturbed and disturbed, and says which promises were broken."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from faults.forks import KILL, TEAR, Fault, Fork, Forks, FreshProcesses
from faults.lost_power import Disk
from faults.trials import SAVED, WENT_ON, as_toml, different, outcome, steps

from descentlab.runs import checkpoints
from descentlab.runs.identity import Run
from descentlab.runs.store import RunFolder, Store
from descentlab.storage import OLD

TRAIN, DESCENT = "faults.trials:train", "faults.trials:descent"


@dataclass
class Laboratory:
    """Stores side by side under one folder, with processes at work on them."""

    forks: Forks | FreshProcesses
    folder: Path
    _stores: int = field(default=0, init=False)

    def new_store(self) -> Path:
        self._stores += 1
        folder = self.folder / str(self._stores)
        folder.mkdir()
        return folder / "store"

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
            TRAIN, str(root), run_json, folder=root.parent, fault=fault, bugs=bugs, denied=denied
        )

    def descent(
        self, run: Run, root: Path, fault: Fault | None = None, *, bugs: tuple[str, ...] = ()
    ) -> Fork:
        """Start ``descent train``."""
        spec = root.parent / "spec.toml"
        spec.write_text(as_toml(run.settings))
        arguments = ("train", str(spec), "--store", str(root))
        return self.forks.start(DESCENT, *arguments, folder=root.parent, fault=fault, bugs=bugs)

    def undisturbed(self, run: Run, *, bugs: tuple[str, ...] = ()) -> Undisturbed:
        """Train a run to its end.

        Raises:
            AssertionError: if it does not come to it.
        """
        root = self.new_store()
        process = self.start(run, root, bugs=bugs)
        assert process.wait() == 0, process.text()
        return Undisturbed(run, root, outcome(folder_of(root, run)), process)

    def midway(self, whole: Undisturbed, fault: Fault) -> Undisturbed:
        """The process that goes on with a run after a fault, as a run of its own."""
        before = self.new_store()
        assert self.start(whole.run, before, fault).wait() == -signal.SIGKILL
        root = self.new_store()
        shutil.copytree(before, root)
        process = self.start(whole.run, root)
        assert process.wait() == 0, process.text()
        return Undisturbed(whole.run, root, whole.outcome, process, begun=before)

    def stopped(self, whole: Undisturbed, step: int) -> Path:
        """A store in which the run was killed as it had made, but not saved, a step."""
        written = [each for each in whole.process.calls() if each.path.name == "metrics.jsonl"]
        made = next(each for each in written if b'"step":%d,' % step in each.content)
        root = self.new_store()
        fault = Fault(KILL, made.number + 1)
        assert self.start(whole.run, root, fault).wait() == -signal.SIGKILL
        return root

    def copy(self, root: Path) -> Path:
        """The same store elsewhere."""
        return Path(shutil.copytree(root, self.new_store()))

    def killed(self, whole: Undisturbed, fault: Fault, *, bugs: tuple[str, ...] = ()) -> list[str]:
        """Plant a fault in a run, start it again, and return the promises that it broke."""
        root = self.new_store()
        saved = 0
        if whole.begun is not None:
            shutil.copytree(whole.begun, root)
            saved = newest_step(folder_of(root, whole.run))[0]
        process = self.start(whole.run, root, fault, bugs=bugs)
        code = process.wait()
        if bugs and code == 0:
            return []  # a bug may make fewer calls
        assert code == -signal.SIGKILL, process.text()
        folder = folder_of(root, whole.run)
        saved = max([saved, *steps(process.text(), SAVED)])
        whole_step, broken = newest_step(folder)
        if folder.result() is not None:
            saved = 0
        elif whole_step < saved:
            broken.append(f"I3: {saved} was saved, {whole_step} is the newest there is")
        killed = [process.pid] if whole.begun is None else None
        return broken + self.resumed(whole, root, bugs=bugs, acknowledged=saved, killed=killed)

    def without_power(
        self, whole: Undisturbed, point: int, seed: int | None, *, bugs: tuple[str, ...] = ()
    ) -> list[str]:
        """Lose the power before a call of an undisturbed run, and go on with what is left.

        Args:
            whole: the run.
            point: the number of the call.
            seed: decides what of the unflushed has reached the disk; None for nothing.
            bugs: as for ``start``.
        """
        calls = [each for each in whole.process.calls() if each.number < point]
        disk = Disk(whole.root.parent)
        disk.replay(calls)
        root = self.new_store()
        disk.lose_power(root.parent, None if seed is None else random.Random(seed))
        broken = []
        folder = folder_of(root, whole.run)
        before = acknowledged_before(whole, point)
        last = max(each.number for each in whole.process.calls())
        if point > last and not folder.done.exists():
            broken.append("I2: the result is lost, though the process had ended")
        return broken + self.resumed(whole, root, bugs=bugs, acknowledged=before)

    def resumed(
        self,
        whole: Undisturbed,
        root: Path,
        *,
        bugs: tuple[str, ...] = (),
        acknowledged: int = 0,
        killed: Sequence[int] | None = None,
    ) -> list[str]:
        """Start a disturbed run again and return the promises that are broken in the end.

        Args:
            whole: the same run, undisturbed.
            root: the store.
            bugs: as for ``start``.
            acknowledged: the last step whose checkpoint must still be there.
            killed: those who may have left something in ``tmp/``; None for anyone.
        """
        done = folder_of(root, whole.run).done.exists()
        process = self.start(whole.run, root, bugs=bugs)
        code = process.wait()
        if code != 0:
            return [f"started again, it ended with {code}: {process.text()}"]
        broken = []
        went_on = max(steps(process.text(), WENT_ON), default=0)
        if went_on < acknowledged and not done:
            broken.append(f"I2: went on after step {went_on}, though {acknowledged} was saved")
        if "warning" in process.text():
            broken.append(f"I1: {process.text()}")
        folder = folder_of(root, whole.run)
        broken += [f"other {part}" for part in different(whole.outcome, outcome(folder))]
        return broken + leftovers(root, killed)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing befell, and the process that trained it."""

    run: Run
    root: Path
    outcome: dict[str, bytes]
    process: Fork
    begun: Path | None = None
    """What the store was before, if the process did not begin the run."""

    def faults(self, *, flushes: bool = False) -> list[tuple[str, Fault]]:
        """Death before each call that changes files, and in the middle of each write.

        Args:
            flushes: before these as well, though they change nothing that others could see.
        """
        faults = []
        for call in self.process.calls():
            if call.what == "sync" and not flushes:
                continue
            name = f"{call.number} {call.what} {call.path.name} {call.other.name}".rstrip()
            faults.append((f"before {name}", Fault(KILL, call.number)))
            if call.what == "write":
                faults.append((f"within {name}", Fault(TEAR, call.number)))
        return faults


def folder_of(root: Path, run: Run) -> RunFolder:
    return RunFolder(root / "runs" / run.run_id, root / "tmp")


def acknowledged_before(whole: Undisturbed, point: int) -> int:
    """The last step that was saved before a call, by the call that made its folder durable."""
    found, saved = 0, None
    for call in whole.process.calls():
        if call.number >= point:
            break
        if call.what == "rename" and call.other.name.startswith("step-"):
            saved = call.other
        elif call.what == "sync" and saved is not None and call.path == saved.parent:
            found = int(saved.name.removeprefix("step-"))
    return found


def newest_step(folder: RunFolder) -> tuple[int, list[str]]:
    """The last step of which there is a whole checkpoint, 0 if none, and those not whole."""
    whole, broken = [0], []
    for generation in range(1, folder.generations() + 1):
        attempt = folder.attempt(generation)
        for path in checkpoints.stored(attempt):
            try:
                whole.append(checkpoints.verified(path, attempt).step)
            except checkpoints.Damage as damage:
                broken.append(f"I1: {path.name} is incomplete: {damage}")
    return max(whole), broken


def leftovers(root: Path, killed: Sequence[int] | None) -> list[str]:
    """What lies in ``tmp/`` that no killed process left, or that a later start does not remove."""
    broken = []
    aside = root / "tmp"
    for path in aside.iterdir():
        theirs = killed is None or any(f".{pid}." in path.name for pid in killed)
        if path.name != ".writable" and not theirs:
            broken.append(f"left in tmp: {path.name}")
        old = time.time() - 2 * OLD
        os.utime(path, (old, old))
    Store(root, create=True)
    return broken + [
        f"not removed from tmp: {path.name}" for path in aside.iterdir() if path.name != ".writable"
    ]
