"""What a pickle consists of, instruction by instruction, without doing any of it.

A pickle is a program for a small stack machine. A table of numbers needs few of its
instructions; one with any other is refused, and so is one whose lengths do not fit its size.
The instructions and their arguments are described in the standard library's ``pickletools``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

MOST_INSTRUCTIONS = 200_000
"""The paper's largest file has 4,600."""
LONGEST_LINE = 200
"""Bytes of a module's or a global's name."""
PROTOCOLS = range(2, 6)

Argument = Literal["none", "number", "bytes", "text", "integer", "two lines"]


class Form(NamedTuple):
    """How an instruction is written after its byte."""

    name: str
    argument: Argument = "none"
    layout: str = ""
    """Of the number, or of the length of what follows, as ``struct`` names it."""


class Instruction(NamedTuple):
    """One instruction, its argument and its place."""

    name: str
    argument: int | float | str | bytes | tuple[str, str] | None
    at: int


class Refused(Exception):
    """Why a file is not read."""


FORMS = {
    0x80: Form("PROTO", "number", "<B"),
    0x95: Form("FRAME", "number", "<Q"),
    0x2E: Form("STOP"),
    0x28: Form("MARK"),
    0x4E: Form("NONE"),
    0x88: Form("NEWTRUE"),
    0x89: Form("NEWFALSE"),
    0x4B: Form("BININT1", "number", "<B"),
    0x4D: Form("BININT2", "number", "<H"),
    0x4A: Form("BININT", "number", "<i"),
    0x8A: Form("LONG1", "integer", "<B"),
    0x47: Form("BINFLOAT", "number", ">d"),
    0x8C: Form("SHORT_BINUNICODE", "text", "<B"),
    0x58: Form("BINUNICODE", "text", "<I"),
    0x8D: Form("BINUNICODE8", "text", "<Q"),
    0x43: Form("SHORT_BINBYTES", "bytes", "<B"),
    0x42: Form("BINBYTES", "bytes", "<I"),
    0x8E: Form("BINBYTES8", "bytes", "<Q"),
    0x96: Form("BYTEARRAY8", "bytes", "<Q"),
    0x29: Form("EMPTY_TUPLE"),
    0x85: Form("TUPLE1"),
    0x86: Form("TUPLE2"),
    0x87: Form("TUPLE3"),
    0x74: Form("TUPLE"),
    0x5D: Form("EMPTY_LIST"),
    0x61: Form("APPEND"),
    0x65: Form("APPENDS"),
    0x7D: Form("EMPTY_DICT"),
    0x73: Form("SETITEM"),
    0x75: Form("SETITEMS"),
    0x94: Form("MEMOIZE"),
    0x71: Form("BINPUT", "number", "<B"),
    0x72: Form("LONG_BINPUT", "number", "<I"),
    0x68: Form("BINGET", "number", "<B"),
    0x6A: Form("LONG_BINGET", "number", "<I"),
    0x63: Form("GLOBAL", "two lines"),
    0x93: Form("STACK_GLOBAL"),
    0x52: Form("REDUCE"),
    0x81: Form("NEWOBJ"),
    0x62: Form("BUILD"),
}
"""The instructions that a table of numbers needs, by their byte."""


def scan(raw: bytes) -> int:
    """Go through a whole pickle, and count its instructions.

    Raises:
        Refused: if it is not one, is cut off, goes on after its end, or holds an instruction or
            a length that a table of numbers does not need.
    """
    return sum(1 for _ in instructions(raw))


def instructions(raw: bytes) -> Iterator[Instruction]:
    """Yield the instructions of a pickle.

    Raises:
        Refused: as ``scan`` does, once it gets there.
    """
    if raw[:1] != b"\x80":
        raise Refused("it is not a pickle of protocol 2 to 5")
    at = count = 0
    while True:
        instruction, after = _instruction(raw, at)
        count += 1
        if count > MOST_INSTRUCTIONS:
            raise Refused(f"it has more than {MOST_INSTRUCTIONS:,} instructions")
        if instruction.name == "PROTO" and (count > 1 or instruction.argument not in PROTOCOLS):
            raise Refused(f"its protocol is {instruction.argument}; 2 to 5 are read, said once")
        yield instruction
        at = after
        if instruction.name == "STOP":
            break
    if at != len(raw):
        raise Refused(f"it goes on for {len(raw) - at:,} bytes after its end")


def _instruction(raw: bytes, at: int) -> tuple[Instruction, int]:
    """Decode the instruction at a place, and say where the next one is."""
    if at >= len(raw):
        raise Refused("it is cut off")
    if raw[at] not in FORMS:
        raise Refused(
            f"it has the instruction {raw[at]:#04x} at byte {at:,}, which no table of numbers needs"
        )
    name, argument, layout = FORMS[raw[at]]
    at, start = at + 1, at
    if argument == "none":
        return Instruction(name, None, start), at
    if argument == "two lines":
        module, at = _line(raw, at)
        attribute, at = _line(raw, at)
        return Instruction(name, (module, attribute), start), at
    head = struct.calcsize(layout)
    if at + head > len(raw):
        raise Refused("it is cut off")
    number = struct.unpack_from(layout, raw, at)[0]
    at += head
    if name == "FRAME" and number > len(raw) - at:
        raise Refused("it is cut off")
    if argument == "number":
        return Instruction(name, number, start), at
    if number > len(raw) - at:
        raise Refused(f"it is cut off: {number:,} bytes are said to follow byte {at:,}")
    content = raw[at : at + number]
    return Instruction(name, _decoded(argument, content, start), start), at + number


def _decoded(argument: Argument, content: bytes, at: int) -> int | str | bytes:
    if argument == "bytes":
        return content
    if argument == "integer":
        if len(content) > 8:
            raise Refused(f"the integer at byte {at:,} has more than 64 bits")
        return int.from_bytes(content, "little", signed=True)
    return _text(content, at)


def _line(raw: bytes, at: int) -> tuple[str, int]:
    end = raw.find(b"\n", at, at + LONGEST_LINE)
    if end < 0:
        raise Refused(f"the name at byte {at:,} does not end")
    return _text(raw[at:end], at), end + 1


def _text(content: bytes, at: int) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(f"the text at byte {at:,} is not UTF-8") from None
