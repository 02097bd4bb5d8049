"""What ``test_several_processes`` lets torchrun start: one of the processes that train together.

    torchrun … torchrun_worker.py FOLDER CORPUS

For each kind of parallelism: a run undisturbed; the same run, told to stop in one process
alone, and gone on with; and stopped for good. The first process writes what it saw to
``FOLDER/seen.json``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from descentlab.errors import ConfigError, Preempted
from descentlab.runs.identity import Run
from descentlab.runs.store import Store
from descentlab.train.plan import resolver
from descentlab.train.work import train_in_store
from descentlab.train.world import World, world

STOPPED_AT = 3
RUNS: dict[str, dict[str, Any]] = {
    "ddp": {"parallelism": "ddp"},
    "fsdp": {"parallelism": "fsdp"},
    "fsdp, accumulated": {"parallelism": "fsdp", "micro_batch": 1},
    "ddp, accumulated": {"parallelism": "ddp", "micro_batch": 1},
}


def settings(corpus: Path, **execution: Any) -> dict[str, Any]:
    return {
        "model": {"layers": 2, "heads": 2, "width": 16, "vocabulary": 257, "hidden_multiple": 16},
        "data": {
            "corpus": str(corpus),
            "tokenizer": "byte",
            "sequence_length": 16,
            "validation_fraction": 0.1,
        },
        "optimizer": {"method": "adam", "lr": 0.01, "beta": 0.9, "clip_norm": 0.5},
        "training": {"steps": 6, "batch_size": 4, "evaluate_every": 2},
        "execution": {"device": "cpu", "threads": 1, "final_checkpoint": True, **execution},
        "seed": 1,
    }


def trained(folder: Path, run: Run, here: World, stop_in: int | None = None) -> int | None:
    """Train a run to its end, or until a process tells itself to stop; return the exit code."""
    store = Store(folder, create=True) if here.first else None
    if store is not None:
        store.register(run)
    here.by_first(lambda: None)

    def progress(step: int, steps: int, loss: float) -> None:
        if step == STOPPED_AT and stop_in == here.rank:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        train_in_store(Store(folder), run, progress, here=here)
    except Preempted as stopped:
        return stopped.exit_code
    return None


def main(folder: Path, corpus: Path) -> None:
    torch.set_num_threads(1)
    seen: dict[str, Any] = {}
    with world() as here:
        for name, execution in RUNS.items():
            chosen = settings(corpus, **execution)
            run = here.by_first(lambda chosen=chosen: resolver()(chosen, "test"))
            trained(folder / name / "whole", run, here)
            codes = [
                trained(folder / name / "stopped", run, here, stop_in)
                for stop_in in (here.size - 1, None)
            ]
            trained(folder / name / "halted", run, here, here.size - 1)
            seen[name] = {"codes": codes}
        odd = {**settings(corpus), "training": {"steps": 2, "batch_size": 3}}
        run = here.by_first(lambda: resolver()(odd, "test"))
        try:
            trained(folder / "odd", run, here)
        except ConfigError as error:
            seen["odd"] = str(error)
        if here.first:
            (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
