"""A run while it is being trained: its curve as it grows, its pace, and signs of life."""

from __future__ import annotations

from typing import Any

import msgspec

from descentlab.runs.folder import Attempt
from descentlab.runs.following import FollowedRecords
from descentlab.runs.heartbeats import Beat
from descentlab.runs.records import last_record
from descentlab.runs.store import Store
from descentlab.web.live.curve import BEGINNING, GrowingCurve, Part
from descentlab.web.live.row import Row, number


class Training:
    """One attempt at a run.

    Args:
        store: that it is in.
        attempt: that is under way.
    """

    def __init__(self, store: Store, attempt: Attempt) -> None:
        self.attempt = attempt
        self.curve = GrowingCurve()
        self._store = store
        self._metrics = FollowedRecords(attempt.metrics)
        self._told = BEGINNING
        self._beat: Beat | None = None
        holder = store.claims.holder(attempt.run_folder.run_id, attempt.generation)
        self._found: dict[str, Any] = {"host": holder.host if holder is not None else ""}

    def look(self, row: Row, most: int, now: float) -> Row:
        """Complete a row by what the attempt tells at the moment.

        Args:
            row: that says how many steps the run has.
            most: bytes of metrics to read.
            now: seconds since 1970.
        """
        news = self._metrics.look(most)
        if news.anew:
            self.curve, self._told = GrowingCurve(), BEGINNING
        try:
            self.curve.add(news.records)
            losses = [each for each in news.records if "loss" in each]
            if losses:
                step = int(losses[-1].get("step", 0))
                self._found |= {"step": step, "loss": number(losses[-1]["loss"])}
                self._found |= self._pace(row.steps - step)
        except (TypeError, ValueError) as error:
            self._found["reason"] = f"metrics have a record that no trainer writes: {error}"
        beat = self._store.heartbeats.latest(
            self.attempt.run_folder.run_id, self.attempt.generation
        )
        if beat is not None and beat != self._beat:
            self._beat = beat
            self._found["beat"] = round(now, 1)
        if self._metrics.damaged_at is not None:
            self._found["reason"] = f"metrics are damaged from byte {self._metrics.damaged_at} on"
        return msgspec.structs.replace(row, **self._found)

    def _pace(self, steps_left: int) -> dict[str, Any]:
        timed = last_record(self.attempt.timing) or {}
        seconds = number(timed.get("seconds"))
        if seconds is None or "summary" in timed:
            return {}
        left = number(seconds * max(0, steps_left))
        return {"rate": number(timed.get("tokens_per_second")), "left": left}

    def new_part(self) -> Part | None:
        """What is new of the curve since the last call; None if nothing is."""
        before, self._told = self._told, self.curve.place
        return None if before == self._told else self.curve.since(before)
