"""Drives runs to their results: submits what has none, keeps count, and can be stopped.

Any number of drivers may work on one store at once, on any hosts. Each run is claimed by one
worker at a time; the others' drivers look now and then whether that one still lives.
"""

from __future__ import annotations

import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from descentlab.errors import BusyError, FailedRuns, Preempted
from descentlab.runs.checkpoints import saved
from descentlab.runs.folder import Attempt, Result, Status
from descentlab.runs.identity import Run
from descentlab.runs.records import last_record
from descentlab.runs.store import Store
from descentlab.sweep.agenda import Agenda, Spent, Whole
from descentlab.sweep.executors.base import Executor, Job, Task
from descentlab.sweep.failures import Failure, by_exit_code, on_record, summary
from descentlab.sweep.progress import Best, Observe, Progress, RunningRun, raced

POLL_SECONDS = 0.25
OBSERVE_SECONDS = 0.1
LOOK_SHARE = 0.1
"""Of a driver's time, to look after runs that it cannot but wait for."""
GRACE_SECONDS = 60.0
"""How long stopped runs may take to reach a step boundary and save; a second signal ends it."""
RETRIES = 2


class Own(NamedTuple):
    """A job of this driver."""

    job: Job
    name: str
    """Stands in the claim that the job makes, and in no other."""
    pause_at: int | None
    """The step that it was asked to pause after; None for the run's end."""


