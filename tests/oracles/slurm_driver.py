"""A driver of counting runs on Slurm, also in a process of its own, which tests kill:

python -m oracles.slurm_driver STORE RUNS STEPS
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oracles.toy_tasks import COUNT, counting_run

from descentlab.runs.identity import Run
from descentlab.runs.store import Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.progress import Progress

if TYPE_CHECKING:
    from descentlab.sweep.executors.slurm import SlurmOptions


def start(store: Path, runs: int, *, steps: int) -> subprocess.Popen[bytes]:
    """Start a driver of runs that are numbered from 0."""
    return subprocess.Popen([sys.executable, "-m", __name__, str(store), str(runs), str(steps)])


def sweep(
    store: Store,
    runs: Sequence[Run],
    *,
    steps: int,
    observe: Callable[[Progress], None] = lambda progress: None,
    tell: Callable[[str], None] = lambda line: None,
    options: SlurmOptions | None = None,
) -> Sweep:
    """A drive of runs whose jobs are looked after several times a second."""
    from descentlab.sweep.executors.slurm import SlurmExecutor, SlurmOptions

    return Sweep(
        runs=runs,
        labels={},
        store=store,
        executor=SlurmExecutor(store.root / "jobs", options=options or SlurmOptions(), pace=0.3),
        target=COUNT,
        observe=observe,
        steps_of=lambda run: steps,
        tell=tell,
    )


if __name__ == "__main__":
    opened, count, length = Store(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
    everything = [counting_run(number, steps=length) for number in range(count)]
    sweep(opened, everything, steps=length).drive()
