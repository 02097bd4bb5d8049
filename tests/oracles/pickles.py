"""Pickles to read: tables like the released ones with made-up numbers, and hostile programs."""

from __future__ import annotations

import os
import pickle
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from descentlab.analysis.imports.pickle_scan import FORMS

ROOT = Path(__file__).parents[2]
PLACES = [root / "shared" / "released-runs" for root in (ROOT, ROOT.parent)]
RELEASED = Path(
    os.environ.get("DESCENTLAB_RELEASED_RUNS") or next(filter(Path.is_dir, PLACES), PLACES[0])
)
"""The paper's files, which are not ours to copy; tests that need them skip without.

They are looked for in ``shared/released-runs`` of the repository, or beside it.
"""


def texts(values):
    """A column of texts as the pandas of the released files held them."""
    return pd.Series(list(values), dtype=object)


def frame(rows=6, *, points=20, seed=0, **changes):
    """A table with the columns of a released file and made-up numbers."""
    random = np.random.default_rng(seed)
    curves = np.exp(random.normal(4, 1, (rows, points)))
    columns = {
        "optim": texts(["adamw"] * rows),
        "num_steps": np.full(rows, 6200),
        "bs": np.full(rows, 256),
        "lr": 2.0 ** -random.integers(6, 10, rows),
        "wd": np.full(rows, 0.1),
        "beta1": random.choice([0.9, 0.95], rows),
        "beta2": random.random(rows),
        "ppl_train": curves[:, -1],
        "ppl_all": pd.Series(list(curves), dtype=object),
        "ppl_test": random.uniform(20, 60, rows),
        **changes,
    }
    made = pd.DataFrame({name: value for name, value in columns.items() if value is not None})
    made.columns = pd.Index(list(made.columns), dtype=object)
    return made


