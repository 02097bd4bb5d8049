"""The whole of Table 1 at the smallest scale, and killed at random moments."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from descentlab.paper.table1 import METHODS
from descentlab.runs.store import Store

RUN = "from descentlab.cli.main import run; run()"
FILES = {"table1.md", "table1.csv", "table1.json"} | {
    f"{name}.{suffix}"
    for name in ("perplexity-by-learning-rate", "training-curves")
    for suffix in ("svg", "png")
}

pytestmark = pytest.mark.timeout(400)  # some 40 s each, several times that beside other work


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def start(folder: Path, cache: Path, **options) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, "reproduce", "table1", "--scale", "tiny", "--seeds", "2"]
    command += ["--no-racing"]  # pausing runs of 30 steps takes longer than it saves
    command += ["--store", str(folder / "store"), "--out", str(folder / "out")]
    return subprocess.Popen(
        command, env={**os.environ, "DESCENTLAB_CACHE": str(cache)}, text=True, **options
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, cache):
    """The folder and the printed text of a reproduction that nothing interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(folder, cache, stdout=subprocess.PIPE)
    text, _ = process.communicate()
    assert process.returncode == 0
    return folder, text


def test_the_table_is_printed_and_written(undisturbed):
    folder, text = undisturbed
    assert {path.name for path in (folder / "out").iterdir()} == FILES
    assert (folder / "out" / "table1.md").read_text() in text
    table = json.loads((folder / "out" / "table1.json").read_text())
    assert {row["method"] for row in table["table"]} == set(METHODS)
    assert len({row["trials"] for row in table["table"]}) == 1
    assert len(table["claims"]) == 4


def test_the_numbers_are_those_of_the_runs_in_the_store(undisturbed):
    folder, _ = undisturbed
    table = json.loads((folder / "out" / "table1.json").read_text())
    store = Store(folder / "store")
    for trial in table["trials"]:
        result = store.folder(trial["run_id"]).result()
        if trial["validation_loss"] is None:  # racing stopped it
            assert 0 < trial["reached"] < 1
            assert result is None
            continue
        assert result is not None
        assert trial["reached"] == 1
        expected = "diverged" if result.outcome == "diverged" else result.validation_loss
        assert trial["validation_loss"] == expected
    tokens = {store.folder(trial["run_id"]).run().identity["training"]["steps"]
              for trial in table["trials"]}  # fmt: skip
    assert len(tokens) == 1


def kill_at_random_moments(folder: Path, cache: Path, kills: int, seed: int) -> int:
    """Start again after each kill; return how often it was really killed."""
    print(f"seed {seed}")
    moments = random.Random(seed)
    killed = 0
    for _ in range(kills):
        process = start(folder, cache, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.5, 9.0))
        killed += process.poll() is None
        process.kill()
        process.wait()
    process = start(folder, cache, stdout=subprocess.DEVNULL)
    assert process.wait() == 0
    return killed


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kills", "seed"), [(2, 1), (25, 2)])
def test_killed_and_started_again_it_ends_in_the_same_table(
    undisturbed, tmp_path, cache, kills, seed
):
    folder, _ = undisturbed
    assert kill_at_random_moments(tmp_path, cache, kills, seed) > 0
    for name in ("table1.md", "table1.csv", "table1.json"):
        assert (tmp_path / "out" / name).read_bytes() == (folder / "out" / name).read_bytes()
    ids = [path.name for path in (tmp_path / "store" / "runs").iterdir()]
    assert sorted(ids) == sorted(path.name for path in (folder / "store" / "runs").iterdir())
