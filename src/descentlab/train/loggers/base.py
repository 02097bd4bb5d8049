"""What a logger is: something outside the store that takes a run's numbers as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from descentlab.runs.records import Value

Kind = Literal["metrics", "timing", "probes"]
"""Which of an attempt's files a record stands in."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The attempt that a logger is told of."""

    run_id: str
    settings: Mapping[str, Any]
    """The whole spec, as tables."""
    root: Path
    """The store's folder; a logger that writes files has one of its own name there."""
    generation: int
    """Of the attempt; 1 is the run's first."""
    step: int
    """Updates made before this attempt's first."""
    told: int
    """The last step that an earlier attempt has on record, which may be after ``step``."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an attempt ended."""

    outcome: Literal["ok", "diverged", "failed", "interrupted", "paused"]
    reason: str | None = None


class Logger(ABC):
    """Takes what one attempt puts on record to another program.

    A logger is made, told and ended in one thread of its own, beside training (``Relay``). It
    may take its time, and raise whatever it likes: it is let go then and the run goes on. It
    must not touch the run's folder, the random generators or the process's signals.

    Args:
        subject: whose records it will get.
    """

    @abstractmethod
    def __init__(self, subject: Subject) -> None: ...

    @abstractmethod
    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Take the numbers of one record.

        Args:
            step: updates made; it never falls, and several records may share it.
            numbers: by name, as ``numbers_of`` gives them; some may not be finite.
        """

    @abstractmethod
    def end(self, ending: Ending) -> None:
        """Pass on how the attempt ended, and let go of everything."""


def numbers_of(kind: Kind, record: Mapping[str, Value]) -> dict[str, float]:
    """The numbers of a record by the names that loggers show them under.

    Those of metrics keep their names; others stand under their file's, and those of probes under
    what they were measured on, too. Texts and the step are not numbers.

    >>> numbers_of("metrics", {"step": 3, "loss": 2.5, "clipped": True, "batch": "5c1f"})
    {'loss': 2.5, 'clipped': 1.0}
    >>> numbers_of("probes", {"step": 3, "kind": "state", "block": "mlp", "snr_median": 0.5})
    {'probes/state/mlp/snr_median': 0.5}
    >>> numbers_of("timing", {"step": 9, "summary": True, "seconds": 60.0})
    {'timing/summary/seconds': 60.0}
    """
    path = [] if kind == "metrics" else [kind]
    if kind == "probes":
        path += [value for value in record.values() if isinstance(value, str)]
    if "summary" in record:
        path.append("summary")
    return {
        "/".join([*path, name]): float(value)
        for name, value in record.items()
        if name not in ("step", "summary") and not isinstance(value, str)
    }
