"""What probes cost a run: training with and without them, alternated in one process.

    python benchmarks/probes.py                # examples/train.toml, some three minutes
    python benchmarks/probes.py --rounds 9 model.size=tiny execution.threads=2

Each round trains every variant for the same 60 steps, in an order that turns. A ratio is the
median over rounds of time over time without probes in the same round; evaluation and the
first 20 steps, which compile, are left out.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path
from typing import Any

import torch

from descentlab.config import override, read_toml
from descentlab.data.prepare import PreparedData, prepare
from descentlab.train.loop import Observer, train
from descentlab.train.probe_spec import ProbeSpec
from descentlab.train.spec import RunSpec, run_spec

STEPS, SKIPPED = 60, 20
SHADOWS = [
    {"method": "signum", "lr": 1.0, "beta": 0.8},
    {"method": "sgd", "lr": 1.0, "beta": 0.9},
    {"method": "adam", "lr": 1.0, "beta": 0.95},
]
VARIANTS: dict[str, dict[str, Any] | None] = {
    "without probes": None,
    "default interval": {},
    "every step": {"every": 1},
    "default, three shadows": {"shadows": SHADOWS},
    "default, four noise batches once": {"noise_batches": 4, "noise_every": STEPS},
}


def main() -> None:
    """Print the time of a step and its ratio for each variant."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("assignments", nargs="*", help="settings, as for descent train")
    given = parser.parse_args()
    path = Path(__file__).parent.parent / "examples" / "train.toml"
    settings = override(read_toml(path), ["execution.threads=1", *given.assignments])
    settings["training"] |= {"steps": STEPS, "evaluate_every": 0}
    specs = {name: _spec(settings, probes) for name, probes in VARIANTS.items()}
    first = specs["without probes"]
    data = prepare(first.data)
    torch.set_num_threads(first.execution.threads or torch.get_num_threads())
    times = measure(specs, data, given.rounds)
    base = times["without probes"]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {given.rounds} rounds")
    for name, seconds in times.items():
        ratios = [one / other for one, other in zip(seconds, base, strict=True)]
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        each = 1e3 * statistics.median(seconds) / (STEPS - SKIPPED)
        print(f"{name:<34} {each:7.1f} ms a step   × {statistics.median(ratios):.3f}  ({spread})")
    every = ProbeSpec().noise_every
    extra = statistics.median(
        (one - other) / other * (STEPS - SKIPPED)
        for one, other in zip(
            times["default, four noise batches once"], times["default interval"], strict=True
        )
    )
    print(f"one measurement of noise: {extra:.1f} steps, {extra / every:.1%} every {every} steps")


def measure(specs: dict[str, RunSpec], data: PreparedData, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of the steps that count, for each variant and round."""
    names = list(specs)
    for name in names:
        _seconds(specs[name], data)  # compiles
    times: dict[str, list[float]] = {name: [math.nan] * rounds for name in names}
    for number in range(rounds):
        turned = names[number % len(names) :] + names[: number % len(names)]
        for name in turned:
            times[name][number] = _seconds(specs[name], data)
    return times


def _seconds(spec: RunSpec, data: PreparedData) -> float:
    steps: list[float] = []
    train(
        spec,
        data,
        Observer(
            metrics=lambda record: None,
            timing=lambda record: steps.append(float(record["seconds"])),
            boundary=lambda training: None,
        ),
    )
    return sum(steps[SKIPPED:])


def _spec(settings: dict[str, Any], probes: dict[str, Any] | None) -> RunSpec:
    changes = {} if probes is None else {"probes": probes}
    return run_spec({**settings, **changes}, where="benchmark")


if __name__ == "__main__":
    main()
