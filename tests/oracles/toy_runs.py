"""Runs that take no time: what a driver needs of training, without torch."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec

from descentlab.errors import BusyError, DescentError
from descentlab.runs.heartbeats import TTL, Heart
from descentlab.runs.identity import Run, make_run
from descentlab.runs.store import Attempt, Result, Store

TARGET = "oracles.toy_runs:train"


def toy_run(number: int, behaviour: str = "ok", **more: Any) -> Run:
    """A run whose final loss is its number, or that misbehaves as told."""
    settings = {"number": number, "behaviour": behaviour, "training": {"steps": 2}, **more}
    return make_run(identity={"number": number}, settings=settings, data_sha256="0" * 64)


def train(store_root: str, run_json: str, pause_at: str = "", job: str = "") -> None:
    """Do what the run's settings say, leaving one line in ``trained.log`` beside the store."""
    store = Store(Path(store_root))
    run = msgspec.json.decode(run_json, type=Run)
    try:
        attempt = store.claim(run.run_id, job=job)
        with store.heart(attempt, ttl=run.settings.get("ttl", TTL)) as heart:
            _train(store, run, attempt, heart)
    except DescentError as error:
        raise SystemExit(error.exit_code) from error


def _train(store: Store, run: Run, attempt: Attempt, heart: Heart) -> None:
    settings = run.settings
    attempt.begin({})
    with (store.root / "trained.log").open("a") as log:
        log.write(f"{run.run_id}\n")
    with attempt.open_timing() as timing:
        for step in (1, 2):
            timing.write({"step": step, "seconds": 0.0})
    behaviour = settings["behaviour"]
    if behaviour == "traced":
        _traced(store, run, attempt, heart)
        return
    if behaviour == "slow":
        time.sleep(0.3)
    elif behaviour == "waits for go":
        while not (store.root / "go").exists():
            time.sleep(0.01)
    elif behaviour == "hang":
        time.sleep(600)
    elif behaviour == "killed" or (behaviour == "killed once" and attempt.generation == 1):
        os.kill(os.getpid(), 9)
    elif behaviour == "stopped once" and attempt.generation == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    elif behaviour == "raises":
        raise RuntimeError(behaviour)
    elif behaviour == "full once" and attempt.generation == 1:
        attempt.end("failed", "disk full", passing=True)
        raise SystemExit(4)
    elif behaviour == "preempted once" and attempt.generation == 1:
        attempt.end("interrupted", "as told")
        raise SystemExit(75)
    elif (behaviour == "fails once" and attempt.generation == 1) or behaviour == "fails":
        attempt.end("failed", "as told")
        raise SystemExit(1)
    if heart.lost or not store.owns(attempt):
        raise BusyError("taken over")
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


def _traced(store: Store, run: Run, attempt: Attempt, heart: Heart) -> None:
    """Work in short steps, and note when it began and when it published its result."""
    handle = os.open(store.root / "trace.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(what: str) -> None:
        line = f"{run.run_id} {attempt.generation} {what} {time.monotonic()}\n"
        os.write(handle, line.encode())

    note("begins")
    for _ in range(run.settings.get("naps", 0)):
        time.sleep(0.01)
        if heart.lost:
            break
    if heart.lost or not store.owns(attempt):
        note("replaced")
        raise BusyError("taken over")
    loss = float(run.settings["number"])
    kept = attempt.finish(
        Result(
            outcome="ok",
            generation=attempt.generation,
            steps=2,
            tokens=2,
            validation_loss=loss,
        )
    )
    note("published" if kept else "late")
    os.close(handle)


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
