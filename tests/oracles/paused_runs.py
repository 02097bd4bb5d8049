"""Runs whose losses are a formula, that pause and go on: what a race needs of training."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descentlab.runs.checkpoints import saved
from descentlab.runs.identity import Run, make_run
from descentlab.runs.records import read_records
from descentlab.runs.store import Result, Store

TARGET = "oracles.paused_runs:train"
STEPS = 50


def toy_run(lr: float, beta: float, behaviour: str = "ok") -> Run:
    """A run that loses by its distance from lr=1, beta=0.9, the more the longer it is trained."""
    settings = {"lr": lr, "beta": beta, "behaviour": behaviour, "training": {"steps": STEPS}}
    return make_run(identity={"lr": lr, "beta": beta}, settings=settings, data_sha256="0" * 64)


def loss_of(run: Run, step: int) -> float:
    """The loss at a step."""
    off = abs(run.settings["lr"] - 1) + 5 * abs(run.settings["beta"] - 0.9)
    return 3.0 + 4.0 * (1 - step / STEPS) + off + run.settings.get("luck", 0.0)


def train(store_root: str, run_json: str, pause_at: str = "", job: str = "") -> None:
    """Go on from where the run was saved until it is to pause, or has its result."""
    store = Store(Path(store_root))
    run = msgspec.json.decode(run_json, type=Run)
    found = saved(store.folder(run.run_id))
    attempt = store.claim(run.run_id, job=job)
    attempt.begin({})
    if run.settings["behaviour"] == "fails":
        attempt.end("failed", "as told")
        raise SystemExit(1)
    before = read_records(found.attempt.metrics).records if found else []
    last = min(STEPS, int(pause_at or STEPS))
    with attempt.open_metrics() as metrics, (store.root / "steps.log").open("a") as log:
        for record in before:
            metrics.write(record)
        for step in range(1 + len(before), 1 + last):
            metrics.write({"step": step, "loss": loss_of(run, step)})
            log.write(f"{run.run_id}\n")
    diverges = run.settings["behaviour"] == "diverges"
    if last < STEPS and not diverges:
        (attempt.checkpoints / f"step-{last:08}").mkdir(parents=True)
        attempt.end("interrupted", "paused")
        return
    attempt.finish(
        Result(
            outcome="diverged" if diverges else "ok",
            generation=attempt.generation,
            steps=last,
            tokens=last,
            diverged_at=last if diverges else None,
            validation_loss=None if diverges else loss_of(run, STEPS),
        )
    )


def steps_trained(store: Store) -> list[str]:
    """The run of every step that was ever computed."""
    log = store.root / "steps.log"
    return log.read_text().split() if log.exists() else []
