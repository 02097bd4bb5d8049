"""What a sweep costs besides training: runs that do nothing, through driver, store and pool.

    python benchmarks/overhead.py [--runs 1500] [--workers N] [--rounds 3]

Each run claims itself, begins an attempt, opens its records and publishes a result, as every
run does. Printed are milliseconds per run: of the whole sweep; of the pool alone, which calls an
empty function as often; and of processor time in the driver's process. Then, how long the store
takes to be listed, and a sweep that finds every result there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from descentlab.processes import usable_cores
from descentlab.runs.identity import Run, make_run
from descentlab.runs.store import Result, Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.base import Executor, Job, Task
from descentlab.sweep.executors.local import LocalExecutor

HERE = Path(__file__)
SETTINGS = {
    "model": {"size": "laptop"},
    "optimizer": {"method": "adam", "lr": 8e-3, "beta1": 0.8, "beta2": 0.8},
    "training": {"steps": 160, "batch_size": 32},
    "execution": {"threads": 1},
}


def run_of(number: int) -> Run:
    """A run with settings of the usual size."""
    settings = {**SETTINGS, "seed": number}
    return make_run(identity=settings, settings=settings, data_sha256="0" * 64)


def no_op(store_root: str, run_json: str, pause_at: str = "", job: str = "") -> None:
    """Do all that a run does but train."""
    store = Store(Path(store_root))
    run = msgspec.json.decode(run_json, type=Run)
    attempt = store.claim(run.run_id, job=job)
    with store.heart(attempt):
        attempt.begin({})
        with attempt.open_metrics(), attempt.open_timing():
            pass
        attempt.finish(Result(outcome="ok", generation=attempt.generation, steps=1, tokens=1))


def nothing() -> None:
    """Take no time."""


def swept(runs: list[Run], root: Path, executor: Executor) -> tuple[float, float]:
    """Seconds, and processor seconds of this process, that a sweep takes."""
    began, worked = time.perf_counter(), time.process_time()
    results = Sweep(
        runs=runs,
        labels={},
        store=Store(root, create=True),
        executor=executor,
        target=f"{HERE.stem}:no_op",
        observe=lambda progress: None,
        steps_of=lambda run: 160,
    ).drive()
    assert len(results) == len(runs)
    return time.perf_counter() - began, time.process_time() - worked


def pool_alone(count: int, executor: Executor) -> float:
    """Seconds in which the pool calls an empty function so often."""
    began = time.perf_counter()
    jobs: list[Job] = []
    while count or jobs:
        while count and len(jobs) < executor.capacity:
            jobs.append(executor.submit(Task(f"{HERE.stem}:nothing", ())))
            count -= 1
        executor.wait(1.0)
        jobs = [each for each in jobs if each.exit_code() is None]
    return time.perf_counter() - began


def main() -> None:
    """Print the figures of every round and their medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1500)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sys.path.insert(0, str(HERE.parent))
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    runs = [run_of(number) for number in range(options.runs)]
    executor = LocalExecutor(options.workers, preload=(HERE.stem,))
    pool_alone(2 * options.workers, executor)  # its processes import what they need
    wholes = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "store"
            alone = pool_alone(options.runs, executor) / options.runs
            whole, driver = (each / options.runs for each in swept(runs, root, executor))
            again, _ = swept(runs, root, executor)
            wholes.append(1000 * whole)
            print(
                f"round {number + 1}: {1000 * whole:.2f} ms a run; {1000 * alone:.2f} ms of the "
                f"pool alone; {1000 * driver:.2f} ms of processor time in the driver; "
                f"{again:.2f} s for the same sweep again; {listed(root):.2f} s to list the store"
            )
    print(
        f"{options.runs} runs, {options.workers} workers: median "
        f"{statistics.median(wholes):.2f} ms a run [{min(wholes):.2f}, {max(wholes):.2f}]"
    )


def listed(root: Path) -> float:
    """Seconds of ``Store.status`` and of the spec of every run, in a process of its own."""
    code = (
        "import sys, time; began = time.perf_counter()\n"
        "from pathlib import Path\nfrom descentlab.runs.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "for each in store.run_ids(): store.folder(each).run(); store.status(each)\n"
        "print(time.perf_counter() - began)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


if __name__ == "__main__":
    main()
