"""Experiments without training: stages are answered with made-up losses, in milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from descentlab.contests.contest import Laboratory, Stage, judging_seeds
from descentlab.runs.identity import make_run
from descentlab.runs.store import Result, Store
from descentlab.train.spec import run_spec

Loss = Callable[[dict[str, Any]], float]
"""From a run's settings to its final loss."""


def resolve(settings, where):
    spec = run_spec(settings, where=where)
    return make_run(identity=spec.identity(), settings=settings, data_sha256="0" * 64)


def result(loss: float) -> Result:
    return Result(
        outcome="ok" if math.isfinite(loss) else "diverged",
        generation=1,
        steps=1,
        tokens=1,
        validation_loss=loss if math.isfinite(loss) else None,
    )


class MadeUpRuns:
    """Answers stages with made-up losses and remembers what was asked.

    Args:
        loss: of a run.
        variances: by parameter, what the probes of a run tell of σ².
    """

    def __init__(self, loss: Loss, variances: dict[str, list[float]] | None = None) -> None:
        self.loss = loss
        self.variances = variances or {}
        self.stages: list[Stage] = []

    def laboratory(self, tmp_path, warn=lambda line: None, seeds=3, *, racing=False) -> Laboratory:
        self.store = Store(tmp_path / "store", create=True)
        return Laboratory(
            store=self.store,
            seeds=judging_seeds(seeds),
            resolve=resolve,
            execute=self.execute,
            warn=warn,
            racing=racing,
        )

    def execute(self, stage: Stage) -> dict[str, Result]:
        self.stages.append(stage)
        for run in stage.runs:
            if "probes" in run.settings:
                self._probe(run)
        if stage.agenda is None:
            return {run.run_id: result(self.loss(run.settings)) for run in stage.runs}
        runs = {run.run_id: run for run in stage.runs}
        while wanted := dict(stage.agenda.wanted()):
            for run_id, pause_at in wanted.items():
                self._train(runs[run_id], pause_at)
                stage.agenda.ended(run_id)
        return {}

    def _train(self, run, pause_at) -> None:
        """Its loss is higher by 1 at the beginning, and comes down evenly."""
        self.store.register(run)
        attempt = self.store.claim(run.run_id)
        attempt.begin({})
        final, steps = self.loss(run.settings), run.settings["training"]["steps"]
        with attempt.open_metrics() as metrics:
            for step in range(1, (pause_at or steps) + 1):
                metrics.write({"step": step, "loss": final + 1 - step / steps})
        if pause_at is None or not math.isfinite(final):
            attempt.finish(result(final))
        else:
            (attempt.checkpoints / f"step-{pause_at:08}").mkdir(parents=True)
            attempt.end("interrupted", "paused")

    def _probe(self, run) -> None:
        self.store.register(run)
        attempt = self.store.claim(run.run_id)
        attempt.begin({})
        with attempt.open_probes() as probes:
            for name, values in self.variances.items():
                for step, value in enumerate(values, start=1):
                    record = {"step": step, "block": name, "variance_mean": value}
                    probes.write({"kind": "state", **record})
