"""One run of a store: claim it, train it, publish its result."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import torch

from descentlab.data.prepare import PreparedData, prepare, reopen
from descentlab.errors import (
    BusyError,
    CorruptError,
    DataError,
    DescentError,
    Interrupted,
    Paused,
    StorageError,
)
from descentlab.runs.checkpoints import discard_all
from descentlab.runs.folder import PAUSED
from descentlab.runs.heartbeats import Heart
from descentlab.runs.identity import Run
from descentlab.runs.records import Value
from descentlab.runs.store import Attempt, Result, Store
from descentlab.train.environment import environment, set_up_process
from descentlab.train.loggers.attached import attach, relay_of
from descentlab.train.loggers.names import require
from descentlab.train.loggers.relay import Relay
from descentlab.train.loop import Observer, Outcome, Training, train
from descentlab.train.recorder import Recorder
from descentlab.train.resuming import Beginning, Saver, beginning, taken_over
from descentlab.train.signals import Stop, stop_between_steps
from descentlab.train.spec import RunSpec, run_spec
from descentlab.train.watchdog import heart_of
from descentlab.train.world import ALONE, World

Progress = Callable[[int, int, float], None]
"""Called after each step with the step, the number of steps, and the loss."""


def work(store_root: str, run_json: str, pause_at: str = "", job: str = "") -> None:
    """Train a registered run, given as JSON, as a process of its own.

    With ``pause_at`` it stops after that step, its state saved. ``job`` is what the driver calls
    it, for the claim. Ends the process with an exit code of the program's if training fails; the
    reason and the traceback are in the attempt's folder then.
    """
    try:
        run = msgspec.json.decode(run_json, type=Run)
        store = Store(Path(store_root))
        train_in_store(store, run, pause_at=int(pause_at or 0), job=job)
    except Paused:
        return
    except DescentError as error:
        raise SystemExit(error.exit_code) from error
    except Exception as error:
        raise SystemExit(1) from error


def train_in_store(
    store: Store,
    run: Run,
    progress: Progress = lambda step, steps, loss: None,
    warn: Callable[[str], None] = lambda line: None,
    here: World = ALONE,
    *,
    pause_at: int = 0,
    job: str = "",
) -> Result:
    """Train a registered run unless it has a result, and return the result.

    It is computed as ``run`` asks today, on the device, with the threads and from the
    corpus path that it names; what decides its result is the same as in the store. It goes
    on from the newest checkpoint of an earlier attempt.

    Args:
        store: where it is registered.
        run: what to train.
        progress: told every step.
        warn: told in one line what went not as planned.
        here: this process among those that train the run together; the first one writes.
        pause_at: stop after this step if the run has more; 0 is never.
        job: what the driver that started this process calls it.

    Raises:
        BusyError: if another process has the run, or has taken it over.
        Paused: if it stopped at ``pause_at``; its state is saved.
        Interrupted: if a signal stopped it; its state is saved.
        DescentError: for anything else that the user can act on.
    """
    folder = store.folder(run.run_id)
    if (result := here.by_first(folder.result)) is not None:
        return result
    attempt = here.by_first(lambda: store.claim(run.run_id, job=job))
    with relay_of(attempt, warn) as relay:  # told of the ending once that is on record
        stop = _attempt(run, store, attempt, relay, progress, warn, here, pause_at)
        result = here.by_first(folder.result)
        if result is None:
            raise CorruptError(f"{folder.done}: vanished right after it was written")
        relay.finished(result)
    if stop.received is not None:
        raise stop.stopped(f"run {run.run_id} was finished before stopping")
    return result


def _attempt(
    run: Run,
    store: Store,
    attempt: Attempt,
    relay: Relay,
    progress: Progress,
    warn: Callable[[str], None],
    here: World,
    pause_at: int,
) -> Stop:
    """Train to a result, or put on record why there is none."""
    folder = attempt.run_folder
    try:
        folder.run()  # refuses a damaged spec
        spec = run_spec(run.settings, where=f"run {run.run_id}")
        here.check(spec)
        require(spec.execution.loggers)
        set_up_process(spec)
        heart = heart_of(store, attempt, spec)
        with ExitStack() as alive:

            def begin() -> Beginning:
                alive.enter_context(heart)
                begun = beginning(folder, spec, here.size, warn)
                attempt.begin(environment(begun.spec, here.size))
                return begun.copied_into(attempt)

            begun = here.by_first(begin)
            data = tokens_of(run, spec)
            if here.first:
                attach(relay, begun.spec, attempt, store.root, begun.step)
            return _train(begun, data, store, attempt, heart, relay, progress, here, pause_at)
    except (Interrupted, Paused, KeyboardInterrupt) as interruption:
        if here.first:
            with suppress(StorageError):  # the state is saved, and that it ended can be seen
                attempt.end("interrupted", str(interruption) or "stopped by Ctrl-C")
        raise
    except BusyError:
        raise  # the run is another process's, and so is what becomes of it
    except Exception as error:
        _put_on_record(error, attempt, here)
        raise


def _put_on_record(error: Exception, attempt: Attempt, here: World) -> None:
    """Say why an attempt failed; of several processes, what the first to fail says stands."""
    where = f"process {here.rank} of {here.size}: " if here.size > 1 else ""
    with suppress(StorageError):  # the first error is the one to show
        if attempt.ending() is None:
            attempt.end(
                "failed",
                where + _reason(error),
                log=traceback.format_exc(),
                passing=isinstance(error, StorageError) or _out_of_memory(error),
            )


def tokens_of(run: Run, spec: RunSpec) -> PreparedData:
    """The very tokens that the run was planned with, made again if the cache lost them."""
    try:
        return reopen(run.data_sha256)
    except DataError:
        data = prepare(spec.data)
    if data.sha256 != run.data_sha256:
        raise DataError(
            f"run {run.run_id}: its corpus {spec.data.corpus!r} gives other tokens today than "
            "when it was planned; plan it again, as a new run"
        )
    return data


def _reason(error: Exception) -> str:
    if _out_of_memory(error):
        return "out of memory"
    return str(error) if isinstance(error, DescentError) else f"{type(error).__name__}: {error}"


def _out_of_memory(error: Exception) -> bool:
    """Whether Python or torch was refused memory; torch's CPU allocator has no type for it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _train(
    begun: Beginning,
    data: PreparedData,
    store: Store,
    attempt: Attempt,
    heart: Heart,
    relay: Relay,
    progress: Progress,
    here: World,
    pause_at: int,
) -> Stop:
    spec, steps = begun.spec, begun.spec.training.steps
    with stop_between_steps() as stop, ExitStack() as files:
        recorder = Recorder(attempt, spec, files, relay) if here.first else None
        saver = Saver(store, attempt, begun, recorder.files if recorder else [], here)

        def observe(record: Mapping[str, Value]) -> None:
            if recorder is not None:
                recorder.metrics(record)
            if "loss" in record:
                progress(int(record["step"]), steps, float(record["loss"]))

        def timing(record: Mapping[str, Value]) -> None:
            heart.at(int(record["step"]), slow=True)  # an evaluation may follow
            if recorder is not None:
                recorder.timing(record)

        observer = Observer(
            metrics=observe,
            timing=timing,
            probes=recorder.probes if recorder else _ignore,
            boundary=_boundary(begun, saver, stop, heart, here, pause_at),
        )
        outcome = train(spec, data, observer, begun.snapshot, here)
        if recorder is not None:
            recorder.summarise(here.size)
        if spec.execution.final_checkpoint:
            saver.save(outcome.training)
        files.close()  # its records are durable before the result is
        here.by_first(lambda: _finish(spec, store, attempt, outcome, begun.inexact_since))
    return stop


