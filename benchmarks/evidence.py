"""How long the evidence takes: every command on the paper's released runs, from prompt to prompt.

    python benchmarks/evidence.py CLONE [--rounds 3]

CLONE is the paper's repository (github.com/aorvieto/SecretSauce), or a folder with its files. Then
each of the tests' hostile pickles is given to ``descent import``, which has to refuse it; the
slowest is told.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from oracles.pickles import bombs, hostile, tangles  # pyright: ignore[reportMissingImports] # in tests/, which is not installed

from descentlab.errors import DataError

REFUSED = DataError.exit_code


def timed(*arguments: object, expected: int = 0) -> float:
    """Seconds of the wall clock that a command takes."""
    command = [sys.executable, "-m", "descentlab", *map(str, arguments)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode != expected:
        raise SystemExit(f"{' '.join(command)}: ended with {done.returncode}\n{done.stderr}")
    return seconds


def commands(clone: Path, rounds: int) -> None:
    """Print the median of every command and its range."""
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            store, out = Path(folder) / "store", Path(folder) / "out"
            for arguments in (
                ["import", "secretsauce", clone, store],
                ["audit", store],
                ["claims", store],
                ["reproduce", "all", "--from-released", clone, "--out", out],
                ["query", store, "SELECT count(*) FROM runs"],
            ):
                name = " ".join(each for each in arguments[:2] if isinstance(each, str))
                seconds.setdefault(name, []).append(timed(*arguments))
    for name, found in seconds.items():
        spread = f"[{min(found):.2f}, {max(found):.2f}]"
        print(f"descent {name}: median {statistics.median(found):.2f} s {spread}", flush=True)


def pickles() -> None:
    """Print how long the slowest refusal took."""
    with tempfile.TemporaryDirectory() as folder:
        marker, store = Path(folder) / "executed", Path(folder) / "store"
        path = Path(folder) / "clone" / "Adam_160M_SP_SL2048_3Btok_BS256.pkl"
        path.parent.mkdir()
        slowest = (0.0, "")
        found = {**hostile(marker), **bombs(), **tangles()}
        for name, raw in found.items():
            path.write_bytes(raw)
            seconds = timed("import", "secretsauce", path.parent, store, expected=REFUSED)
            slowest = max(slowest, (seconds, name))
        if marker.exists():
            raise SystemExit("a pickle was executed")
    print(f"{len(found)} hostile pickles refused, the slowest ({slowest[1]}) in {slowest[0]:.2f} s")


def main() -> None:
    """Time the commands, and the refusals."""
    parser = argparse.ArgumentParser(description="how long the evidence takes")
    parser.add_argument("clone", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    commands(options.clone, options.rounds)
    pickles()


if __name__ == "__main__":
    main()
