"""What every command takes, read from the signatures of the functions behind it."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

(_, POSITIONAL) = get_args(tyro.conf.Positional[Any])
"""What tyro puts beside the type of an argument that is no option."""


@dataclass(frozen=True)
class Parameter:
    """One argument or option of a command."""

    name: str
    """As the shell sees it, without the dashes of an option."""
    help: str
    """Its first line; empty if there is none."""
    words: tuple[str, ...] = ()
    """All that it may be; empty if that is not a choice."""
    is_path: bool = False
    is_switch: bool = False
    """Whether it takes no value."""


@dataclass(frozen=True)
class Command:
    """One command, or one of a command's own."""

    name: str
    """With the command that it belongs to, as in ``data prepare``."""
    help: str
    """Its first sentence."""
    arguments: tuple[Parameter, ...]
    options: tuple[Parameter, ...]


def surface(commands: Mapping[str, Callable[..., None]]) -> list[Command]:
    """Every command, those of a command after it."""
    return [each for name, function in commands.items() for each in _commands(name, function)]


def _commands(name: str, function: Callable[..., None]) -> Iterator[Command]:
    hints = get_type_hints(function, include_extras=True)
    hints.pop("return", None)
    inner: dict[str, Callable[..., None]] = {}
    arguments: list[Parameter] = []
    options: list[Parameter] = []
    helps = _helps(function)
    for key, hint in hints.items():
        kind, marks = _unwrapped(hint)
        if found := _subcommands(kind):
            inner |= found
        elif isinstance(kind, type) and is_dataclass(kind):
            options += _of_dataclass(kind)
        elif POSITIONAL in marks:
            arguments.append(_parameter(key, kind, helps))
        else:
            options.append(_parameter(key.replace("_", "-"), kind, helps))
    summary = _first_line(inspect.getdoc(function) or "")
    yield Command(name, summary, tuple(arguments), tuple(options))
    for own, constructor in inner.items():
        yield from _commands(f"{name} {own}", constructor)


def _unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """An annotation without what stands beside the type, and that."""
    marks: tuple[Any, ...] = ()
    while get_origin(hint) is Annotated:
        hint, *found = get_args(hint)
        marks += tuple(found)
    return hint, marks


def _subcommands(kind: Any) -> dict[str, Callable[..., None]]:
    """The commands that a union of them names."""
    found = {}
    for each in _options_of(kind):
        _, marks = _unwrapped(each)
        for mark in marks:
            if factory := getattr(mark, "constructor_factory", None):
                found[mark.name] = factory()
    return found


def _options_of(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _of_dataclass(kind: type) -> list[Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    helps = dict(re.findall(r'^    (\w+): .*\n    """(.*?)[;.:]?(?:"""|\n)', _source(kind), re.M))
    names = [field.name for field in fields(kind)]
    return [_parameter(each.replace("_", "-"), _unwrapped(hints[each])[0], helps) for each in names]


def _source(kind: type) -> str:
    """The text of a class and of those that it is derived from."""
    return "".join(inspect.getsource(each) for each in kind.__mro__[:-1])


def _parameter(name: str, kind: Any, helps: Mapping[str, str]) -> Parameter:
    members = [member for each in _options_of(kind) for member in _members(each)]
    literals = [each for each in members if get_origin(each) is Literal]
    return Parameter(
        name=name,
        help=helps.get(name.replace("-", "_"), ""),
        words=tuple(str(word) for each in literals for word in get_args(each)),
        is_path=any(isinstance(each, type) and issubclass(each, Path) for each in members),
        is_switch=kind is bool,
    )


def _members(kind: Any) -> tuple[Any, ...]:
    """The types of a tuple's entries, or the type itself."""
    return tuple(_options_of(get_args(kind)[0])) if get_origin(kind) is tuple else (kind,)


def _helps(function: Callable[..., None]) -> dict[str, str]:
    """What a docstring says of each argument, in one line."""
    _, _, said = (inspect.getdoc(function) or "").partition("Args:\n")
    return {name: _first_line(text) for name, text in re.findall(r"^    (\w+): (.*)$", said, re.M)}


def _first_line(text: str) -> str:
    return re.split(r"[.;] |[.;:]?\n", text.strip() + "\n")[0].rstrip(".;:")
