"""A preparation may end anywhere; the next one makes the bytes of an uninterrupted one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from oracles.preparation import files_of, some_documents, write_jsonl

TESTS = Path(__file__).parents[1]
COMMAND = "from descentlab.cli.main import run; run()"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", some_documents(80))


def kills(corpus: Path, folder: Path, *calls: int) -> list[str]:
    """What ``killed_preparation.py`` prints."""
    folder.mkdir(exist_ok=True)
    script = Path(__file__).with_name("killed_preparation.py")
    done = subprocess.run(
        [sys.executable, str(script), str(corpus), str(folder), *map(str, calls)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        check=True,
    )
    return done.stdout.splitlines()


def listens(pid: int) -> bool:
    """Whether a process has a handler of its own for SIGTERM, which Python alone has not."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return False
    caught = int(next(line.split()[1] for line in status.splitlines() if "SigCgt" in line), 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def check_kills(corpus: Path, folder: Path, seed: int, number: int | None) -> None:
    (total,) = kills(corpus, folder / "counting")
    every = list(range(1, int(total) + 1))
    assert len(every) > 40
    chosen = sorted(random.Random(seed).sample(every, number or len(every)))
    print(f"seed {seed}, calls {chosen}")
    _, *outcomes = kills(corpus, folder / "killing", *chosen)
    assert outcomes == [f"{call} killed 0" for call in chosen]


def test_killed_at_some_calls_it_goes_on_to_the_same_bytes(tmp_path, corpus):
    check_kills(corpus, tmp_path, seed=random.randrange(10**6), number=8)


@pytest.mark.soak
def test_killed_at_every_call_it_goes_on_to_the_same_bytes(tmp_path, corpus):
    check_kills(corpus, tmp_path, seed=0, number=None)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_with_workers_is_stopped_at_random_times(tmp_path, number):
    """Again and again, until it is done; no worker outlives it, and stops are one sentence."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    corpus = write_jsonl(tmp_path / "corpus.jsonl", some_documents(240_000))
    arguments = [str(corpus), "--tokenizer=byte", "--held-out=5%", "--shard-tokens=1600k"]
    command = [sys.executable, "-c", COMMAND, "data", "prepare", *arguments, "--workers=2"]
    environment = {**os.environ, "DESCENTLAB_CACHE": str(tmp_path / "cache")}
    subprocess.run(
        [*command, f"--out={tmp_path / 'reference'}"],
        env=environment,
        check=True,
        capture_output=True,
    )
    stops, code = 0, None
    while code != 0 and stops < 100:
        shards = len(list(tmp_path.glob("out/shard-*"))) + draw.choice([0, 1, 1, 2])
        with subprocess.Popen(
            [*command, f"--out={tmp_path / 'out'}"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            while len(list(tmp_path.glob("out/shard-*"))) < shards and process.poll() is None:
                time.sleep(0.005)
            while number != signal.SIGKILL and process.poll() is None and not listens(process.pid):
                time.sleep(0.005)  # Python itself, as it starts, ends in words of its own
            time.sleep(draw.uniform(0, 0.2))
            # A terminal sends INT to workers too.
            with suppress(ProcessLookupError):  # it is done
                (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
            _, said = process.communicate()  # waits for every process that holds the pipes
        code = process.returncode
        stops += code != 0
        if number != signal.SIGKILL and "error" in said:
            assert code == 128 + number, said
            assert "Traceback" not in said
            assert said.splitlines()[-1] == "error: stopped; the same command goes on from here"
    assert 2 <= stops < 100
    assert files_of(tmp_path / "out") == files_of(tmp_path / "reference")
