"""A pickle → inert records: what it says it would call, and with what, without calling it.

The stack machine of a pickle is run over records that can do nothing. A global is looked up in
a list of names and stands for itself. Nothing may be changed once it has been put into
something else, so that records hold no cycles and cannot be rewritten through the memo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from descentlab.analysis.imports.pickle_scan import Refused, instructions

DEEPEST = 32
"""Levels of records within records; a table has about 12."""


class Record:
    """Something made of others."""

    __slots__ = ("depth", "settled")

    def __init__(self) -> None:
        self.depth = 1
        self.settled = False
        """Whether it is part of something, and so may not change any more."""

    def hold(self, parts: Iterable[Value]) -> None:
        """Take note of new parts.

        Raises:
            Refused: if it is one of them, or would be too deep.
        """
        for part in parts:
            if isinstance(part, Record):
                if part is self:
                    raise Refused("a record in it holds itself")
                part.settled = True
                self.depth = max(self.depth, part.depth + 1)
        if self.depth > DEEPEST:
            raise Refused(f"records in it are nested more than {DEEPEST} deep")


class Name(Record):
    """One of the globals that a reader knows, by the reader's name for it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Row(Record):
    """A tuple."""

    __slots__ = ("items",)

    def __init__(self, items: list[Value]) -> None:
        super().__init__()
        self.items = items
        self.hold(items)


class Listing(Record):
    """A list."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Value] = []


class Entries(Record):
    """A dict with texts as keys."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Value] = {}


class Call(Record):
    """What would have been called, with which arguments, and what state it would have got."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: Name, arguments: Row) -> None:
        super().__init__()
        self.name = name.name
        self.arguments = arguments.items
        self.state: Value = None
        self.hold([arguments])


Value = None | bool | int | float | str | bytes | Record
R = TypeVar("R", bound=Record)


def read(raw: bytes, names: Mapping[tuple[str, str], str]) -> Value:
    """Read a pickle as inert records.

    Args:
        raw: the pickle.
        names: the globals that may occur, as (module, name), and what to call them.

    Raises:
        Refused: if it names another, or does not hold together.
    """
    machine = _Machine(names)
    for instruction in instructions(raw):
        ACTIONS[instruction.name](machine, instruction.argument)
    if len(machine.stack) != 1 or machine.marks:
        raise Refused("its instructions leave no single value")
    return machine.stack[0]


class _Machine:
    """The stack, the marks on it, and what was put aside to be used again."""

    def __init__(self, names: Mapping[tuple[str, str], str]) -> None:
        self.names = names
        self.stack: list[Value] = []
        self.marks: list[int] = []
        self.memo: dict[int, Value] = {}

    def push(self, value: Value) -> None:
        self.stack.append(value)

    def mark(self, _: object) -> None:
        self.marks.append(len(self.stack))

    def take(self, count: int) -> list[Value]:
        """Pop the last few values, down to the last mark at most."""
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise Refused("an instruction in it has too few values")
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def take_marked(self) -> list[Value]:
        """Pop all values down to the last mark, and the mark."""
        if not self.marks:
            raise Refused("an instruction in it misses its mark")
        taken = self.take(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return taken

    def open(self, kind: type[R]) -> R:
        """The value on top, which must be of a kind and not part of anything yet."""
        [value] = self.take(1)
        self.push(value)
        if not isinstance(value, kind) or value.settled:
            raise Refused("it changes a value that is no such thing, or is part of another")
        return value

    def row(self, items: list[Value]) -> None:
        self.push(Row(items))

    def append(self, items: list[Value]) -> None:
        listing = self.open(Listing)
        listing.items += items
        listing.hold(items)

    def set_items(self, items: list[Value]) -> None:
        entries = self.open(Entries)
        for key, value in zip(items[::2], items[1::2], strict=False):
            if not isinstance(key, str) or key in entries.values:
                raise Refused("a dict in it has a key twice, or one that is no text")
            entries.values[key] = value
        if len(items) % 2:
            raise Refused("a dict in it has a key without a value")
        entries.hold(items)

    def memoize(self, place: int | None) -> None:
        [value] = self.take(1)
        self.push(value)
        place = len(self.memo) if place is None else place
        if place in self.memo:
            raise Refused("it puts two values aside in one place")
        self.memo[place] = value

    def get(self, place: int) -> None:
        if place not in self.memo:
            raise Refused("it uses a value that it has not put aside")
        self.push(self.memo[place])

    def name(self, whole: tuple[str, str]) -> None:
        if whole not in self.names:
            raise Refused(f"it names {'.'.join(whole)!r}, which no table of numbers needs")
        self.push(Name(self.names[whole]))

    def name_on_stack(self, _: object) -> None:
        module, attribute = self.take(2)
        if not isinstance(module, str) or not isinstance(attribute, str):
            raise Refused("a name in it is no text")
        self.name((module, attribute))

    def call(self, _: object) -> None:
        name, arguments = self.take(2)
        if not isinstance(name, Name) or not isinstance(arguments, Row):
            raise Refused("it calls something that is no name")
        self.push(Call(name, arguments))

    def build(self, _: object) -> None:
        [state] = self.take(1)
        call = self.open(Call)
        if call.state is not None or state is None:
            raise Refused("it rewrites a value")
        call.state = state
        call.hold([state])


def _constant(value: Value) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(value)


def _ignore(machine: _Machine, argument: object) -> None:
    """Frames and the protocol tell a reader how much to buffer, and nothing else."""


LITERALS = (
    *("BININT1", "BININT2", "BININT", "LONG1", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)

ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _ignore),
    **dict.fromkeys(LITERALS, _Machine.push),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "MARK": _Machine.mark,
    "EMPTY_TUPLE": lambda machine, _: machine.row([]),
    "TUPLE1": lambda machine, _: machine.row(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.row(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.row(machine.take(3)),
    "TUPLE": lambda machine, _: machine.row(machine.take_marked()),
    "EMPTY_LIST": lambda machine, _: machine.push(Listing()),
    "APPEND": lambda machine, _: machine.append(machine.take(1)),
    "APPENDS": lambda machine, _: machine.append(machine.take_marked()),
    "EMPTY_DICT": lambda machine, _: machine.push(Entries()),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.take_marked()),
    "MEMOIZE": _Machine.memoize,
    "BINPUT": _Machine.memoize,
    "LONG_BINPUT": _Machine.memoize,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_on_stack,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
}
