"""What a driver is to bring about: which runs to train, and how far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping


class Agenda(ABC):
    """Says what is wanted now; what has happened may change it. Used by one thread."""

    @abstractmethod
    def wanted(self) -> Mapping[str, int | None]:
        """By run id, the step at which to pause it, None for its end; empty when all is done.

        What is being trained stays in it. The most urgent come first.
        """

    @abstractmethod
    def ended(self, run_id: str) -> None:
        """Take in that a run has got further, or was given up."""


class Whole(Agenda):
    """All of some runs, each to its end.

    Args:
        run_ids: which.
    """

    def __init__(self, run_ids: list[str]) -> None:
        self._left: dict[str, int | None] = dict.fromkeys(run_ids)

    def wanted(self) -> Mapping[str, int | None]:
        return self._left

    def ended(self, run_id: str) -> None:
        self._left.pop(run_id, None)
