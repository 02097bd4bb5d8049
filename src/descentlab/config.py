"""Settings: from TOML text to checked, frozen structs, and from structs to canonical text.

Every part of the laboratory keeps a frozen ``msgspec.Struct`` beside what it builds.
This module turns files and ``key=value`` arguments into them, with errors that name
the file, the key, what is allowed and the nearest valid name.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import os
import re
import tomllib
import types
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from descentlab.errors import ConfigError, SettingError, nearest

PositiveInt = Annotated[int, msgspec.Meta(ge=1, le=2**62)]
NonNegativeInt = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Decay = Annotated[float, msgspec.Meta(ge=0, lt=1)]
"""The decay β of a moving average."""

LARGEST_FILE = 64 * 1024
"""Bytes; a settings file that is larger is a mistake."""

S = TypeVar("S", bound=msgspec.Struct)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a settings file.

    Raises:
        ConfigError: if it is missing, larger than 64 KiB, not UTF-8 or not TOML.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a TOML file") from None
    if len(raw) > LARGEST_FILE:
        raise ConfigError(f"{path}: larger than the 64 KiB that settings may take")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save it as UTF-8") from None
    except ValueError as error:  # also for a number with thousands of digits
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply; settings need three levels") from None


def override(settings: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return the settings with ``key.path=value`` assignments applied.

    A value is read as TOML; what is not TOML is taken as text, so quotes may be left out.

    Raises:
        ConfigError: for an assignment without a key, or a key below a value.

    >>> override({"optimizer": {"lr": 0.1}}, ["optimizer.lr=3e-3", "name=first"])
    {'optimizer': {'lr': 0.003}, 'name': 'first'}
    """
    result: dict[str, Any] = {**settings}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(
                f"{assignment!r}: write settings as key=value, as in optimizer.lr=1e-3"
            )
        set_path(result, key, _toml_value(text))
    return result


