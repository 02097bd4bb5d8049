"""The parser of ``descent``, without what its commands do."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

import tyro

from descentlab.cli.main import COMMANDS, assignments_first


def parse(words: list[str]) -> None:
    """Parse what comes after ``descent`` as the program does, and run nothing.

    Raises:
        SystemExit: with 2 for what the program would refuse.
    """
    if words == ["--version"]:
        return
    name, function = command_of(words)
    arguments = assignments_first(words)[len(name) :]
    tyro.cli(_stand_in(function), args=arguments, prog=" ".join(["descent", *name]))


def command_of(words: list[str]) -> tuple[tuple[str, ...], Callable[..., Any]]:
    """The command that some words begin with, as in ``data prepare``."""
    for length in (2, 1):
        if function := every_command().get(tuple(words[:length])):
            return tuple(words[:length]), function
    raise SystemExit(2)


@functools.cache
def every_command() -> dict[tuple[str, ...], Callable[..., Any]]:
    """Every command, those within others too, and what does it."""
    found: dict[tuple[str, ...], Callable[..., Any]] = {}
    for name, function in COMMANDS.items():
        found[(name,)] = function
        for hint in get_type_hints(function, include_extras=True).values():
            found |= {(name, inner): each for inner, each in _inner(hint)}
    return found


def _inner(hint: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The commands that an annotation lists."""
    for each in get_args(hint):
        yield from _inner(each)
    for each in getattr(hint, "__metadata__", ()):
        if factory := getattr(each, "constructor_factory", None):
            yield each.name, factory()


def _stand_in(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def nothing(*args: Any, **settings: Any) -> None:
        pass

    return nothing
