"""Takes runs of a store that have no result, one after another, as long as there are some.

A worker is a driver that leaves to others what they work on. Whatever starts it, an HTCondor
or PBS script or a person, may start any number, on any hosts that share the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from descentlab.errors import ConfigError, CorruptError, FailedRuns
from descentlab.runs.identity import Run
from descentlab.runs.store import Result, Store
from descentlab.sweep.driver import RETRIES, Sweep
from descentlab.sweep.executors.base import Executor
from descentlab.sweep.failures import summary
from descentlab.sweep.progress import Observe, Progress

IDLE_SECONDS = 1.0
"""Between two looks for runs, where there was none to take."""


@dataclass
class Worker:
    """Trains registered runs of a store here.

    Args:
        store: where they lie.
        executor: where they are computed.
        target: as for ``Sweep``.
        observe: told the progress several times a second.
        steps_of: a run's number of steps.
        label_of: what people call a run.
        study: take only runs of this study.
        limit: take so many runs at most.
        wait: when there is none to take, wait for one.
        retries: as for ``Sweep``.
    """

    store: Store
    executor: Executor
    target: str
    observe: Observe
    steps_of: Callable[[Run], int]
    label_of: Callable[[Run], str]
    study: str | None = None
    limit: int | None = None
    wait: bool = False
    retries: int = RETRIES
    results: dict[str, Result] = field(default_factory=dict)
    """Of the runs that were trained here."""
    failures: dict[str, str] = field(default_factory=dict)
    _known: dict[str, Run] = field(default_factory=dict, init=False)
    _began: float = field(default_factory=time.monotonic, init=False)

    def work(self) -> dict[str, Result]:
        """Take runs until there is none, or for ever, and return the results made here.

        Raises:
            ConfigError: if no run is registered, or no such study.
            FailedRuns: in the end, if some failed here.
        """
        if not self._registered() and not self.wait:
            raise ConfigError(
                f"{self.store.root}: no runs are registered; descent sweep STUDY --store "
                f"{self.store.root} --register-only does so"
            )
        while (left := self._room()) != 0:
            open_runs = self._open_runs()
            if open_runs and self._take(open_runs, left):
                continue
            if not self.wait:
                break
            self._idle(len(open_runs))
        if self.failures:
            tried = len(self.results) + len(self.failures)
            raise FailedRuns(f"{summary(self.failures, tried)}; start again to try them again")
        return self.results

    def most_threads(self) -> int:
        """The most threads that a run to take was registered with; 0 if none says.

        A worker leaves them as they are, since their number can change the last bits, and the
        next one would have to go on with the same.
        """
        execution = [run.settings.get("execution", {}) for run in self._open_runs()]
        return max((int(each.get("threads", 0)) for each in execution), default=0)

    def _room(self) -> int | None:
        return None if self.limit is None else self.limit - len(self.results) - len(self.failures)

    def _take(self, runs: list[Run], limit: int | None) -> bool:
        """Train what is free of some runs; return whether there was any."""
        before = dict(self.results)
        sweep = Sweep(
            runs=runs,
            labels={run.run_id: self.label_of(run) for run in runs},
            store=self.store,
            executor=self.executor,
            target=self.target,
            observe=lambda progress: self.observe(self._since_the_start(progress)),
            steps_of=self.steps_of,
            retries=self.retries,
            limit=limit,
            leave_others=True,
        )
        with suppress(FailedRuns):
            sweep.drive()
        self.failures |= sweep.failures
        self.results = before | {
            each: sweep.results[each] for each in sweep.begun & sweep.results.keys()
        }
        return bool(sweep.begun)

    def _since_the_start(self, progress: Progress) -> Progress:
        """A sweep's progress with what this worker did before it."""
        before = len(self.results) + len(self.failures)
        return replace(
            progress,
            total=progress.total + before,
            done=progress.done + before,
            failed=progress.failed + len(self.failures),
            elapsed=time.monotonic() - self._began,
        )

    def _idle(self, elsewhere: int) -> None:
        done = len(self.results) + len(self.failures)
        nothing: dict[str, Any] = {"already_done": 0, "diverged": 0, "running": []}
        self.observe(
            Progress(
                total=done + elsewhere,
                done=done,
                failed=len(self.failures),
                elapsed=time.monotonic() - self._began,
                seconds_left=None,
                elsewhere=elsewhere,
                **nothing,
            )
        )
        time.sleep(IDLE_SECONDS)

    def _registered(self) -> list[str]:
        return self.store.run_ids() if self.study is None else self.store.study_runs(self.study)

    def _open_runs(self) -> list[Run]:
        """Registered runs without a result that did not fail here; damaged ones are left out."""
        found = []
        for run_id in self._registered():
            folder = self.store.folder(run_id)
            if run_id in self.failures or folder.done.exists():
                continue
            with suppress(CorruptError):  # descent runs names it
                if run_id not in self._known:
                    self._known[run_id] = folder.run()
                found.append(self._known[run_id])
        return found
