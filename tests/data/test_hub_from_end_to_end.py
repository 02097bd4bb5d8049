"""The paper's corpus by its name, from a hub on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from oracles.local_hub import Files, Hub, serving
from oracles.preparation import files_of, some_documents

from descentlab.data.shards import open_shards, read_manifest
from descentlab.data.tokenizer import saved_tokenizer, train_bpe

DOCUMENTS = some_documents(4000, seed=1)
COMMAND = "from descentlab.cli.main import run; run()"


def parquet(path: Path, documents: list[str]) -> bytes:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE documents (text VARCHAR, meta INTEGER)")
        rows = [[text, number] for number, text in enumerate(documents)]
        connection.executemany("INSERT INTO documents VALUES (?, ?)", rows)
        connection.table("documents").write_parquet(str(path))
    return path.read_bytes()


@pytest.mark.slow
def test_a_branch_that_moves_does_not_change_what_was_begun(tmp_path):
    train_bpe(DOCUMENTS[:300], 400).save(tmp_path / "tokenizer.json")
    first, second = (
        {
            f"data/train-{n:05}-of-00002.parquet": parquet(tmp_path / "parquet", part)
            for n, part in enumerate(parts)
        }
        for parts in ([DOCUMENTS[:1500], DOCUMENTS[1500:]], [DOCUMENTS[::-1], ["another"] * 50])
    )
    hub = Hub()
    tokenizer = (tmp_path / "tokenizer.json").read_bytes()
    hub.models["some/model"] = [("e" * 40, {"tokenizer.json": tokenizer})]
    commits: list[tuple[str, Files]] = [("c" * 40, first)]
    hub.datasets["DKYoon/SlimPajama-6B"] = commits
    with serving(hub) as address:
        environment = {
            **os.environ,
            "HF_ENDPOINT": address,
            "HF_HOME": str(tmp_path / "hub"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "DESCENTLAB_CACHE": str(tmp_path / "cache"),
        }

        def prepare(folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-c", COMMAND, "data", "prepare", "slimpajama"]
            command += ["--tokenizer=hf:some/model", "--tokens=30k", "--held-out=3k"]
            command += ["--shard-tokens=5k", f"--out={tmp_path / folder}", *arguments]
            return subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )

        done = prepare("whole", "--workers=1")
        assert done.returncode == 0, done.stderr
        assert "DKYoon/SlimPajama-6B, train, " + "c" * 40 in done.stdout
        prepare("begun", "--workers=0")
        (tmp_path / "begun" / "manifest.json").unlink()
        for shard in sorted((tmp_path / "begun").glob("shard-*"))[2:]:
            for file in shard.iterdir():
                file.unlink()
        commits.append(("d" * 40, second))
        assert prepare("begun", "--workers=2").returncode == 0
        moved = prepare("moved", "--revision=main", "--workers=0")
        assert "d" * 40 in moved.stdout
        assert prepare("other", "--revision=no-such-tag").returncode == 3
        assert prepare("begun", "--revision=main").returncode == 2
    finished = prepare("whole", "--workers=1")  # though the hub has gone
    assert (finished.returncode, finished.stdout) == (0, done.stdout)
    whole, begun = files_of(tmp_path / "whole"), files_of(tmp_path / "begun")
    assert whole.keys() == begun.keys()
    assert all(whole[name] == begun[name] for name in whole if not name.endswith("shard.json"))
    check_tokens(tmp_path / "whole", DOCUMENTS)


def check_tokens(folder: Path, documents: list[str]) -> None:
    """Every document between two ends is one of the source's, in its order."""
    tokenizer = saved_tokenizer(folder / "tokenizer.json")
    train, validation = open_shards(folder)
    counts = read_manifest(folder).counts
    assert (len(train.tokens), len(validation.tokens)) == (30_000, 3_000)
    assert counts.train_tokens + counts.held_out_tokens == 33_000
    places = {text: number for number, text in enumerate(documents)}
    sides = []
    for side in (train, validation):
        ids = side.tokens[:]
        ends = (ids == tokenizer.end).nonzero()[0].tolist()
        starts = [0, *(end + 1 for end in ends)]
        decoded = [tokenizer.decode(ids[a:b]) for a, b in zip(starts, ends, strict=False)]
        numbers = [places[text] for text in decoded]
        assert numbers == sorted(numbers)
        sides.append(set(numbers))
    assert not sides[0] & sides[1]
    assert len(sides[0]) > 500
    assert len(sides[1]) > 50
