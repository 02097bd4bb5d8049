"""What a sweep's machinery costs: many small runs on all cores against one core's speed.

    python benchmarks/sweep.py [--runs 100] [--steps 160] [--rounds 5]

The runs are split over rounds. In each round its runs are trained as a sweep, by one worker per
core; as many of them as one core does in that time by one process that does nothing but train; and
all of them by one such process per core, side by side. The figure is the sweep's tokens per
second over those of one core times the number of cores: 1 if claims, processes, records and driver
cost nothing and the cores do not disturb each other. What the cores cost each other is seen in
the processes side by side.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from descentlab.cli.progress import Screen
from descentlab.cli.running import PRELOAD, TARGET
from descentlab.runs.identity import Run
from descentlab.runs.store import Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.base import Executor
from descentlab.sweep.executors.local import LocalExecutor, usable_cores
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
    parser.add_argument("--rounds", type=int, default=5)
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
    shares = []
    each = options.runs // options.rounds // cores * cores
    for number in range(options.rounds):
        mine = runs[number * each : (number + 1) * each]
        parts = [mine[core::cores] for core in range(cores)]
        single = side_by_side(parts[:1]) / len(parts[0])
        beside = side_by_side(parts) / len(parts[0])
        whole = swept(mine, executor) / len(parts[0])
        shares.append(single / whole)
        print(
            f"round {number + 1}: {single:.2f} s a run on one core, {beside:.2f} s side by side "
            f"({single / beside:.3f}), {whole:.2f} s in a sweep: {shares[-1]:.3f} of {cores} times "
            "one core's speed",
            flush=True,
        )
    low, high = min(shares), max(shares)
    print(f"median {statistics.median(shares):.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
