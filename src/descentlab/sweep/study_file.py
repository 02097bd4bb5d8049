"""Reads a study from a file: TOML, or Python for what is easier said by a function."""

from __future__ import annotations

import runpy
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from descentlab.config import LARGEST_FILE, read_toml, shown
from descentlab.errors import ConfigError, nearest
from descentlab.sweep.study import Method, Study, study_from

NAME = "study"
"""What a Python file is asked for unless told otherwise."""


def read_study(file: str | Path) -> Study:
    """Read the whole of a study once; what becomes of the file later changes nothing.

    A Python file is run. It names a ``Study``, or a function without arguments that returns
    one: ``study``, or what stands behind a colon, as in ``betas.py:narrow``.

    Args:
        file: its path.

    Raises:
        ConfigError: naming the place, what was given and what is allowed.
    """
    path, colon, name = str(file).rpartition(".py:")
    if colon:
        return _from_python(Path(f"{path}.py"), name)
    if Path(file).suffix == ".py":
        return _from_python(Path(file), NAME)
    return study_from(read_toml(Path(file)), where=str(file))


def _from_python(path: Path, name: str) -> Study:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a study") from None
    if size > LARGEST_FILE:
        raise ConfigError(f"{path}: larger than the 64 KiB that settings may take")
    try:
        names = runpy.run_path(str(path), run_name="study_file")
        if name not in names:
            found = [each for each, value in names.items() if isinstance(value, Study)]
            raise ConfigError(f"{path}: has no {name}; {nearest(name, found)}")
        found = names[name]
        study = found() if callable(found) else found
    except ConfigError as error:
        raise ConfigError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{path}{_line(error, path)}: {_said(error)}") from None
    if not isinstance(study, Study):
        raise ConfigError(
            f"{path}: {name} is {shown(study)}; it must be a Study, or a function that returns one"
        )
    # A struct made in Python has not been checked for types.
    return study_from(_plain(study, str(path)), where=str(path))


def _line(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _said(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text.partition(chr(10))[0]}".rstrip(": ")


def _plain(value: Any, where: str) -> Any:
    """Structs, tuples, ranges and arrays as TOML would have them."""
    if isinstance(value, Study | Method):
        settings = msgspec.structs.asdict(value)
        for optional in ("methods", "seeds"):
            if not settings.get(optional):
                settings.pop(optional, None)  # none were given
        value = settings
    if isinstance(value, Mapping):
        return {str(key): _plain(each, where) for key, each in value.items()}
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        value = value.tolist()
    if isinstance(value, list | tuple | range):
        return [_plain(each, where) for each in value]
    if isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"{where}: {shown(value)} is no setting; give numbers, texts or tables")
