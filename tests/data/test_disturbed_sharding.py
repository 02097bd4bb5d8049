"""Preparations whose process, disk or folder is not theirs alone."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from oracles.byte_preparations import DOCUMENTS, made, spec_of
from oracles.preparation import files_of, write_jsonl

from descentlab.data import shard_writer, sharding
from descentlab.data.meter import Progress
from descentlab.data.sharding import prepare_shards
from descentlab.errors import BusyError, DataError, StorageError
from descentlab.storage import alone_in


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", DOCUMENTS)


def test_a_worker_that_is_killed_is_told(tmp_path, corpus, monkeypatch):
    class Deadly:
        def __reduce__(self) -> tuple[Any, ...]:
            return os._exit, (1,)

    monkeypatch.setattr(sharding, "Encoder", lambda *_: Deadly())
    with pytest.raises(DataError, match="a process that encoded documents was killed") as error:
        made(tmp_path / "out", corpus, workers=1)
    assert error.value.exit_code == 3


def test_a_full_disk_keeps_the_finished_shards(tmp_path, corpus, monkeypatch):
    out = tmp_path / "out"
    reference = tmp_path / "reference"
    made(reference, corpus)
    add, calls = shard_writer.TokenWriter.add, iter(range(100))

    def refuse(*arguments: Any) -> None:
        if next(calls) == 14:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(shard_writer.TokenWriter, "add", refuse)
        with pytest.raises(
            StorageError, match=f"^{out}: disk full, need 4,000 bytes, have"
        ) as error:
            made(out, corpus)
    assert error.value.exit_code == 4
    kept = files_of(out)
    assert len([name for name in kept if name.endswith("shard.json")]) >= 2
    assert not any(name.startswith("unfinished") for name in kept)
    made(out, corpus)
    assert files_of(out) == files_of(reference)


def test_a_disk_that_is_full_all_the_time_is_one_sentence(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(shard_writer, "TRAIN", "/dev/full")
    with pytest.raises(StorageError, match=f"^{tmp_path / 'out'}: disk full, need 2,000,000 bytes"):
        made(tmp_path / "out", corpus, shard_tokens=10**6)


def test_a_disk_without_room_is_refused_before_anything_is_encoded(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=20_000))
    with pytest.raises(StorageError, match="disk full, need 22,000 bytes, have 20,000; make room"):
        made(tmp_path / "out", corpus, tokens=10_000, held_out=1000)
    assert not list((tmp_path / "out").glob("shard-*"))


def test_a_second_process_is_refused(tmp_path, corpus):
    out = tmp_path / "out"
    out.mkdir()
    code = (
        "import sys; from pathlib import Path; from descentlab.storage import alone_in\n"
        "with alone_in(Path(sys.argv[1])):\n    print('in', flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(BusyError, match=f"process {other.pid} on ") as error:
            made(out, corpus)
        assert error.value.exit_code == 6
        other.kill()
    made(out, corpus)


def test_a_folder_that_another_process_is_about_to_fill_is_left_to_it(
    tmp_path, corpus, monkeypatch
):
    """It was not there when this process looked, and locked when it came to that."""
    out = tmp_path / "out"
    make_folder = sharding.make_folder
    with ExitStack() as other:

        def made(folder: Path) -> None:
            make_folder(folder)
            other.enter_context(alone_in(folder))

        monkeypatch.setattr(sharding, "make_folder", made)
        with pytest.raises(BusyError):
            prepare_shards(spec_of(corpus), out, workers=0)
        assert (out / "lock").exists()


def test_the_lock_is_held_to_the_end(tmp_path, corpus):
    def inside(progress: Progress) -> None:
        code = (
            "import sys; from pathlib import Path; from descentlab.storage import alone_in\n"
            "from descentlab.errors import BusyError\n"
            "try:\n    alone_in(Path(sys.argv[1])).__enter__()\n"
            "except BusyError:\n    print('busy')"
        )
        if not said:
            done = subprocess.run(
                [sys.executable, "-c", code, str(tmp_path / "out")], capture_output=True, check=True
            )
            said.append(done.stdout.decode().strip())

    said: list[str] = []
    prepare_shards(spec_of(corpus), tmp_path / "out", workers=0, observe=inside)
    assert said == ["busy"]
    with alone_in(tmp_path / "out"):
        pass
