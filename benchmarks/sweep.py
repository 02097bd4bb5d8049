"""What a sweep's machinery costs: many small runs on all cores against one core's speed.

    python benchmarks/sweep.py [--runs 100] [--steps 160] [--side-by-side]

The same runs are trained as a sweep, by one worker per core, and some of them before and after
that by one process that does nothing but train. The figure is the sweep's tokens per second over
those of one core times the number of cores: 1 if claims, processes, records and driver cost
nothing and the cores do not disturb each other. ``--side-by-side`` shows what the cores cost each
other: one such process per core at the same time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from descentlab.cli.progress import Screen
from descentlab.cli.running import PRELOAD, TARGET
from descentlab.processes import usable_cores
from descentlab.runs.identity import Run
from descentlab.runs.store import Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.base import Executor
from descentlab.sweep.executors.local import LocalExecutor
from descentlab.train.plan import resolver


def settings(seed: int, steps: int) -> dict[str, Any]:
    """A run of the laptop scale, on one core."""
    return {
        "model": {"size": "laptop"},
        "data": {"vocabulary": 1024, "sequence_length": 64, "validation_fraction": 0.015},
        "optimizer": {"method": "adam", "lr": 8e-3, "beta": 0.8},
        "training": {"steps": steps, "batch_size": 32},
        "execution": {"device": "cpu", "threads": 1},
        "seed": seed,
    }


def one_after_another(runs: list[Run]) -> float:
    """Seconds in which this process trains runs, once torch is imported."""
    from descentlab.train.work import train_in_store

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), create=True)
        began = time.perf_counter()
        for run in runs:
            store.register(run)
            train_in_store(store, run)
        return time.perf_counter() - began


def side_by_side(parts: list[list[Run]]) -> float:
    """Seconds in which processes of their own train a part each."""
    children = []
    for _ in parts:
        command = [sys.executable, __file__, "--alone"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        children.append(child)
    for child, runs in zip(children, parts, strict=True):
        assert child.stdin is not None
        child.stdin.write(msgspec.json.encode(runs))
        child.stdin.close()
    seconds = []
    for child in children:
        assert child.stdout is not None
        seconds.append(float(child.stdout.read()))
        assert child.wait() == 0
    return max(seconds)


def swept(runs: list[Run], executor: Executor) -> float:
    """Seconds of a sweep."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        Sweep(
            runs=runs,
            labels={},
            store=Store(Path(folder), create=True),
            executor=executor,
            target=TARGET,
            observe=lambda progress: None,
            steps_of=lambda run: int(run.settings["training"]["steps"]),
        ).drive()
        return time.perf_counter() - began


def main() -> None:
    """Print the share that each round keeps."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--side-by-side", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        runs = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Run])
        print(one_after_another(runs))
        return
    resolve = resolver(notice=Screen().tell)
    runs = [resolve(settings(seed, options.steps), "sweep") for seed in range(options.runs)]
    cores = usable_cores()
    executor = LocalExecutor(cores, preload=PRELOAD)
    swept(runs[:cores], executor)  # the workers' server imports torch, the kernels are compiled
    parts = [runs[core::cores] for core in range(cores)]
    half = len(parts[0]) // 2
    single = side_by_side([parts[0][:half]])
    whole = swept(runs, executor) / len(parts[0])
    single = (single + side_by_side([parts[0][half:]])) / len(parts[0])
    print(
        f"{single:.2f} s a run on one core, {whole:.2f} s in a sweep of {len(runs)} on {cores}: "
        f"{single / whole:.3f} of {cores} times one core's speed"
    )
    if options.side_by_side:
        beside = side_by_side(parts) / len(parts[0])
        print(f"{beside:.2f} s side by side: {single / beside:.3f}")


if __name__ == "__main__":
    main()
