"""The store: a folder that holds studies, claims and runs, and is the only truth there is.

    studies/<name>.json, <name>+2.json, …     tmp/
    claims/<run_id>.<generation>     heartbeats/<run_id>.<generation>
    runs/<run_id>/spec.json, done.json
    runs/<run_id>/attempt-<generation>/ metrics.jsonl  timing.jsonl  log.txt  environment.json
                                        probes.jsonl if the run has probes
                                        checkpoints/step-<updates made>/

All paths of a run come from ``RunFolder``. Readers never write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from descentlab.config import canonical_json, seal
from descentlab.errors import ConfigError, nearest
from descentlab.runs.claims import Claims
from descentlab.runs.folder import LOST, Attempt, Result, RunFolder, Status
from descentlab.runs.heartbeats import TTL, Heart, Heartbeats
from descentlab.runs.identity import Run
from descentlab.runs.races import Races
from descentlab.runs.studies import Entry, Studies
from descentlab.storage import drop_old, make_folder, publish, storage_errors

__all__ = ["Attempt", "Result", "RunFolder", "Status", "Store"]

WATCH_SECONDS = 0.25


class Store:
    """A folder of runs that any number of processes may work on.

    Args:
        root: the folder.
        create: make it if it is not there.

    Raises:
        ConfigError: if it is not there, or is not a store.
        StorageError: if it cannot be made or written.
    """

    def __init__(self, root: Path, *, create: bool = False) -> None:
        self.root = root
        self.studies = root / "studies"
        self.aside = root / "tmp"
        self._runs = root / "runs"
        claims, heartbeats = root / "claims", root / "heartbeats"
        if create:
            with storage_errors(root):
                for folder in (self.studies, self.aside, self._runs, claims, heartbeats):
                    make_folder(folder)
                self._sweep_aside()
        elif not self._runs.is_dir():
            raise ConfigError(f"{root}: not a store; give the folder that a run was trained into")
        self.claims = Claims(claims, self.aside)
        self.heartbeats = Heartbeats(heartbeats, self.aside)
        self.races = Races(root / "races", self.aside)

    def _sweep_aside(self) -> None:
        """Prove that the store can be written, and drop what killed processes left."""
        probe = self.aside / ".writable"
        probe.touch()
        drop_old(self.aside.iterdir(), probe.stat().st_mtime)

    def folder(self, run_id: str) -> RunFolder:
        """Where a run lies, whether it is registered or not."""
        return RunFolder(self._runs / run_id, self.aside)

    def register(self, run: Run) -> RunFolder:
        """Put a run's spec on disk if it is not there; the first spelling stays."""
        folder = self.folder(run.run_id)
        if not folder.spec.exists():
            with storage_errors(folder.path):
                make_folder(folder.path)
            publish(folder.spec, seal(canonical_json(run)), aside=self.aside)
        return folder

    def register_study(self, name: str, content: Mapping[str, Any]) -> None:
        """Put a study on disk; a study of that name may only have gained runs (``studies``).

        Raises:
            ConfigError: if another study has the name.
        """
        Studies(self.studies, self.aside).register(name, content)

    def study_runs(self, name: str) -> list[str]:
        """The ids of the runs of a registered study.

        Raises:
            ConfigError: if none has the name.
        """
        return Studies(self.studies, self.aside).runs(name)

    def entries_by_run(self) -> dict[str, tuple[Entry, ...]]:
        """By run id, in what part every study asked for it; equal runs may play several.

        Raises:
            CorruptError: if a study's file is damaged.
        """
        asked: dict[str, dict[Entry, None]] = {}
        studies = Studies(self.studies, self.aside)
        for name in studies.names():
            for run_id, entry in studies.entries(name):
                asked.setdefault(run_id, {})[entry] = None
        return {run_id: tuple(entries) for run_id, entries in asked.items()}

    def claim(self, run_id: str, *, job: str = "") -> Attempt:
        """Make this process the owner of a registered run.

        Args:
            run_id: of the run.
            job: what the driver that started this process calls it.

        Raises:
            BusyError: if another process has it.
        """
        folder = self.folder(run_id)
        generation = self.generation(run_id)
        free = folder.attempt(generation).ending() is not None or self.silence(run_id, generation)
        released = generation if free else 0
        tried = folder.generations()
        return folder.attempt(self.claims.claim(run_id, released=released, tried=tried, job=job))

    def heart(
        self,
        attempt: Attempt,
        *,
        ttl: float = TTL,
        hang_after: float = 0.0,
        hung: Callable[[int, float], None] = lambda step, seconds: None,
    ) -> Heart:
        """What shows others, while its block lasts, that this process works on the attempt.

        Its arguments are those of ``Heart``.
        """
        return Heart(
            self.heartbeats,
            attempt.run_folder.run_id,
            attempt.generation,
            lambda: self.owns(attempt),
            ttl=ttl,
            hang_after=hang_after,
            hung=hung,
        )

    def silence(self, run_id: str, generation: int) -> str | None:
        """Say that the holder of a generation counts as gone, if this process has seen it so.

        Its heartbeat must have stood still for its TTL at looks of this store object.
        """
        seconds = self.heartbeats.still(run_id, generation)
        return None if seconds is None else f"{LOST}its heartbeat stood still for {seconds:,.1f} s"

    def watch(self, run_id: str, tell: Callable[[str], None]) -> None:
        """Wait until a holder that cannot be seen from here has beaten, or counts as gone.

        One that can be seen lives or not, which takes no time to tell.

        Args:
            run_id: of the run.
            tell: told in one line what is waited for, if anything is.
        """
        generation = self.generation(run_id)
        holder = self.claims.holder(run_id, generation)
        if holder is None or holder.visible() or self.status(run_id).state != "running":
            return
        first = self.heartbeats.latest(run_id, generation)
        tell(
            f"run {run_id}: process {holder.pid} on {holder.host} was working on it; waiting "
            f"for its heartbeat, at most {TTL if first is None else first.ttl:,.0f} s"
        )
        while (
            self.status(run_id).state == "running"
            and self.generation(run_id) == generation
            and self.heartbeats.latest(run_id, generation) == first
        ):
            time.sleep(WATCH_SECONDS)

    def generation(self, run_id: str) -> int:
        """The newest generation that claimed the run, 0 if none did."""
        return self.claims.generation(run_id, tried=self.folder(run_id).generations())

    def owns(self, attempt: Attempt) -> bool:
        """Whether no later attempt at the run may have been claimed.

        Others may claim it once the attempt is on record as ended, by whomever.
        """
        if self.generation(attempt.run_folder.run_id) != attempt.generation:
            return False
        return attempt.ending() is None

    def latest_attempt(self, run_id: str) -> Attempt | None:
        """The newest attempt, or the one that finished the run."""
        folder = self.folder(run_id)
        result = folder.result()
        generation = result.generation if result else self.generation(run_id)
        return folder.attempt(generation) if generation else None

    def status(self, run_id: str) -> Status:
        """Where a run stands, from its files and the life of its owner."""
        folder = self.folder(run_id)
        result = folder.result()
        if result is not None:
            return Status("done", result=result, generation=result.generation)
        generation = self.generation(run_id)
        if generation == 0:
            return Status("pending")
        if (ending := folder.attempt(generation).ending()) is not None:
            return ending
        holder = self.claims.holder(run_id, generation)
        if holder is None or not holder.alive():
            return Status("interrupted", generation=generation)
        if (silence := self.silence(run_id, generation)) is not None:
            return Status("interrupted", reason=silence, generation=generation)
        return Status("running", generation=generation)

    def runs(self) -> Iterator[Run]:
        """Every registered run, ordered by id."""
        for run_id in self.run_ids():
            yield self.folder(run_id).run()

    def run_ids(self) -> list[str]:
        """The id of every registered run, in order."""
        return sorted(path.parent.name for path in self._runs.glob("*/spec.json"))

    def find(self, prefix: str) -> Run:
        """The run whose id starts with ``prefix``.

        Raises:
            ConfigError: if none or several do.
        """
        names = self.run_ids()
        matches = [name for name in names if prefix and name.startswith(prefix)]
        if len(matches) == 1:
            return self.folder(matches[0]).run()
        if matches:
            raise ConfigError(f"run {prefix!r}: {len(matches)} runs start so; give more of the id")
        hint = (
            nearest(prefix, names) if len(names) <= 12 else f"descent runs {self.root} lists them"
        )
        raise ConfigError(f"run {prefix!r}: not in {self.root}; {hint}")