def set_path(settings: dict[str, Any], key: str, value: object) -> None:
    """Set the entry that a dotted key names, copying the tables on the way to it.

    Raises:
        ConfigError: if a part of the key names a value instead of a table.
    """
    *tables, last = key.split(".")
    place = settings
    for name in tables:
        inner = place.get(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{key}: {name} is a value, not a table of settings")
        place[name] = {**inner}
        place = place[name]
    place[last] = value


def _toml_value(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def build(kind: type[S], settings: object, *, where: str) -> S:
    """Turn plain settings into the struct ``kind``, checking names, types and ranges.

    Args:
        kind: the struct to build.
        settings: dicts, lists, numbers and text, as TOML or JSON give them.
        where: the file or command that they came from, to begin an error with.

    Raises:
        SettingError: naming the place, what was given and what is allowed.
    """
    _check_names(kind, settings, where, "")
    try:
        return msgspec.convert(settings, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").lstrip(".")
        given = _lookup(settings, key)
        given_text = "" if isinstance(given, dict | types.NoneType) else f" (given: {shown(given)})"
        if choices := _choices(kind, key):
            given_text += f"; {nearest(shown(given), choices)}"
        raise SettingError(where, key, f"{_plain(message)}{given_text}") from None


def _plain(message: str) -> str:
    return message.replace("`", "").replace("Object missing required field", "missing the setting")


def shown(value: object) -> str:
    """Show a value in an error, cut short; a value may be too long or deep to show at all."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # too many digits, too deep
        return f"a huge {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:97]}..."


def _lookup(settings: object, key: str) -> object:
    for name in _names(key):
        if isinstance(settings, list) and name.isdecimal():
            settings = settings[int(name)]
        elif isinstance(settings, Mapping) and name in settings:
            settings = settings[name]
        else:
            return None
    return settings


def _names(key: str) -> list[str]:
    """The parts of a dotted key, with the places in lists that it names."""
    return re.findall(r"[^.\[\]]+", key)


def _check_names(kind: object, value: object, where: str, key: str) -> None:
    """Refuse unknown keys and unknown tags, with the nearest that exists."""
    if isinstance(value, list) and get_origin(kind) is tuple:
        for place, each in enumerate(value):
            _check_names(get_args(kind)[0], each, where, f"{key}[{place}]")
    if not isinstance(value, Mapping):
        return
    structs = _structs_of(kind)
    if not structs:
        return
    tag_field = structs[0].__struct_config__.tag_field
    if tag_field is not None:
        by_tag = {str(each.__struct_config__.tag): each for each in structs}
        tag = value.get(tag_field)
        if tag_field not in value and (close := difflib.get_close_matches(tag_field, value, 1)):
            place = f"{key}.{close[0]}".lstrip(".")
            raise SettingError(where, place, f"unknown setting; did you mean {tag_field}?")
        if not isinstance(tag, str) or tag not in by_tag:
            place = f"{key}.{tag_field}".lstrip(".")
            given = f"no {tag_field} is called {shown(tag)}" if tag_field in value else "is missing"
            raise SettingError(where, place, f"{given}; {nearest(shown(tag), by_tag)}")
        structs = [by_tag[tag]]
    allowed = _fields(structs[0])
    for name, inner in value.items():
        if name == tag_field:
            continue
        path = f"{key}.{name}".lstrip(".")
        if name not in allowed:
            names = {*allowed, *getattr(structs[0], "shorthands", ()), tag_field} - {None}
            raise SettingError(where, path, f"unknown setting; {nearest(name, names)}")
        _check_names(allowed[name], inner, where, path)


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The annotation of every setting; kept, since a study checks thousands of runs."""
    hints = get_type_hints(struct, include_extras=True)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(struct)}


def _structs_of(kind: object) -> list[type[msgspec.Struct]]:
    """The struct types that an annotation admits."""
    if get_origin(kind) is Annotated:
        return _structs_of(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [struct for each in get_args(kind) for struct in _structs_of(each)]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return []


def _choices(kind: object, key: str) -> list[str]:
    """What the setting ``key`` may be, as text, if it may only be one of some values."""
    for name in _names(key):
        if get_origin(kind) is tuple:
            kind = get_args(kind)[0]
            continue
        hints = [get_type_hints(each, include_extras=True) for each in _structs_of(kind)]
        kind = Union[tuple(each[name] for each in hints if name in each) or (None,)]  # noqa: UP007 made at run time
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    literals = [each for each in options if get_origin(each) is Literal]
    return [str(value) for each in literals for value in get_args(each)]


def canonical_json(value: object) -> bytes:
    """Encode plain data so that equal data gives equal bytes: sorted keys, shortest floats.

    A whole float is written as an integer, so that ``1`` and ``1.0`` are the same setting.

    >>> canonical_json({"b": 1.0, "a": [0.1]})
    b'{"a":[0.1],"b":1}'
    """
    return msgspec.json.encode(_normal(msgspec.to_builtins(value)), order="sorted")


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {_normal(key): _normal(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(inner) for inner in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"a setting is {value}; settings must be finite numbers")
        return int(value) if value.is_integer() else value
    if isinstance(value, str) and not _is_unicode(value):
        raise ConfigError(f"a setting is {value!r}; settings must be text that UTF-8 can write")
    return value


def _is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8; an argument of other bytes cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def seal(content: bytes) -> bytes:
    """Append the CRC-32 of a JSON object's text to it as its last entry.

    >>> seal(b'{"a":1}')
    b'{"a":1,"crc":"561bacaf"}'
    """
    return b'%s,"crc":"%08x"}' % (content[:-1], zlib.crc32(content))


def unseal(sealed: bytes) -> bytes | None:
    """Return what was sealed, or None if it has changed since.

    >>> unseal(seal(b'{"a":1}')), unseal(seal(b'{"a":1}').replace(b"1", b"2"))
    (b'{"a":1}', None)
    """
    content = sealed.rpartition(b',"crc":')[0] + b"}"
    return content if seal(content) == sealed else None


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def cache_folder() -> Path:
    """``$DESCENTLAB_CACHE``, or ``descentlab`` in the user's cache folder."""
    if chosen := os.environ.get("DESCENTLAB_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "descentlab"


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """Settings by dotted key.

    >>> flat({"optimizer": {"lr": 0.1}, "seed": 0})
    [('optimizer.lr', 0.1), ('seed', 0)]
    """
    rows: list[tuple[str, object]] = []
    for name, value in settings.items():
        key = f"{prefix}{name}"
        rows += flat(value, f"{key}.") if isinstance(value, Mapping) else [(key, value)]
    return rows
