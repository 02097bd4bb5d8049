"""What an attempt leaves behind while it trains: metrics, timings and what probes found."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from descentlab.runs.records import RecordWriter, Value
from descentlab.runs.store import Attempt
from descentlab.train.loggers.relay import Relay
from descentlab.train.spec import RunSpec
from descentlab.train.throughput import Meter


class Recorder:
    """The files of records of one attempt.

    Args:
        attempt: of this process, which alone writes to them.
        spec: the run; its probes have a file if it has any.
        stack: closes the files.
        relay: passes every record on to the run's loggers.
    """

    def __init__(self, attempt: Attempt, spec: RunSpec, stack: ExitStack, relay: Relay) -> None:
        self._spec, self._meter, self._relay = spec, Meter(), relay
        self._metrics = stack.enter_context(attempt.open_metrics())
        self._timing = stack.enter_context(attempt.open_timing())
        self._probes = stack.enter_context(attempt.open_probes()) if spec.probes else None

    @property
    def files(self) -> list[RecordWriter]:
        """All that must reach the disk before a checkpoint does."""
        found = (self._metrics, self._timing, self._probes)
        return [each for each in found if each is not None]

    def metrics(self, record: Mapping[str, Value]) -> None:
        self._metrics.write(record)
        self._relay.tell("metrics", record)

    def timing(self, record: Mapping[str, Value]) -> None:
        self._timing.write(record)
        self._relay.tell("timing", record)
        self._meter.add(record)

    def probes(self, record: Mapping[str, Value]) -> None:
        assert self._probes is not None
        self._probes.write(record)
        self._relay.tell("probes", record)

    def summarise(self, processes: int) -> None:
        """End the timings with how fast this attempt was."""
        if (summary := self._meter.summary(self._spec, processes)) is not None:
            self._timing.write(summary)
            self._relay.tell("timing", summary)
