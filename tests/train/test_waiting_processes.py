"""Processes wait for the first while it works for all, but not for one that is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, sys, time
from datetime import timedelta
import torch.distributed as dist
from descentlab.train import world as module

what, folder = sys.argv[1:]
module.TIMEOUT = timedelta(seconds=2)
open(f"{folder}/{os.environ['RANK']}", "w").close()
while len(os.listdir(folder)) < 2:  # or to meet would take one of them too long
    time.sleep(0.01)
with module.world() as here:
    def work():
        time.sleep(3.5)
        if what == "dies":
            os._exit(9)
        if what == "fails":
            raise ValueError("no corpus")
        return "tokens"

    try:
        print("got", here.by_first(work), flush=True)
        if what == "late at a step" and here.first:
            time.sleep(3.5)
        print("sum", here.mean(1.0), flush=True)
    except Exception as error:
        print("raised", type(error).__name__, flush=True)
        os._exit(3)
"""


def started(what: str, folder: Path) -> list[tuple[int, str]]:
    """The exit codes and lines of two processes, as torchrun would have started them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        variables = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        variables |= {"MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, what, folder],
            env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
    said = [process.communicate(timeout=100)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def test_the_others_wait_for_the_first_longer_than_for_one_another(tmp_path: Path) -> None:
    assert started("works", tmp_path) == [(0, "got tokens\nsum 1.0\n")] * 2


@pytest.mark.slow
def test_an_error_of_the_first_reaches_all(tmp_path: Path) -> None:
    assert started("fails", tmp_path) == [(3, "raised ValueError\n")] * 2


@pytest.mark.slow
def test_a_first_process_that_dies_is_noticed(tmp_path: Path) -> None:
    (first, _), (second, said) = started("dies", tmp_path)
    assert (first, second) == (9, 3)
    assert said.startswith("raised ")


@pytest.mark.slow
def test_at_a_step_the_timeout_stays(tmp_path: Path) -> None:
    _, (second, said) = started("late at a step", tmp_path)
    assert second == 3
    assert said.startswith("got tokens\nraised ")