@dataclass
class Sweep:
    """One drive of a list of runs through a store.

    Args:
        runs: what may be trained; equal runs are trained once.
        labels: by run id, what people call them.
        store: where they lie.
        executor: where they are computed.
        target: ``module:function`` that trains a run, given the store's folder, the run as
            JSON, the step to pause at, empty for none, and the name that the claim must carry.
        observe: told the progress several times a second.
        steps_of: a run's number of steps, for progress within it.
        retries: how often a run is tried again after what may pass; see ``failures``.
        limit: submit no more than so many runs, and leave the others.
        leave_others: do not wait for runs that other processes work on.
        agenda: what of the runs to train; all of each, if left out.
        tell: told in one line what people should know.
    """

    runs: Sequence[Run]
    labels: Mapping[str, str]
    store: Store
    executor: Executor
    target: str
    observe: Observe
    steps_of: Callable[[Run], int]
    retries: int = RETRIES
    limit: int | None = None
    leave_others: bool = False
    agenda: Agenda | None = None
    tell: Callable[[str], None] = lambda line: None
    results: dict[str, Result] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    """The runs that were submitted here."""
    _by_id: dict[str, Run] = field(default_factory=dict, init=False)
    _agenda: Agenda = field(init=False)
    _wanted: Mapping[str, int | None] = field(default_factory=dict, init=False)
    _queued: set[tuple[str, int | None]] = field(default_factory=set, init=False)
    """What was ever put in line."""
    _waiting: deque[str] = field(default_factory=deque, init=False)
    _jobs: dict[str, Own] = field(default_factory=dict, init=False)
    _elsewhere: dict[str, Job | None] = field(default_factory=dict, init=False)
    """Runs to wait for; with the job, if it may not have claimed its run yet."""
    _failed_tries: dict[str, int] = field(default_factory=dict, init=False)
    _seen: dict[str, int] = field(default_factory=dict, init=False)
    """The newest generation of a run whose failure was there before, or is counted."""
    _began: float = field(default=0.0, init=False)
    _already_done: int = field(default=0, init=False)
    _spent_before: float = field(default=0.0, init=False)
    _diverged: int = field(default=0, init=False)
    _best: Best | None = field(default=None, init=False)
    _observed: float = field(default=0.0, init=False)
    _next_look: float = field(default=0.0, init=False)

    def drive(self) -> dict[str, Result]:
        """Train what is wanted and has no result yet, and return all results by run id.

        On any exception, a signal's included, the running runs are stopped first.

        Raises:
            FailedRuns: if some failed; the others have their results then.
        """
        self._by_id = {run.run_id: run for run in self.runs}
        self._began = time.monotonic()
        for run_id, run in self._by_id.items():
            self.store.register(run)
            if not self._collect(run_id):
                status = self.store.status(run_id)
                self._seen[run_id] = status.generation - (status.state != "failed")
        self._already_done = len(self.results)
        self._agenda = self.agenda or Whole(self._seen, self.store)
        self._line_up()
        spent = self._agenda.spent()
        self._spent_before = spent.so_far if spent else 0.0
        try:
            self._take_over()
            while self._left():
                self._submit()
                self._look_around()
                self._tell()
                if all(own.job.exit_code() is None for own in self._jobs.values()):
                    self.executor.wait(POLL_SECONDS)
                self._reap()
            self._tell(at_once=True)
        except BaseException:
            self._stop()
            raise
        if self.failures:
            said = summary(self.failures, len(self._by_id))
            raise FailedRuns(f"{said}; start again to try them again")
        return self.results

    def _left(self) -> bool:
        """Whether there is anything to do or to wait for."""
        return bool(self._jobs or self._waiting or (self._elsewhere and not self.leave_others))

    def _line_up(self) -> None:
        """Put in line what is newly wanted."""
        self._wanted = self._agenda.wanted()
        new = [item for item in self._wanted.items() if item not in self._queued]
        self._queued.update(new)
        for run_id, _ in new:
            if run_id not in self._jobs and run_id not in self._waiting:
                self._waiting.append(run_id)
        if new:
            urgency = {run_id: place for place, run_id in enumerate(self._wanted)}
            self._waiting = deque(sorted(self._waiting, key=lambda each: urgency.get(each, -1)))

    def _got_further(self, run_id: str) -> None:
        self._agenda.ended(run_id)
        self._line_up()

    def _collect(self, run_id: str) -> bool:
        result = self.store.folder(run_id).result()
        if result is not None:
            self.results[run_id] = result
            self._diverged += result.outcome == "diverged"
            loss = result.validation_loss
            if loss is not None and (self._best is None or loss < self._best.loss):
                self._best = Best(self._called(run_id), loss)
        return result is not None

    def _take_over(self) -> None:
        """Go on with what a killed driver left in a scheduler's queue, as far as it is wanted.

        What it asked for otherwise is called off if it has not begun, and else waited for.
        """
        taken = called_off = 0
        found = self.executor.take_over(self._is_ours, self.tell)
        for task, job, begun, alike in sorted(found, key=lambda left: not left.begun):
            run_id, name = _run_id(task), task.arguments[-1]
            wanted = run_id in self._waiting  # else it is done, or a job before was for it, too
            if wanted and task == self._task(run_id, name) and (begun or alike):
                self._jobs[run_id] = Own(job, name, self._wanted[run_id])
            elif wanted and begun:
                self._elsewhere[run_id] = job
            else:
                if not begun:
                    job.stop()
                    called_off += 1
                continue
            self._waiting.remove(run_id)
            taken += 1
        if found:
            rest = f", {called_off} called off, not begun and asked for otherwise"
            self.tell(
                f"jobs of a killed driver in the queue: {taken} taken over"
                + (rest if called_off else "")
            )

    def _is_ours(self, task: Task) -> bool:
        return task.target == self.target and _run_id(task) in self._by_id

    def _submit(self) -> None:
        """Start runs while there is room."""
        while self._waiting and len(self._jobs) < self.executor.capacity:
            run_id = self._waiting.popleft()
            if run_id not in self._wanted:
                continue
            status = self.store.status(run_id)
            if status.state == "done":
                self._collect(run_id)
                self._got_further(run_id)
            elif status.state == "running":
                self._elsewhere[run_id] = None
                # Whoever has it began like this driver: it looks for work in another place.
                self._waiting.rotate(random.randrange(1 + len(self._waiting)))
            elif status.state == "failed" and status.generation > self._seen[run_id]:
                self._seen[run_id] = status.generation
                self._count(run_id, on_record(status))  # another driver's worker tried it
            else:
                self._start(run_id, status)

    def _start(self, run_id: str, status: Status) -> None:
        silence = self.store.silence(run_id, status.generation)
        if status.state == "interrupted" and silence is not None:
            # On record, so that the worker, who has not seen it, may claim the run.
            self.store.folder(run_id).attempt(status.generation).end("interrupted", silence)
        name = secrets.token_hex(8)
        self.begun.add(run_id)
        if len(self.begun) == self.limit:
            self._waiting = deque(each for each in self._waiting if each in self.begun)
            elsewhere = self._elsewhere.items()
            self._elsewhere = {each: job for each, job in elsewhere if each in self.begun}
        job = self.executor.submit(self._task(run_id, name))
        self._jobs[run_id] = Own(job, name, self._wanted[run_id])

    def _task(self, run_id: str, name: str) -> Task:
        """What is wanted of a run now, for a job that is called so."""
        run_json = msgspec.json.encode(self._by_id[run_id]).decode()
        pause_at = str(self._wanted[run_id] or "")
        return Task(self.target, (str(self.store.root), run_json, pause_at, name))

    def _look_around(self) -> None:
        """See what became of runs that others work on, and end own jobs that are silent."""
        began = time.monotonic()
        if began < self._next_look:
            return
        for run_id, job in list(self._elsewhere.items()):
            state = self.store.status(run_id).state
            at_work = state == "running" or (job is not None and job.exit_code() is None)
            if state == "done" or not at_work:
                del self._elsewhere[run_id]
                if not self._collect(run_id):
                    self._waiting.appendleft(run_id)
                self._got_further(run_id)
        for run_id, own in self._jobs.items():
            attempt = self._attempt_of(run_id, own)
            if attempt is None or own.job.exit_code() is not None:
                continue
            if (silence := self.store.silence(run_id, attempt.generation)) is not None:
                attempt.end("failed", silence, passing=True)
                own.job.kill()
        now = time.monotonic()
        self._next_look = now + max(POLL_SECONDS, (now - began) / LOOK_SHARE)

    def _attempt_of(self, run_id: str, own: Own) -> Attempt | None:
        """The attempt that a job has begun, if it has, and if none came after it."""
        generation = self.store.generation(run_id)
        holder = self.store.claims.holder(run_id, generation)
        if holder is None or holder.job != own.name:
            return None
        return self.store.folder(run_id).attempt(generation)

    def _reap(self) -> None:
        """Take in what has ended."""
        ended = [(each, own.job.exit_code()) for each, own in self._jobs.items()]
        for run_id, code in ended:
            if code is None:
                continue
            own = self._jobs.pop(run_id)
            if self._collect(run_id) or self._reached(run_id, own, code):
                self._got_further(run_id)
            elif code == BusyError.exit_code:
                self.begun.discard(run_id)
                self._elsewhere[run_id] = None
            elif code == Preempted.exit_code:  # its state is saved
                self._waiting.append(run_id)
            else:
                self._count(run_id, self._why(run_id, own, code))

    def _reached(self, run_id: str, own: Own, code: int) -> bool:
        """Whether a job paused where it was asked to."""
        if code != 0 or own.pause_at is None:
            return False
        found = saved(self.store.folder(run_id))
        return found is not None and found.step >= own.pause_at

    def _why(self, run_id: str, own: Own, code: int) -> Failure:
        """What ended a job without a result; it is on record from then on."""
        loss = own.job.lost()
        failure = by_exit_code(code) if loss is None else Failure(loss, passing=True)
        attempt = self._attempt_of(run_id, own)
        if attempt is None:
            return failure
        self._seen[run_id] = attempt.generation
        if (ending := attempt.ending()) is not None:
            return on_record(ending)
        attempt.end("failed", failure.reason, passing=failure.passing)
        return failure

    def _count(self, run_id: str, failure: Failure) -> None:
        """Try a run again if that may help, else give it up."""
        tries = self._failed_tries[run_id] = self._failed_tries.get(run_id, 0) + 1
        if failure.passing and tries <= self.retries:
            self._waiting.append(run_id)
            return
        times = f" (try {tries} of {1 + self.retries})" if failure.passing and tries > 1 else ""
        self.failures[run_id] = failure.reason + times
        self._agenda.failed(run_id)
        self._line_up()

    def _stop(self) -> None:
        for own in self._jobs.values():
            own.job.stop()
        deadline = time.monotonic() + GRACE_SECONDS
        try:
            while any(own.job.exit_code() is None for own in self._jobs.values()):
                if time.monotonic() > deadline:
                    break
                self.executor.wait(0.1)
        finally:
            for own in self._jobs.values():
                own.job.kill()

    def _tell(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now - self._observed >= OBSERVE_SECONDS:
            self._observed = now
            self.observe(self._progress())

    def _progress(self) -> Progress:
        running = [self._running(run_id) for run_id in self._jobs]
        elapsed = time.monotonic() - self._began
        spent = self._agenda.spent()
        return Progress(
            total=len(self._by_id),
            done=len(self.results) + len(self.failures),
            already_done=self._already_done,
            diverged=self._diverged,
            failed=len(self.failures),
            elapsed=elapsed,
            seconds_left=self._seconds_left(elapsed, running, spent),
            running=running,
            elsewhere=len(self._elsewhere),
            retried=sum(self._failed_tries.values()) - len(self.failures),
            spent=spent,
            best=self._best,
            raced=raced(self._agenda.decided(), self.labels),
            failures={self._called(each): why for each, why in self.failures.items()},
        )

    def _seconds_left(
        self, elapsed: float, running: list[RunningRun], spent: Spent | None
    ) -> float | None:
        """Time per run so far, a running one counted by its share, times the runs left."""
        if spent is not None:
            trained = spent.so_far - self._spent_before
            return elapsed / trained * spent.asked if trained > 0.1 else None
        done = len(self.results) + len(self.failures)
        partly = sum(each.step / each.steps for each in running)
        trained = done - self._already_done + partly
        if trained < 0.1:
            return None
        return elapsed / trained * (len(self._by_id) - done - partly)

    def _running(self, run_id: str) -> RunningRun:
        attempt = self.store.latest_attempt(run_id)
        record = last_record(attempt.timing) if attempt else None
        made = last_record(attempt.metrics) if attempt else None
        steps = self.steps_of(self._by_id[run_id])
        step = int(record["step"]) if record else 0
        return RunningRun(
            label=self._called(run_id),
            step=step,
            steps=steps,
            seconds_left=float(record["seconds"]) * (steps - step) if record else None,
            loss=made.get("loss") if made else None,
        )

    def _called(self, run_id: str) -> str:
        return self.labels.get(run_id, run_id)


def _run_id(task: Task) -> str:
    """The run that a task of a driver trains."""
    return msgspec.json.decode(task.arguments[1], type=Run).run_id
