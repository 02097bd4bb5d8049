"""How often 95% intervals of a mean over n seeds hold the true mean, for docs/statistics.md.

    python benchmarks/interval_coverage.py

Prints a table; takes half a minute on one core and is the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from descentlab.analysis.statistics import paired

SAMPLES = 2500
SEED = 11
RESAMPLES = 1999
DRAWS: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "exponential": lambda random, shape: random.exponential(size=shape) - 1,
}
INTERVALS: tuple[paired.Interval, ...] = ("student", "bootstrap")


def coverage(kind: str, n: int, interval: paired.Interval) -> float:
    """Share of the samples whose interval holds 0."""
    samples = DRAWS[kind](np.random.default_rng(SEED), (SAMPLES, n))
    found = [
        paired.mean_interval(each, interval=interval, seed=i) for i, each in enumerate(samples)
    ]
    return float(np.mean([each.low <= 0 <= each.high for each in found]))


def main() -> None:
    """Print one row for each number of seeds."""
    paired.RESAMPLES = RESAMPLES
    print(
        "| seeds | " + " | ".join(f"{kind}, {each}" for kind in DRAWS for each in INTERVALS) + " |"
    )
    for n in (3, 10, 20, 30, 50):
        shares = [coverage(kind, n, each) for kind in DRAWS for each in INTERVALS]
        print(f"| {n} | " + " | ".join(f"{share:.3f}" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
