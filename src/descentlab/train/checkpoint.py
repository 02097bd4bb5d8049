"""A run's state in files: its tensors in ``tensors.safetensors``, the rest in ``state.json``."""

from __future__ import annotations

import errno
import math
import os
import re
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from descentlab.errors import CorruptError
from descentlab.train.state import Snapshot

TENSORS = "tensors.safetensors"
VALUES = "state.json"


def write(folder: Path, snapshot: Snapshot) -> None:
    """Write a snapshot into an empty folder.

    Raises:
        OSError: if the disk refuses.
    """
    path = folder / TENSORS
    tensors = {name: each.detach().contiguous() for name, each in snapshot.tensors.items()}
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        said = re.search(r"\(os error (\d+)\)", str(error))
        number = int(said[1]) if said else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error
    path.chmod(0o644)  # the library's file is for its owner alone
    if path.stat().st_size < snapshot.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    content = msgspec.json.encode(_explicit(snapshot.values), order="sorted")
    (folder / VALUES).write_bytes(content)


def read(folder: Path) -> Snapshot:
    """Read a snapshot whose bytes were found to be whole.

    Raises:
        CorruptError: if they are no snapshot all the same.
    """
    try:
        tensors = load_file(folder / TENSORS)
        values = _numbers(msgspec.json.decode((folder / VALUES).read_bytes(), type=dict[str, Any]))
    except (OSError, SafetensorError, msgspec.MsgspecError) as error:
        raise CorruptError(f"{folder}: cannot be read as a checkpoint ({error})") from None
    return Snapshot(tensors, values)


def _explicit(value: Any) -> Any:
    """JSON has no infinities: ``{"float": "inf"}`` stands for one."""
    if isinstance(value, dict):
        return {name: _explicit(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_explicit(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"float"}:
            return float(value["float"])
        return {name: _numbers(each) for name, each in value.items()}
    return [_numbers(each) for each in value] if isinstance(value, list) else value
