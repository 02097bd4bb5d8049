"""How long ``descent plan`` takes for a grid of 1,500 runs, from the shell's prompt and back.

    python benchmarks/plan.py [--rounds 5]

The study is Adam's β1 × β2 × learning rate × seeds, 5 × 10 × 10 × 3, at laptop scale, on tokens
that lie in the cache. It is planned in a process of its own without a store, and with one in
which every run has its result and its timings. Nothing is timed or trained.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from descentlab.cli.progress import Screen
from descentlab.cli.study_runs import StudyRuns, study_runs
from descentlab.runs.store import Result, Store
from descentlab.sweep.study_file import read_study
from descentlab.train.plan import resolver

STUDY = """
name = "grid"
seeds = 3

[run]
model = { size = "laptop" }
data = { vocabulary = 1024, sequence_length = 64, validation_fraction = 0.015 }
optimizer = { method = "adam" }
training = { steps = 160, batch_size = 32 }

[axes]
"optimizer.lr" = { half_powers_of_two = [0, 4.5], times = 1e-3 }
"optimizer.beta1" = { halving_one_minus = [0.8, 0.9875] }
"optimizer.beta2" = { halving_one_minus = [0, 0.998046875] }
"""


def finish(asked: StudyRuns, store: Store) -> None:
    """Give every run a result and the summary of its timings."""
    summary = {
        "step": 160,
        "summary": True,
        "tokens_per_second": 3e4,
        "start_seconds": 0.1,
        "peak_memory_bytes": 5e8,
    }
    for number, run in enumerate(asked.runs.values()):
        store.register(run)
        attempt = store.claim(run.run_id)
        attempt.begin({})
        with attempt.open_timing() as timing:
            timing.write(summary)
        loss = 4 + number / 1500
        result = Result(outcome="ok", generation=1, steps=160, tokens=1, validation_loss=loss)
        attempt.finish(result)


def timed(study: Path, store: Path) -> tuple[float, float]:
    """Wall clock and CPU seconds of one plan in a process of its own."""
    command = [sys.executable, "-m", "descentlab", "plan", str(study), "--no-measure"]
    began, before = time.perf_counter(), cpu_seconds()
    subprocess.run([*command, "--store", str(store)], check=True, capture_output=True)
    return time.perf_counter() - began, cpu_seconds() - before


def cpu_seconds() -> float:
    """Of all child processes so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print medians and ranges over rounds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study, full = Path(folder) / "grid.toml", Path(folder) / "full"
        study.write_text(STUDY)
        asked = study_runs(read_study(study), resolver(notice=Screen().tell), where="grid.toml")
        finish(asked, Store(full, create=True))
        for name, store in (("no store", Path(folder) / "none"), ("all done", full)):
            walls, cpus = zip(*(timed(study, store) for _ in range(options.rounds)), strict=True)
            print(
                f"{len(asked.runs):,} runs, {name}: median {statistics.median(walls):.2f} s "
                f"[{min(walls):.2f}, {max(walls):.2f}], {statistics.median(cpus):.2f} s of CPU"
            )


if __name__ == "__main__":
    main()
