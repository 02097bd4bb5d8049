"""Damaged pickles: none is executed, crashes or hangs the reader, or takes much memory."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]


def read_mutants(count: int) -> dict[str, float]:
    seed = int(os.environ.get("MUTANT_SEED", secrets.randbits(32)))
    print(f"MUTANT_SEED={seed}")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("mutants.py")), str(seed), str(count)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return json.loads(done.stdout)


def check(found: dict[str, float], count: int) -> None:
    assert found["refused"] + found["out of range"] + found["read"] == count
    assert found["refused"] > count / 3
    assert found["read"] > count / 100  # where only a number has changed
    assert found["bytes"] < 256 * 2**20


def test_three_hundred_mutants():
    check(read_mutants(300), 300)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_thousand_mutants():
    check(read_mutants(10_000), 10_000)
