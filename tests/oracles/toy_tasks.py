"""Tasks that can be stopped, killed or asked where they are."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from descentlab.errors import Interrupted
from descentlab.runs.identity import Run, make_run
from descentlab.runs.store import Result, Store
from descentlab.train.signals import stop_between_steps

COUNT = "oracles.toy_tasks:count"


def until_stopped(path: str) -> None:
    """Say which process this is, and end between two steps once a signal has asked to."""
    _hold(path, str(os.getpid()))


def hold_gpus(path: str) -> None:
    """The same, saying which GPUs this process can see."""
    _hold(path, _gpus())


def gpus(path: str) -> None:
    """Say which GPUs this process can see."""
    Path(path).write_text(_gpus())


def _gpus() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all")


def _hold(path: str, said: str) -> None:
    with stop_between_steps() as stop:
        Path(path).write_text(said)
        while stop.received is None:
            time.sleep(0.02)
    raise SystemExit(stop.stopped("saved").exit_code)


def die(number: str) -> None:
    """Be ended by a signal."""
    os.kill(os.getpid(), int(number))
    time.sleep(60)


def counting_run(number: int, steps: int) -> Run:
    """A run that counts its steps, ten a second, and goes on from where it was stopped."""
    settings = {"number": number, "training": {"steps": steps}}
    return make_run(identity={"number": number}, settings=settings, data_sha256="0" * 64)


def count(store_root: str, run_json: str, *job: str) -> None:
    """Train a ``counting_run``, saving after each step."""
    store = Store(Path(store_root))
    run = msgspec.json.decode(run_json, type=Run)
    steps = int(run.settings["training"]["steps"])
    saved = store.folder(run.run_id).path / "count"
    attempt = store.claim(run.run_id)
    attempt.begin({"node": os.environ.get("SLURMD_NODENAME", "")})
    try:
        with stop_between_steps() as stop:
            done = int(saved.read_text()) if saved.exists() else 0
            while done < steps:
                time.sleep(0.1)
                done += 1
                unfinished = saved.with_name(f"count.{attempt.generation}")
                unfinished.write_text(str(done))
                unfinished.rename(saved)
                if stop.received is not None:
                    raise stop.stopped(f"stopped after step {done}")
    except Interrupted as stopped:
        attempt.end("interrupted", str(stopped))
        raise SystemExit(stopped.exit_code) from stopped
    attempt.finish(
        Result(
            outcome="ok",
            generation=attempt.generation,
            steps=done,
            tokens=done,
            validation_loss=float(run.settings["number"]),
        )
    )


def attempts(store: Store, run: Run) -> int:
    """How many processes have worked on a run."""
    return len(list(store.folder(run.run_id).path.glob("attempt-*/environment.json")))
