"""Reads damaged pickles in one process that may do nothing else: ``python mutants.py SEED COUNT``.

Prints what became of them as JSON. The process ends with code 70 if a pickle makes it open, import,
start or compile anything, and by a signal if one takes more than ten seconds.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import time

import numpy as np
from oracles.pickles import RELEASED, frame, mutant, texts

from descentlab.analysis.imports.limited_process import ATTEMPTED, answer, read_pickle
from descentlab.analysis.imports.pickle_scan import instructions
from descentlab.analysis.imports.secretsauce import conditions, file_notes, released_runs
from descentlab.errors import DataError
from descentlab.train.memory import peak_memory

SMALLEST_FILES = 3
PATIENCE = 10.0


def originals() -> list[bytes]:
    """Tables of made-up numbers in every protocol, and the smallest of the released files."""
    mixed = frame(4, points=6, clip=texts([1, 1000, np.float64(1), np.array(1000)]))
    made = [pickle.dumps(each, n) for each in (frame(5, points=8), mixed) for n in range(2, 6)]
    files = sorted(RELEASED.glob("*.pkl"), key=lambda path: path.stat().st_size)
    return made + [path.read_bytes() for path in files[:SMALLEST_FILES]]


def main(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    raws = originals()
    boundaries = [[each.at for each in instructions(raw)] for raw in raws]
    known = conditions("Adam_160M_SP_SL2048_3Btok_BS256.pkl")
    assert known is not None
    for raw in raws:  # what is imported on first use is imported now
        found = answer(raw, read_pickle)
        assert found.table is not None
        file_notes(released_runs(found.table, known))
    outcomes = {"refused": 0, "out of range": 0, "read": 0}
    slowest, slowest_at, reading = 0.0, 0, False

    def watch(event: str, _: object) -> None:
        if reading:
            os.write(2, f"mutant {number} of seed {seed}: {event}\n".encode())
            os._exit(ATTEMPTED)

    sys.addaudithook(watch)
    for number in range(count):
        which = int(random.integers(len(raws)))
        raw = mutant(raws[which], random, boundaries[which])
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        began = time.perf_counter()
        reading = True
        try:
            found = answer(raw, read_pickle)
            if found.table is None:
                outcome = "refused"
                assert found.refused
            else:
                file_notes(released_runs(found.table, known))
                outcome = "read"
        except DataError:
            outcome = "out of range"
        except Exception as error:
            error.add_note(f"mutant {number} of seed {seed}")
            reading = False
            raise
        reading = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        outcomes[outcome] += 1
        seconds = time.perf_counter() - began
        if seconds > slowest:
            slowest, slowest_at = seconds, number
    peak = peak_memory("cpu")  # its own: getrusage counts the process that started it as well
    made = {**outcomes, "slowest": slowest, "slowest_at": slowest_at, "bytes": peak}
    print(json.dumps(made))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
