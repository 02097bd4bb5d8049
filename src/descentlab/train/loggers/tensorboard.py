"""TensorBoard: one folder of event files per run, ``tensorboard/<run_id>/`` in the store.

Each attempt writes a file of its own. One that goes on from a checkpoint begins it with the mark
by which TensorBoard drops what the attempt before had logged after that step.

The events are written here and now, since a logger has a thread already: tensorboardX's
``SummaryWriter`` would start another, whose errors nobody sees.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2, summary_pb2
from tensorboardX.summary import text

from descentlab.train.loggers.base import Ending, Logger, Subject

_events: Any = event_pb2  # protobuf makes their classes at run time
_summaries: Any = summary_pb2

FLUSH_SECONDS = 5.0
"""Between two writes to disk."""


def folder_of(root: Path, run_id: str) -> Path:
    """Where a run's event files lie."""
    return root / "tensorboard" / run_id


class TensorBoard(Logger):
    """Scalars by step; the settings and the ending as text."""

    def __init__(self, subject: Subject) -> None:
        folder = folder_of(subject.root, subject.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        self._step = subject.step
        self._flushed = time.monotonic()
        self._writer = EventsWriter(str(folder / "events"), f".attempt-{subject.generation}")
        if subject.generation > 1:
            start = _events.SessionLog(status=_events.SessionLog.START)
            self._write(step=subject.step + 1, session_log=start)
        settings = json.dumps(subject.settings, indent=2)
        self._write_text("settings", f"```\n{settings}\n```")
        self._writer.flush()

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self._step = step
        scalar = _summaries.Summary.Value
        values = [scalar(tag=name, simple_value=value) for name, value in numbers.items()]
        self._write(step=step, summary=_summaries.Summary(value=values))
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()

    def end(self, ending: Ending) -> None:
        reason = "" if ending.reason is None else f": {ending.reason}"
        self._write_text("ending", f"{ending.outcome}{reason}")
        self._writer.close()

    def _write_text(self, tag: str, content: str) -> None:
        self._write(step=self._step, summary=text(tag, content))

    def _write(self, **event: Any) -> None:
        self._writer.write_event(_events.Event(wall_time=time.time(), **event))
