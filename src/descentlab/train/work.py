"""One run of a store: claim it, train it, publish its result."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

import msgspec

from descentlab.data.prepare import PreparedData, prepare, reopen
from descentlab.errors import CorruptError, DataError, DescentError, Interrupted, StorageError
from descentlab.runs.identity import Run
from descentlab.runs.records import Value
from descentlab.runs.store import Attempt, Result, Store
from descentlab.train.environment import environment, set_up_process
from descentlab.train.loop import Observer, train
from descentlab.train.spec import RunSpec, run_spec
from descentlab.train.throughput import Meter

Progress = Callable[[int, int, float], None]
"""Called after each step with the step, the number of steps, and the loss."""


def work(store_root: str, run_json: str) -> None:
    """Train a registered run, given as JSON, as a process of its own.

    Ends the process with an exit code of the program's if that fails; the reason and
    the traceback are in the attempt's folder then.
    """
    try:
        run = msgspec.json.decode(run_json, type=Run)
        train_in_store(Store(Path(store_root)), run)
    except DescentError as error:
        raise SystemExit(error.exit_code) from error
    except Exception as error:
        raise SystemExit(1) from error


def train_in_store(
    store: Store, run: Run, progress: Progress = lambda step, steps, loss: None
) -> Result:
    """Train a registered run unless it has a result, and return the result.

    It is computed as ``run`` asks today, on the device, with the threads and from the
    corpus path that it names; what decides its result is the same as in the store.

    Raises:
        BusyError: if another process has the run.
        Interrupted: if a signal stopped it; it starts again from its first step.
        DescentError: for anything else that the user can act on.
    """
    folder = store.folder(run.run_id)
    if (result := folder.result()) is not None:
        return result
    attempt = store.claim(run.run_id)
    try:
        folder.run()  # refuses a damaged spec
        spec = run_spec(run.settings, where=f"run {run.run_id}")
        set_up_process(spec)
        attempt.begin(environment(spec))
        _train(spec, _tokens(run, spec), attempt, progress)
    except Interrupted as stop:
        attempt.end("interrupted", str(stop))
        raise
    except Exception as error:
        with suppress(StorageError):  # the first error is the one to show
            attempt.end("failed", _reason(error), log=traceback.format_exc())
        raise
    result = folder.result()
    if result is None:
        raise CorruptError(f"{folder.done}: vanished right after it was written")
    return result


def _tokens(run: Run, spec: RunSpec) -> PreparedData:
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
    if isinstance(error, MemoryError):
        return "out of memory"
    return str(error) if isinstance(error, DescentError) else f"{type(error).__name__}: {error}"


def _train(spec: RunSpec, data: PreparedData, attempt: Attempt, progress: Progress) -> None:
    steps = spec.training.steps
    with (
        attempt.open_metrics() as metrics,
        attempt.open_timing() as timing,
        attempt.open_probes() if spec.probes else nullcontext() as probes,
        _signals_at_boundaries() as boundary,
    ):

        def observe(record: Mapping[str, Value]) -> None:
            metrics.write(record)
            if "loss" in record:
                progress(int(record["step"]), steps, float(record["loss"]))

        def time(record: Mapping[str, Value]) -> None:
            timing.write(record)
            meter.add(record)

        meter = Meter()
        observer = Observer(metrics=observe, timing=time, boundary=boundary)
        if probes is not None:
            observer = replace(observer, probes=probes.write)
        outcome = train(spec, data, observer)
        if (summary := meter.summary(spec)) is not None:
            timing.write(summary)
        boundary()
    attempt.finish(
        Result(
            outcome="ok" if outcome.diverged_at is None else "diverged",
            generation=attempt.generation,
            steps=outcome.steps,
            tokens=outcome.steps * spec.training.batch_size * spec.data.sequence_length,
            diverged_at=outcome.diverged_at,
            validation_loss=outcome.validation_loss,
        )
    )


@contextmanager
def _signals_at_boundaries() -> Iterator[Callable[[], None]]:
    """Catch INT and TERM until the next step boundary, and stop the run there.

    A second signal does what it would do without this; one that is ignored stays so.
    """
    received: list[int] = []
    handlers = {int(n): signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    caught = [number for number, handler in handlers.items() if handler != signal.SIG_IGN]

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, handlers[number])

    def boundary() -> None:
        if received:
            raise Interrupted("stopped between two steps; start it again to repeat it", received[0])

    for number in caught:
        signal.signal(number, note)
    try:
        yield boundary
    finally:
        for number in caught:
            signal.signal(number, handlers[number])