def _boundary(
    begun: Beginning, saver: Saver, stop: Stop, heart: Heart, here: World, pause_at: int
) -> Callable[[Training], None]:
    """What to do between two steps: leave the run to others, save it, stop or pause."""

    def boundary(training: Training) -> None:
        step, steps = training.step, begun.spec.training.steps
        heart.at(step, slow=step == begun.step)
        # All processes stop and save at the same step, whichever was told to.
        number, due, lost = here.largest(
            stop.received or 0, int(saver.due(training)), int(heart.lost)
        )
        pause = pause_at > 0 and step >= pause_at
        if lost:
            raise taken_over(saver.attempt)
        if number or due or pause:
            saver.save(training)
            (number,) = here.largest(stop.received or number)  # it may have come meanwhile
        if number:
            stop.received = number
            raise stop.stopped(
                f"stopped after step {step} of {steps}, state saved; the same "
                "command goes on from there"
            )
        if pause:
            raise Paused(f"{PAUSED} {step} of {steps}, state saved")

    return boundary


def _ignore(record: Mapping[str, Value]) -> None:
    """What processes but the first do with records."""


def _finish(
    spec: RunSpec, store: Store, attempt: Attempt, outcome: Outcome, inexact: int | None
) -> None:
    """Publish the result, and drop the checkpoints that it makes superfluous."""
    diverged = outcome.diverged_at is not None
    if not store.owns(attempt):
        raise taken_over(attempt)
    published = attempt.finish(
        Result(
            outcome="diverged" if diverged else "ok",
            generation=attempt.generation,
            steps=outcome.steps,
            tokens=outcome.steps * spec.training.batch_size * spec.data.sequence_length,
            diverged_at=outcome.diverged_at,
            reason=outcome.reason,
            inexact_since=inexact,
            validation_loss=outcome.validation_loss,
        )
    )
    if published:  # otherwise the process that was quicker knows what to keep
        keep = diverged or spec.execution.final_checkpoint
        discard_all(attempt.run_folder, but=1 if keep else 0)
