"""Drives runs to their results: submits what has none, keeps count, and can be stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from descentlab.errors import BusyError, FailedRuns, Preempted
from descentlab.runs.identity import Run
from descentlab.runs.records import last_record
from descentlab.runs.store import Result, Store
from descentlab.sweep.executors.base import Executor, Job, Task

POLL_SECONDS = 0.25
GRACE_SECONDS = 60.0
"""How long stopped runs may take to reach a step boundary and save; a second signal ends it."""


class RunningRun(NamedTuple):
    """How far a run is."""

    label: str
    step: int
    steps: int
    seconds_left: float | None
    """By the time that its last step took; None before the first."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a sweep is."""

    total: int
    done: int
    already_done: int
    """Of those, how many had their result before this sweep began."""
    diverged: int
    failed: int
    elapsed: float
    """Seconds."""
    seconds_left: float | None
    """An estimate; None until a run has given one."""
    running: list[RunningRun]
    elsewhere: int
    """Runs that another process on this store is working on."""


Observe = Callable[[Progress], None]


@dataclass
class Sweep:
    """One drive of a list of runs through a store.

    Args:
        runs: what must have a result in the end; equal runs are trained once.
        labels: by run id, what people call them.
        store: where they lie.
        executor: where they are computed.
        target: ``module:function`` that trains a run, given the store's folder and the run
            as JSON.
        observe: told the progress several times a second.
        steps_of: a run's number of steps, for progress within it.
    """

    runs: Sequence[Run]
    labels: Mapping[str, str]
    store: Store
    executor: Executor
    target: str
    observe: Observe
    steps_of: Callable[[Run], int]
    results: dict[str, Result] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _by_id: dict[str, Run] = field(default_factory=dict, init=False)
    _jobs: dict[str, Job] = field(default_factory=dict, init=False)
    _tried: dict[str, int] = field(default_factory=dict, init=False)
    _began: float = field(default=0.0, init=False)
    _already_done: int = field(default=0, init=False)
    _elsewhere: int = field(default=0, init=False)

    def drive(self) -> dict[str, Result]:
        """Train every run that has no result and return all results by run id.

        On any exception, a signal's included, the running runs are stopped first.

        Raises:
            FailedRuns: if some failed; the others have their results then.
        """
        self._by_id = {run.run_id: run for run in self.runs}
        self._began = time.monotonic()
        waiting = []
        for run_id, run in self._by_id.items():
            self.store.register(run)
            if not self._collect(run_id):
                waiting.append(run_id)
        self._already_done = len(self.results)
        try:
            while waiting or self._jobs:
                waiting = self._submit(waiting)
                self.observe(self._progress())
                if all(job.exit_code() is None for job in self._jobs.values()):
                    self.executor.wait(POLL_SECONDS)
                waiting += self._reap()
            self.observe(self._progress())
        except BaseException:
            self._stop()
            raise
        if self.failures:
            run_id, reason = next(iter(self.failures.items()))
            raise FailedRuns(
                f"{len(self.failures)} of {len(self._by_id)} runs failed, the first, "
                f"{run_id}, for this reason: {reason}; start again to try them again"
            )
        return self.results

    def _collect(self, run_id: str) -> bool:
        result = self.store.folder(run_id).result()
        if result is not None:
            self.results[run_id] = result
        return result is not None

    def _submit(self, waiting: list[str]) -> list[str]:
        """Start runs while there is room; return those that still wait."""
        left = []
        self._elsewhere = 0
        for run_id in waiting:
            if len(self._jobs) >= self.executor.capacity:
                left.append(run_id)
            elif self._collect(run_id):
                continue
            elif self.store.status(run_id).state == "running":
                left.append(run_id)  # by another driver on this store
                self._elsewhere += 1
            else:
                run_json = msgspec.json.encode(self._by_id[run_id]).decode()
                task = Task(self.target, (str(self.store.root), run_json))
                self._tried[run_id] = self.store.generation(run_id)
                self._jobs[run_id] = self.executor.submit(task)
        return left

    def _reap(self) -> list[str]:
        """Take in what has ended; return what is to be tried again.

        That is what another process turned out to hold, what a signal stopped after its
        state was saved, and what was lost with its node.
        """
        again = []
        ended = [(run_id, job.exit_code()) for run_id, job in self._jobs.items()]
        for run_id, code in ended:
            if code is None:
                continue
            lost = self._jobs.pop(run_id).lost()
            if self._collect(run_id):
                continue
            if code in (BusyError.exit_code, Preempted.exit_code) or lost is not None:
                again.append(run_id)
            else:
                self.failures[run_id] = self._why(run_id, code)
        return again

    def _why(self, run_id: str, code: int) -> str:
        status = self.store.status(run_id)
        own = status.generation > self._tried[run_id]
        if own and status.reason is not None:
            return status.reason
        reason = f"its process ended with code {code}"
        if code < 0:
            memory = ", probably for want of memory" if code == -9 else ""
            reason = f"its process was ended by signal {-code}{memory}"
        attempt = self.store.latest_attempt(run_id)
        if own and status.state == "interrupted" and attempt is not None:
            attempt.end("failed", reason)  # unless another process has claimed it since
        return reason

    def _stop(self) -> None:
        for job in self._jobs.values():
            job.stop()
        deadline = time.monotonic() + GRACE_SECONDS
        try:
            while any(job.exit_code() is None for job in self._jobs.values()):
                if time.monotonic() > deadline:
                    break
                self.executor.wait(0.1)
        finally:
            for job in self._jobs.values():
                job.kill()

    def _progress(self) -> Progress:
        running = [self._running(run_id) for run_id in self._jobs]
        elapsed = time.monotonic() - self._began
        return Progress(
            total=len(self._by_id),
            done=len(self.results) + len(self.failures),
            already_done=self._already_done,
            diverged=sum(result.outcome == "diverged" for result in self.results.values()),
            failed=len(self.failures),
            elapsed=elapsed,
            seconds_left=self._seconds_left(elapsed, running),
            running=running,
            elsewhere=self._elsewhere,
        )

    def _seconds_left(self, elapsed: float, running: list[RunningRun]) -> float | None:
        """Time per run so far, a running one counted by its share, times the runs left."""
        done = len(self.results) + len(self.failures)
        partly = sum(each.step / each.steps for each in running)
        trained = done - self._already_done + partly
        if trained < 0.1:
            return None
        return elapsed / trained * (len(self._by_id) - done - partly)

    def _running(self, run_id: str) -> RunningRun:
        attempt = self.store.latest_attempt(run_id)
        record = last_record(attempt.timing) if attempt else None
        steps = self.steps_of(self._by_id[run_id])
        step = int(record["step"]) if record else 0
        return RunningRun(
            label=self.labels.get(run_id, run_id),
            step=step,
            steps=steps,
            seconds_left=float(record["seconds"]) * (steps - step) if record else None,
        )
