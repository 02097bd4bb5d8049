"""Table 1 raced against the whole grids: wall clock, training steps, and the order of methods.

    python benchmarks/table1_racing.py [--rounds 2] [--scale laptop] [--seeds 3]

Each round runs ``descent reproduce table1 --no-racing`` and ``descent reproduce table1``, each
from nothing in a store of its own and one right after the other; which comes first alternates.
Before that, a run of the smallest scale puts what both need into the user's cache: tokens and
compiled kernels. A round takes a quarter of an hour or so on two idle cores; let nothing else run.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from descentlab.cli.progress import Screen
from descentlab.contests.contest import TUNING_SEED
from descentlab.paper.table1 import design
from descentlab.runs.checkpoints import saved
from descentlab.runs.store import Store
from descentlab.sweep.study import place
from descentlab.train.plan import resolver

POINT = {"optimizer.lr": 1e-3, "optimizer.beta": 0.5}
"""Any: the tokens are the same."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """One reproduction."""

    seconds: float
    """Wall clock."""
    steps: int
    """Training steps."""
    pauses: int
    """How often a run stopped with its state saved."""
    order: list[str]
    """The methods, the lowest mean perplexity first."""
    winners: dict[str, dict[str, float]]
    """By method, its best setting."""


def reproduced(scale: str, seeds: int, options: Sequence[str]) -> Made:
    """Run the experiment from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        store, out = Path(folder) / "store", Path(folder) / "out"
        command = [sys.executable, "-m", "descentlab", "reproduce", "table1", "--scale", scale]
        command += ["--seeds", str(seeds), "--store", str(store), "--out", str(out), *options]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        table = msgspec.json.decode((out / "table1.json").read_bytes())["table"]
        return Made(
            seconds=seconds,
            **trained(Store(store)),
            order=[row["method"] for row in table],
            winners={row["method"]: {"lr": row["lr"], "beta": row["beta"]} for row in table},
        )


def trained(store: Store) -> dict[str, int]:
    """Steps and pauses; no step is trained twice."""
    steps = pauses = 0
    for run_id in store.run_ids():
        folder = store.folder(run_id)
        result, found = folder.result(), saved(folder)
        steps += result.steps if result else found.step if found else 0
        pauses += folder.generations() - (result is not None)
    return {"steps": steps, "pauses": pauses}


def main() -> None:
    """Print a line for each reproduction, and the ratios."""
    parser = argparse.ArgumentParser(description="Table 1 raced against the whole grids")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--scale", choices=["tiny", "laptop"], default="laptop")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    chosen = design(options.scale)
    entry = next(iter(chosen.entries.values()))
    settings = place({**chosen.run, "optimizer": dict(entry.optimizer)}, POINT)
    resolver(notice=Screen().tell)({**settings, "seed": TUNING_SEED}, "benchmark")
    reproduced("tiny", 1, ["--no-racing"])
    made: dict[str, list[Made]] = {"--no-racing": [], "--racing": []}
    for number in range(options.rounds):
        for name in sorted(made, reverse=number % 2 == 1):
            each = reproduced(options.scale, options.seeds, [name])
            made[name].append(each)
            print(
                f"{name:<11} {each.seconds:6.1f} s, "
                f"{each.steps:,} steps, {each.pauses} pauses; {' < '.join(each.order)}",
                flush=True,
            )
    whole, raced = made.values()
    ratios = [b.seconds / a.seconds for a, b in zip(whole, raced, strict=True)]
    print(f"wall clock: {statistics.fmean(ratios):.3f} of the whole grids' ({shown(ratios)})")
    print(f"training steps: {raced[0].steps / whole[0].steps:.3f}")
    print(f"same order of methods: {all(each.order == whole[0].order for each in raced)}")
    for method, best in whole[0].winners.items():
        said = "the same" if raced[0].winners[method] == best else f"{raced[0].winners[method]}"
        print(f"  {method}: {best} by the whole grid, {said} by racing")


def shown(ratios: Sequence[float]) -> str:
    """Each round's."""
    return ", ".join(f"{each:.3f}" for each in ratios)


if __name__ == "__main__":
    main()
