"""What a driver is to bring about: which runs to train, and how far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from descentlab.runs.races import Decision
from descentlab.runs.store import Store


class Spent(NamedTuple):
    """Training in units of whole runs."""

    so_far: float
    asked: float
    """What is wanted now, beyond that."""


class Agenda(ABC):
    """Says what is wanted now; what has happened may change it. Used by one thread."""

    @abstractmethod
    def wanted(self) -> Mapping[str, int | None]:
        """By run id, the step at which to pause it, None for its end; empty when all is done.

        What is being trained stays in it. The most urgent come first.
        """

    @abstractmethod
    def ended(self, run_id: str) -> None:
        """Look again at a run that may have got further."""

    @abstractmethod
    def failed(self, run_id: str) -> None:
        """Take in that a run was given up."""

    @abstractmethod
    def spent(self) -> Spent | None:
        """How much was trained; None where every run is wanted whole."""

    @abstractmethod
    def decided(self) -> Sequence[Decision]:
        """Which runs were stopped or let go on, the newest last; empty where all are whole."""


class Whole(Agenda):
    """All of some runs, each to its end.

    Args:
        run_ids: which.
        store: where they are.
    """

    def __init__(self, run_ids: Iterable[str], store: Store) -> None:
        self._left: dict[str, int | None] = dict.fromkeys(run_ids)
        self._store = store

    def wanted(self) -> Mapping[str, int | None]:
        return self._left

    def ended(self, run_id: str) -> None:
        if self._store.folder(run_id).done.exists():
            self._left.pop(run_id, None)

    def failed(self, run_id: str) -> None:
        self._left.pop(run_id, None)

    def spent(self) -> Spent | None:
        return None

    def decided(self) -> Sequence[Decision]:
        return ()
