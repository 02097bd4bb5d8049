"""The loggers that a spec asks for, attached to an attempt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from descentlab.errors import StorageError
from descentlab.runs.folder import Attempt
from descentlab.runs.records import last_record
from descentlab.train.loggers.base import Logger, Subject
from descentlab.train.loggers.names import Name
from descentlab.train.loggers.relay import Relay
from descentlab.train.spec import RunSpec


def relay_of(attempt: Attempt, warn: Callable[[str], None]) -> Relay:
    """What passes an attempt's records on.

    Args:
        attempt: whose log tells if a logger was let go.
        warn: told the same.
    """

    def tell(line: str) -> None:
        with suppress(StorageError):  # it is the logger that failed, not the run
            attempt.remark(line)
        warn(line)

    return Relay(tell)


def attach(relay: Relay, spec: RunSpec, attempt: Attempt, root: Path, step: int) -> None:
    """Let the loggers of a spec have what an attempt puts on record.

    Args:
        relay: of the attempt.
        spec: whose execution names them.
        attempt: of this process.
        root: the store's folder.
        step: updates made before the attempt's first.
    """
    for name in dict.fromkeys(spec.execution.loggers):
        relay.attach(name, partial(_logger, name, spec, attempt, root, step))


def _logger(name: Name, spec: RunSpec, attempt: Attempt, root: Path, step: int) -> Logger:
    subject = Subject(
        run_id=attempt.run_folder.run_id,
        settings=msgspec.to_builtins(spec),
        root=root,
        generation=attempt.generation,
        step=step,
        told=_told(attempt),
    )
    if name == "tensorboard":
        from descentlab.train.loggers.tensorboard import TensorBoard

        return TensorBoard(subject)
    from descentlab.train.loggers.wandb import WeightsAndBiases

    return WeightsAndBiases(subject)


def _told(attempt: Attempt) -> int:
    """The last step that earlier attempts have on record."""
    earlier = (attempt.run_folder.attempt(each) for each in range(1, attempt.generation))
    records = (last_record(each.metrics) for each in earlier)
    return max((int(each["step"]) for each in records if each is not None), default=0)
