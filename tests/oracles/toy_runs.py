"""Runs that take no time: what a driver needs of training, without torch."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from descentlab.runs.identity import Run, make_run
from descentlab.runs.store import Result, Store

TARGET = "oracles.toy_runs:train"


def toy_run(number: int, behaviour: str = "ok") -> Run:
    """A run whose final loss is its number, or that misbehaves as told."""
    settings = {"number": number, "behaviour": behaviour, "training": {"steps": 2}}
    return make_run(identity={"number": number}, settings=settings, data_sha256="0" * 64)


def train(store_root: str, run_json: str) -> None:
    """Do what the run's settings say, leaving one line in ``trained.log`` beside the store."""
    store = Store(Path(store_root))
    run = msgspec.json.decode(run_json, type=Run)
    settings = run.settings
    attempt = store.claim(run.run_id)
    attempt.begin({})
    with (store.root / "trained.log").open("a") as log:
        log.write(f"{run.run_id}\n")
    with attempt.open_timing() as timing:
        for step in (1, 2):
            timing.write({"step": step, "seconds": 0.0})
    behaviour = settings["behaviour"]
    if behaviour == "slow":
        time.sleep(0.3)
    elif behaviour == "hang":
        time.sleep(600)
    elif behaviour == "killed":
        os.kill(os.getpid(), 9)
    elif behaviour == "preempted once" and attempt.generation == 1:
        attempt.end("interrupted", "as told")
        raise SystemExit(75)
    elif (behaviour == "fails once" and attempt.generation == 1) or behaviour == "fails":
        attempt.end("failed", "as told")
        raise SystemExit(1)
    diverged = behaviour == "diverges"
    attempt.finish(
        Result(
            outcome="diverged" if diverged else "ok",
            generation=attempt.generation,
            steps=2,
            tokens=2,
            diverged_at=2 if diverged else None,
            validation_loss=None if diverged else float(settings["number"]),
        )
    )


def trained(store: Store) -> list[str]:
    """The ids of runs in the order in which their training began."""
    log = store.root / "trained.log"
    return log.read_text().split() if log.exists() else []


def echo(path: str, text: str) -> None:
    """Write a text to a file."""
    Path(path).write_text(text)


def process(path: str) -> None:
    """Say which process this is."""
    Path(path).write_text(str(os.getpid()))


def leave(code: str) -> None:
    """End with an exit code."""
    raise SystemExit(int(code))


def raise_error(message: str) -> None:
    """Fail as a bug would."""
    raise RuntimeError(message)


def sleep_forever(path: str) -> None:
    """Say which process this is, and hang."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)