def trusted(path: Path) -> pd.DataFrame:
    """What pandas reads from a file that is known to be harmless."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy.core has a new name
        return pd.read_pickle(path)


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


PROTO = b"\x80\x04"
STOP = b"."


def name(module: str, attribute: str) -> bytes:
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content.encode())) + content.encode()


def integer(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


NDARRAY = name("numpy.core.multiarray", "_reconstruct") + name("numpy", "ndarray")
DTYPE = (
    name("numpy", "dtype") + text("f8") + b"\x89\x88\x87R(K\x03" + text("<") + b"NNN"
    b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)


def array_of(count: int, content: bytes = bytes(8)) -> bytes:
    """An array of these bytes that is said to have ``count`` numbers."""
    state = b"(K\x01" + integer(count) + b"\x85" + DTYPE
    state += b"\x89C" + bytes([len(content)]) + content + b"t"
    return NDARRAY + b"K\x00\x85C\x01b\x87R" + state + b"b"


def in_frame(cell: bytes, *, blocks: int = 1, place: int = 0) -> bytes:
    """A pickled DataFrame of one column and one row with this cell, byte by byte.

    Args:
        cell: the instructions that make it.
        blocks: how often to give the column.
        place: of the column.
    """
    objects = DTYPE.replace(text("f8"), text("O8")).replace(text("<"), text("|"))
    objects = objects.replace(b"K\x00tb", b"K\x3ftb")

    def array(shape: bytes, cells: bytes) -> bytes:
        state = b"(K\x01" + shape + objects + b"\x89](" + cells + b"et"
        return NDARRAY + b"K\x00\x85C\x01b\x87R" + state + b"b"

    block = name("pandas._libs.internals", "_unpickle_block") + array(b"K\x01K\x01\x86", cell)
    block += (
        name("builtins", "slice") + integer(place) + integer(place + 1) + b"K\x01\x87RK\x02\x87R"
    )

    def index(cells: bytes) -> bytes:
        made = name("pandas.core.indexes.base", "_new_Index")
        made += name("pandas.core.indexes.base", "Index") + b"}(" + text("data")
        return made + array(b"K\x01\x85", cells) + text("name") + b"Nu\x86R"

    manager = (
        name("pandas.core.internals.managers", "BlockManager") + b"(" + block * blocks + b"t]("
    )
    manager += index(text("x")) + index(text("r")) + b"e\x86R"
    head = PROTO + name("pandas.core.frame", "DataFrame") + b")\x81}(" + text("_mgr")
    rest = text("_typ") + text("dataframe") + text("attrs") + b"}" + text("_metadata") + b"]"
    return (
        head
        + manager
        + rest
        + text("_flags")
        + b"}"
        + text("allows_duplicate_labels")
        + b"\x88sub."
    )


def hostile(marker: Path) -> dict[str, bytes]:
    """Pickles that would do harm, by what they would do; the first ones make ``marker``."""
    touch = f"touch {marker}"
    made = {
        f"runs a command, protocol {protocol}": pickle.dumps(Calls(os.system, touch), protocol)
        for protocol in range(6)
    }
    run = f"__import__('os').mkdir({str(marker)!r})"
    made |= {
        "evaluates": pickle.dumps(Calls(eval, run), 4),
        "evaluates in a cell": in_frame(name("builtins", "eval") + text(run) + b"\x85R"),
        "runs a command in a cell": in_frame(name("os", "system") + text(touch) + b"\x85R"),
        "instantiates": b"\x80\x02(" + text(touch) + b"ios\nsystem\n.",
        "makes an object": b"\x80\x02(" + name("os", "system") + text(touch) + b"o.",
        "looks an attribute up": PROTO + text("numpy") + text("ndarray.__class__") + b"\x93.",
        "reads another pickle": PROTO + name("pandas", "read_pickle") + text("x") + b"\x85R.",
        "rewrites a default argument": PROTO + name("numpy.core.numeric", "_frombuffer")
        + b"N}" + text("__defaults__") + name("numpy", "ndarray") + b"\x85s\x86b.",
        "rewrites a type's attribute": PROTO + name("pandas.core.frame", "DataFrame")
        + b"N}" + text("__setstate__") + name("numpy", "dtype") + b"s\x86b.",
        "calls what it made": PROTO + name("numpy", "dtype") + text("f8") + b"\x85R)R.",
        "uses the extension registry": PROTO + b"\x82\x01.",
        "uses the extension registry, 2": PROTO + b"\x83\x01\x00.",
        "uses the extension registry, 4": PROTO + b"\x84\x01\x00\x00\x00.",
        "has a persistent id": PROTO + text("x") + b"Q.",
        "has a persistent id in text": b"\x80\x02Pid\n.",
        "uses buffers out of band": b"\x80\x05\x97.",
        "takes keywords": PROTO + name("numpy", "dtype") + b")}\x92.",
    }  # fmt: skip
    return made | bombs() | tangles()


def bombs() -> dict[str, bytes]:
    """Pickles that would take much memory or time."""
    long = struct.pack("<Q", 2**60)
    shared = pickle.dumps(frame(400, ppl_all=texts([np.zeros(100_000)] * 400)), 5)
    doubled = b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86\x94" for n in range(1, 200))
    whole = pickle.dumps(frame(3), 4)
    return {
        "an array larger than its bytes": in_frame(array_of(2**40)),
        "an array of a negative size": in_frame(array_of(-1)),
        "a text of 2⁶⁰ bytes": PROTO + b"\x8d" + long + b"x.",
        "bytes of 2⁶⁰ bytes": PROTO + b"\x8e" + long + b"x.",
        "a bytearray of 2⁶⁰ bytes": b"\x80\x05\x96" + long + b"x.",
        "a frame of 2⁶⁰ bytes": PROTO + b"\x95" + long + b"N.",
        "an integer of 2³¹ bytes": PROTO + b"\x8b\xff\xff\xff\x7f\x01.",
        "an integer of 255 bytes": PROTO + b"\x8a\xff" + bytes(255) + b".",
        "an integer of many digits": b"\x80\x02I" + b"9" * 100_000 + b"\n.",
        "a place in the memo beyond all": PROTO + b"Nr\xff\xff\xff\xff.",
        "one array in all cells": shared,
        "tuples that double": PROTO + b"N\x94K\x01\x94" + doubled + b".",
        "nested tuples": PROTO + b"N" + b"\x85" * 100_000 + b".",
        "nested lists": PROTO + b"]" * 50_000 + b"a" * 49_999 + b".",
        "marks": PROTO + b"(" * 300_000 + b"N.",
        "many values": PROTO + b"(" + b"N" * 3_000_000 + b"t.",
        "many rows": whole.replace(b"K\x03\x8c\x04step", integer(2**40) + b"\x8c\x04step"),
    }


def tangles() -> dict[str, bytes]:
    """Pickles that are no tree, or are not whole."""
    dtype = name("numpy", "dtype") + text("f8") + b"\x85R\x94"
    whole = pickle.dumps(frame(2), 4)
    return {
        "a list in itself": PROTO + b"]\x94h\x00a.",
        "a list in itself, further down": PROTO + b"]\x94h\x00\x85a.",
        "a dict in itself": PROTO + b"}\x94" + text("x") + b"h\x00s.",
        "a call in its state": PROTO + dtype + b"h\x00\x85b.",
        "a state that is set twice": PROTO + dtype + b"K\x01bK\x02b.",
        "a state that is set later": PROTO + dtype + b"\x85h\x00K\x01b\x86.",
        "a list that grows later": PROTO + b"]\x94\x85h\x00K\x01a\x86.",
        "a key twice": PROTO + b"}(" + (text("x") + b"N") * 2 + b"u.",
        "a key that is no text": PROTO + b"})Ns.",
        "a key without a value": PROTO + b"}(" + text("x") + b"u.",
        "a value from below the mark": PROTO + b"N(\x85.",
        "a value that is not there": PROTO + b"\x85.",
        "a place that was never filled": PROTO + b"h\x07.",
        "a place that is filled twice": PROTO + b"Nq\x00q\x00.",
        "nothing": b"",
        "no program": PROTO + b".",
        "two values": PROTO + b"NN.",
        "a mark left": PROTO + b"N(.",
        "no end": PROTO + b"N",
        "cut off": whole[: len(whole) // 2],
        "two pickles": whole + whole,
        "a number alone": pickle.dumps(7),
        "a newer protocol": b"\x80\x06N.",
        "a protocol twice": PROTO + PROTO + b"N.",
        "no pickle": b"lr,beta1\n0.1,0.9\n",
        "zeros": bytes(1000),
    }


def mutant(raw: bytes, random: np.random.Generator, boundaries: list[int]) -> bytes:
    """Damage a pickle in one to three ways; half of them where an instruction begins."""
    content = bytearray(raw)
    for _ in range(int(random.integers(1, 4))):
        if len(content) < 4:
            break
        at = int(random.integers(len(content)))
        if random.random() < 0.5:
            at = min(int(random.choice(boundaries)), len(content) - 1)
        CHANGES[int(random.integers(len(CHANGES)))](content, at, random)
    return bytes(content)


def _flip(content, at, random):
    content[at] ^= 1 << int(random.integers(8))


def _replace(content, at, random):
    content[at] = int(random.integers(256))


def _insert(content, at, random):
    content[at:at] = random.bytes(int(random.integers(1, 9)))


def _delete(content, at, random):
    del content[at : at + int(random.integers(1, 30))]


def _cut(content, at, random):
    if random.random() < 0.2:
        del content[at:]


def _repeat(content, at, random):
    size = int(random.integers(1, 200))
    content[at:at] = content[at : at + size] * int(random.integers(1, 50))


def _move(content, at, random):
    other = int(random.integers(len(content)))
    size = int(random.integers(1, 100))
    content[at : at + size] = content[other : other + size]


def _number(content, at, random):
    size = int(random.choice([1, 2, 4, 8]))
    large = random.choice([0, 1, 0x7F, 0x80, 0xFF], size).astype(np.uint8).tobytes()
    content[at + 1 : at + 1 + size] = large


def _opcode(content, at, random):
    content[at] = int(random.choice(list(FORMS)))


CHANGES: tuple[Callable, ...] = (
    _flip, _replace, _insert, _delete, _cut, _repeat, _move, _number, _opcode, _opcode,
)  # fmt: skip
