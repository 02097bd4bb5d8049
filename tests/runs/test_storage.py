from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from descentlab import storage
from descentlab.errors import BusyError, StorageError
from descentlab.storage import (
    alone_in,
    make_folder,
    publish,
    replace_file,
    storage_errors,
    unfinished_name,
)


@pytest.fixture
def aside(tmp_path: Path) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def refuse(number: int):
    def call(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "report.html"
    replace_file(path, b"first")
    replace_file(path, b"second")
    assert path.read_bytes() == b"second"

    def full(self: Path, content: bytes) -> None:
        self.write_text("half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="disk full, need 5 bytes"):
        replace_file(path, b"third")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_the_first_content_stays(tmp_path, aside):
    path = tmp_path / "done.json"
    assert publish(path, b"first", aside=aside)
    assert not publish(path, b"second", aside=aside)
    assert path.read_bytes() == b"first"


def test_nothing_unfinished_is_left(tmp_path, aside):
    for content in (b"first", b"second"):
        publish(tmp_path / "done.json", content, aside=aside)
    assert list(aside.iterdir()) == []


def test_of_eight_processes_one_makes_each_file_and_the_others_find_it_whole(race, tmp_path, aside):
    code = """
    own = sys.argv[1].encode() * 200_000
    for number in range(10):
        path = Path(sys.argv[2]) / f"{number}.json"
        won = publish(path, own, aside=Path(sys.argv[3]))
        found = path.read_bytes()
        assert len(found) == len(own) and len(set(found)) == 1 and won == (found == own)
        print(int(won), end="")
    print()
    """
    said = [racer.hear() for racer in race(8, code, tmp_path, aside)]
    assert [sum(map(int, wins)) for wins in zip(*said, strict=True)] == [1] * 10
    assert list(aside.iterdir()) == []


def test_content_is_on_disk_before_the_file_appears_and_its_name_after(
    tmp_path, aside, monkeypatch
):
    calls = []
    fsync, link = os.fsync, os.link

    def noted_fsync(handle: int) -> None:
        calls.append("flush folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "flush file")
        fsync(handle)

    def noted_link(source: Path, target: Path) -> None:
        calls.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "link", noted_link)
    publish(tmp_path / "done.json", b"content", aside=aside)
    assert calls == ["flush file", "link", "flush folder"]


@pytest.mark.parametrize("call", ["fsync", "link"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_what_it_needs_and_leaves_nothing(
    tmp_path, aside, monkeypatch, call, number
):
    path = tmp_path / "done.json"
    monkeypatch.setattr(os, call, refuse(number))
    with pytest.raises(StorageError, match=f"^{path}: disk full, need 5,000 bytes, have ") as error:
        publish(path, b"x" * 5000, aside=aside)
    assert error.value.exit_code == 4
    assert not path.exists()
    assert list(aside.iterdir()) == []


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path, aside, monkeypatch):
    """In a container the next process often has its number."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    for _ in range(2):
        name = unfinished_name("run.step-00000001", aside=aside)
        assert name.name.startswith(f"run.step-00000001.{os.uname().nodename}.7.")
        name.mkdir()


def test_a_full_disk_is_told_of_a_folder_that_is_not_there_yet(tmp_path):
    path = tmp_path / "attempt-1" / "checkpoints" / "step-00000001"
    with pytest.raises(StorageError, match=f"^{path}: disk full"), storage_errors(path, 1):
        refuse(errno.ENOSPC)()


def test_a_folder_and_those_above_it_are_durable_by_name(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(storage, "flush", lambda path: flushed.append(path.name))
    make_folder(tmp_path / "a" / "b")
    assert flushed == [tmp_path.name, "a"]
    make_folder(tmp_path / "a" / "b")
    assert flushed == [tmp_path.name, "a", "a"]


def test_the_room_that_is_left_is_what_the_system_says(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1234))
    with pytest.raises(StorageError, match="have 1,234;"), storage_errors(tmp_path, 1):
        refuse(errno.ENOSPC)()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_another_refusal_says_why(tmp_path, aside, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", refuse(number))
    with pytest.raises(StorageError, match=f"cannot be written \\({os.strerror(number)}\\)"):
        publish(tmp_path / "done.json", b"content", aside=aside)


def test_a_folder_that_is_a_file_is_named(tmp_path, aside):
    (tmp_path / "runs").write_text("")
    with pytest.raises(StorageError, match=r"done\.json: cannot be written"):
        publish(tmp_path / "runs" / "done.json", b"content", aside=aside)


# One process at a time


def test_a_second_process_is_told_who_works_in_the_folder(spawn, tmp_path):
    first = spawn(
        """
        from descentlab.storage import alone_in
        with alone_in(Path(sys.argv[1])):
            print("in")
            input()
        """,
        tmp_path,
    )
    assert first.hear() == "in"
    holder = f"process {first.pid} on .* is at work in it"
    with pytest.raises(BusyError, match=holder) as error, alone_in(tmp_path):
        pass
    assert error.value.exit_code == 6
    first.kill()
    with alone_in(tmp_path):
        pass


def test_a_folder_is_free_again_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="why"), alone_in(tmp_path):
        raise ValueError("why")
    with alone_in(tmp_path):
        pass


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"), alone_in(tmp_path / "missing"):
        pass
