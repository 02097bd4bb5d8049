"""A damaged checkpoint is never gone on from: it is set aside, and an older one is taken."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from faults.forks import KILL, Fault
from faults.laboratory import Laboratory, Undisturbed, folder_of
from faults.trials import WENT_ON, different, outcome, steps

from descentlab.config import seal, unseal
from descentlab.errors import ConfigError, CorruptError, StorageError
from descentlab.runs import checkpoints
from descentlab.runs.store import RunFolder

SEED = 11
FLIPS, CUTS = 600, 200
FILES = ("tensors.safetensors", "state.json", "manifest.json")


@pytest.fixture(scope="module")
def interrupted(forks, plan, tmp_path_factory) -> tuple[Laboratory, Undisturbed, Path]:
    """A run that was killed at step 4, with checkpoints of steps 2 and 3."""
    laboratory = Laboratory(forks, tmp_path_factory.mktemp("interrupted"))
    whole = laboratory.undisturbed(plan(training={"steps": 5}))
    return laboratory, whole, laboratory.stopped(whole, 4)


@pytest.fixture
def root(interrupted) -> Path:
    laboratory, _, root = interrupted
    return laboratory.copy(root)


@pytest.fixture
def folder(interrupted, root) -> RunFolder:
    return folder_of(root, interrupted[1].run)


@pytest.fixture
def goes_on(interrupted, root) -> Callable[..., tuple[int | None, str, int]]:
    """Starts the run again; says the exit code, what was said, and the step that it began after."""
    laboratory, whole, _ = interrupted

    def start(denied: str = "", **execution: object) -> tuple[int | None, str, int]:
        settings = {**whole.run.settings}
        settings["execution"] = {**settings["execution"], **execution}
        run = msgspec.structs.replace(whole.run, settings=settings)
        process = laboratory.start(run, root, denied=denied)
        code = process.wait()
        return code, process.text(), max(steps(process.text(), WENT_ON), default=0)

    return start


def checkpoint(folder: RunFolder, step: int) -> Path:
    return folder.attempt(1).checkpoints / f"step-{step:08}"


def contents(path: Path) -> dict[str, bytes]:
    return {
        str(each.relative_to(path)): each.read_bytes()
        for each in sorted(path.rglob("*"))
        if each.is_file()
    }


def newest_step(folder: RunFolder) -> tuple[int, int]:
    """The step that a run would go on after, and how many checkpoints were set aside for it.

    They are put back.
    """
    warnings: list[str] = []
    try:
        found = checkpoints.newest(folder, warnings.append)
        step = found.manifest.step if found else 0
    except CorruptError:
        step = -1
    for path in folder.attempt(1).checkpoints.glob(f"{checkpoints.CORRUPT}*"):
        path.rename(path.with_name(path.name.removeprefix(checkpoints.CORRUPT)))
    return step, len(warnings)


def test_no_flipped_bit_is_gone_on_from(folder):
    draw = random.Random(SEED)
    wrong = []
    for _ in range(FLIPS):
        path = checkpoint(folder, 3) / draw.choice(FILES)
        before = path.read_bytes()
        place, bit = draw.randrange(len(before)), draw.randrange(8)
        flipped = bytearray(before)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        if newest_step(folder) != (2, 1):
            wrong.append((path.name, place, bit))
        path.write_bytes(before)
    assert wrong == []
    assert newest_step(folder) == (3, 0)


def test_no_truncated_file_is_gone_on_from(folder):
    draw = random.Random(SEED)
    wrong = []
    for _ in range(CUTS):
        path = checkpoint(folder, 3) / draw.choice(FILES)
        before = path.read_bytes()
        length = draw.randrange(len(before))
        path.write_bytes(before[:length])
        if newest_step(folder) != (2, 1):
            wrong.append((path.name, length))
        path.write_bytes(before)
    assert wrong == []


@pytest.mark.parametrize("name", ["metrics.jsonl", "timing.jsonl"])
def test_damaged_records_are_gone_on_from_only_where_they_are_whole(folder, name):
    path = folder.attempt(1).path / name
    before = path.read_bytes()
    ends = {
        step: checkpoints.verified(checkpoint(folder, step), folder.attempt(1)).records[name].bytes
        for step in (2, 3)
    }
    assert 0 < ends[2] < ends[3] <= len(before)
    for place in range(0, len(before), 7):
        flipped = bytearray(before)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        expected = (-1, 2) if place < ends[2] else (2, 1) if place < ends[3] else (3, 0)
        assert newest_step(folder) == expected, place
        path.write_bytes(before[:place])
        assert newest_step(folder) == expected, place


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def make_folder_of(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_file_of(path: Path) -> None:
    shutil.rmtree(path)
    path.write_bytes(b"not a folder")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped bit": lambda path: flip(path / "tensors.safetensors"),
    "truncated state": lambda path: os.truncate(path / "state.json", 9),
    "no manifest": lambda path: (path / "manifest.json").unlink(),
    "no tensors": lambda path: (path / "tensors.safetensors").unlink(),
    "a file that does not belong": lambda path: (path / "more.json").write_bytes(b"{}"),
    "folder for a manifest": lambda path: make_folder_of(path / "manifest.json"),
    "folder for a file": lambda path: make_folder_of(path / "tensors.safetensors"),
    "file for a folder": make_file_of,
    "empty": lambda path: [each.unlink() for each in path.iterdir()],
    "manifest of another type": lambda path: (path / "manifest.json").write_bytes(
        seal(b'{"step":"3"}')
    ),
    "manifest that is no object": lambda path: (path / "manifest.json").write_bytes(b"[1]"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_older_checkpoint_leads_to_the_same_bits(interrupted, folder, goes_on, damage):
    DAMAGE[damage](checkpoint(folder, 3))
    code, said, went_on = goes_on()
    assert (code, went_on) == (0, 2)
    assert f"warning: {checkpoint(folder, 3)}: " in said
    assert "it is set aside and an older checkpoint is tried" in said
    assert different(interrupted[1].outcome, outcome(folder)) == []


def test_without_a_valid_checkpoint_nothing_begins_again_unasked(interrupted, folder, goes_on):
    for step in (2, 3):
        flip(checkpoint(folder, step) / "state.json")
    for _ in range(2):
        code, said, _ = goes_on()
        assert code == CorruptError.exit_code
        assert 'to train it again from its first step, set execution.resume to "restart"' in said
    assert goes_on(resume="restart")[0] == 0
    assert different(interrupted[1].outcome, outcome(folder)) == []


def test_a_run_that_began_again_goes_on_with_what_it_saved_since(interrupted, folder, root, plan):
    """And not with the checkpoint of the attempt that it was told to leave."""
    laboratory, whole, _ = interrupted
    run = plan(training={"steps": 5}, execution={"resume": "restart"})
    again = laboratory.start(run, laboratory.copy(root))
    assert again.wait() == 0
    saved = [each for each in again.calls() if each.other.name == "step-00000001"]
    process = laboratory.start(run, root, Fault(KILL, saved[0].number + 2))
    assert process.wait() == -9
    process = laboratory.start(whole.run, root)
    assert process.wait() == 0, process.text()
    assert steps(process.text(), WENT_ON) == [1]
    assert different(whole.outcome, outcome(folder)) == []


def rewritten(path: Path, **changes: object) -> bytes:
    content = unseal(path.read_bytes())
    assert content is not None
    return seal(msgspec.json.encode({**msgspec.json.decode(content), **changes}))


@pytest.mark.parametrize("sealed", [True, False])
def test_a_newer_schema_is_refused_and_its_checkpoint_untouched(folder, goes_on, sealed):
    path = checkpoint(folder, 3) / "manifest.json"
    path.write_bytes(rewritten(path, schema=2) if sealed else b'{"schema":2,"other":1}')
    before = contents(folder.attempt(1).path)
    code, said, _ = goes_on()
    assert code == ConfigError.exit_code
    assert "written by a newer version (schema 2, this one reads up to 1); update" in said
    assert contents(folder.attempt(1).path) == before


def test_a_flipped_bit_is_not_taken_for_a_newer_schema(folder):
    path = checkpoint(folder, 3) / "manifest.json"
    before = path.read_bytes()
    for bit in range(8):
        flipped = bytearray(before)
        flipped[before.index(b'"schema":') + 9] ^= 1 << bit
        path.write_bytes(flipped)
        assert newest_step(folder) == (2, 1)


@pytest.mark.parametrize(
    "denied",
    [
        "checkpoints/step-00000003/manifest.json",
        "checkpoints/step-00000003/tensors.safetensors",
        "metrics.jsonl",
    ],
)
def test_what_may_not_be_read_is_neither_damaged_nor_left_out(folder, goes_on, denied):
    before = contents(folder.attempt(1).path)
    code, said, _ = goes_on(denied=f"attempt-1/{denied}")
    assert code == 4, said
    assert "Permission denied" in said
    assert "Traceback" not in said
    assert contents(folder.attempt(1).path) == before


def test_a_folder_of_checkpoints_that_may_not_be_read_is_not_taken_for_none(folder, monkeypatch):
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    attempt = folder.attempt(1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", refuse)
        with pytest.raises(StorageError, match=r"checkpoints: cannot be read \(Permission denied"):
            checkpoints.stored(attempt)
    make_file_of(attempt.checkpoints)
    with pytest.raises(StorageError, match=r"checkpoints: cannot be read \(Not a directory"):
        checkpoints.newest(folder, lambda line: None)
