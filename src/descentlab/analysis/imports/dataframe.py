"""The records of a pickled pandas DataFrame → columns of plain cells.

A DataFrame pickles as a manager of blocks: arrays ``[columns, rows]``, each with the places of
its columns, and two axes. Arrays are numbers in a buffer or lists of cells. Every shape is
checked against the bytes that are there before anything is made.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from descentlab.analysis.imports.pickle_reader import Call, Entries, Listing, Name, Row, Value
from descentlab.analysis.imports.pickle_scan import Refused
from descentlab.analysis.imports.table import Cell, Numbers, Table

MOST_VALUES = 2_000_000
"""Cells, and numbers in them, of one table; the paper's largest has 155,000."""

NAMES = {
    ("pandas", "DataFrame"): "DataFrame",
    ("pandas.core.frame", "DataFrame"): "DataFrame",
    ("pandas.core.internals.managers", "BlockManager"): "BlockManager",
    ("pandas._libs.internals", "_unpickle_block"): "block",
    ("pandas.core.indexes.base", "_new_Index"): "new index",
    ("pandas", "Index"): "Index",
    ("pandas.core.indexes.base", "Index"): "Index",
    ("pandas.core.indexes.numeric", "Int64Index"): "Index",
    ("pandas", "RangeIndex"): "RangeIndex",
    ("pandas.core.indexes.range", "RangeIndex"): "RangeIndex",
    ("numpy", "dtype"): "dtype",
    ("numpy", "ndarray"): "ndarray",
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy.core.multiarray", "scalar"): "scalar",
    ("numpy._core.multiarray", "scalar"): "scalar",
    ("numpy.core.numeric", "_frombuffer"): "buffer",
    ("numpy._core.numeric", "_frombuffer"): "buffer",
    ("builtins", "slice"): "slice",
    ("__builtin__", "slice"): "slice",
    ("_codecs", "encode"): "bytes",
    ("__builtin__", "bytes"): "bytes",
}
"""The globals in pickles of DataFrames, from pandas 1.3 and numpy 1.19 on."""


def table(value: Value) -> Table:
    """Read the records of a DataFrame.

    Raises:
        Refused: if they are not those of a DataFrame of numbers, texts and arrays of numbers.
    """
    frame = _call(value, "DataFrame", 0)
    if not isinstance(frame.state, Entries):
        raise Refused("its table has no content")
    manager = _call(frame.state.values.get("_mgr"), "BlockManager", 2)
    blocks, axes = manager.arguments
    if manager.state is not None or not isinstance(blocks, Row) or not isinstance(axes, Listing):
        raise Refused("its table is not made of blocks and axes")
    if len(axes.items) != 2:
        raise Refused("its table has not two axes")
    reader = _Arrays()
    names = reader.labels(axes.items[0])
    rows = reader.length(axes.items[1])
    columns: dict[int, list[Cell]] = {}
    for block in blocks.items:
        for place, cells in reader.block(block, len(names), rows):
            if place in columns:
                raise Refused("its table has two columns in one place")
            columns[place] = cells
    if len(columns) != len(names):
        raise Refused("its table lacks some of its columns")
    return Table({name: columns[place] for place, name in enumerate(names)})


def _call(value: Value, name: str, arguments: int) -> Call:
    if not isinstance(value, Call) or value.name != name or len(value.arguments) != arguments:
        raise Refused(f"it is not a DataFrame: where it should have a {name}, it has another thing")
    return value


def _size(value: Value, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST_VALUES:
        raise Refused("a size in it is out of range")
    return value


class _Arrays:
    """Makes arrays of their records, and counts what has been made.

    One record may be used many times over, so that a small file could stand for a huge table.
    """

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Refused(f"its table has more than {MOST_VALUES:,} values")

    def labels(self, value: Value) -> list[str]:
        """The names of the columns."""
        call = _call(value, "new index", 2)
        kind, content = call.arguments
        if not isinstance(kind, Name) or kind.name != "Index" or not isinstance(content, Entries):
            raise Refused("its columns have no names")
        names = self.array(content.values.get("data"))
        if names.ndim != 1 or names.dtype.kind != "O":
            raise Refused("its columns have names that are no texts")
        found = names.tolist()
        if not all(isinstance(name, str) for name in found) or len({*found}) != len(found):
            raise Refused("its columns have names that are no texts, or one name twice")
        return found

    def length(self, value: Value) -> int:
        """How many rows there are; what they are called is of no interest."""
        call = _call(value, "new index", 2)
        kind, content = call.arguments
        if not isinstance(kind, Name) or not isinstance(content, Entries):
            raise Refused("its rows have no index")
        if kind.name == "RangeIndex":
            return len(_range([content.values.get(each) for each in ("start", "stop", "step")]))
        if kind.name != "Index":
            raise Refused("its rows have no index")
        return len(self.vector(content.values.get("data")))

    def block(self, value: Value, columns: int, rows: int) -> list[tuple[int, list[Cell]]]:
        """The columns of one block, with their places."""
        block = _call(value, "block", 3)
        array = self.array(block.arguments[0])
        places = self.places(block.arguments[1])
        if block.state is not None or block.arguments[2] != 2 or array.shape != (len(places), rows):
            raise Refused("a block of its table does not have the shape of its columns")
        if any(not 0 <= place < columns for place in places):
            raise Refused("a block of its table has columns where there are none")
        return [(place, array[n].tolist()) for n, place in enumerate(places)]

    def places(self, value: Value) -> list[int]:
        if isinstance(value, Call) and value.name == "slice" and len(value.arguments) == 3:
            places = _range(value.arguments)
            self._spend(len(places))
            return list(places)
        found = self.vector(value)
        if found.dtype.kind not in "iu":
            raise Refused("the places of its columns are no integers")
        return found.tolist()

    def vector(self, value: Value) -> NDArray[Any]:
        array = self.array(value)
        if array.ndim != 1:
            raise Refused("an index of it is not one-dimensional")
        return array

    def array(self, value: Value) -> NDArray[Any]:
        """Make an array of at most two dimensions; one of objects holds cells."""
        if isinstance(value, Call) and value.name == "buffer" and len(value.arguments) == 4:
            content, kind, shape, order = value.arguments
            in_columns, state = order == "F", value.state
            if state is not None or order not in ("C", "F"):
                raise Refused("an array in it is neither in rows nor in columns")
        else:
            empty = _call(value, "array", 3)
            if not isinstance(empty.state, Row) or len(empty.state.items) != 5:
                raise Refused("an array in it has no content")
            version, shape, kind, in_columns, content = empty.state.items
            if version != 1 or not isinstance(in_columns, bool):
                raise Refused("an array in it is of an unknown version")
        if not isinstance(shape, Row) or len(shape.items) > 2:
            raise Refused("an array in it has more than two dimensions")
        sizes = [_size(each) for each in shape.items]
        self._spend(max(1, math.prod(sizes)))
        dtype = _dtype(kind)
        flat = self._flat(content, dtype, math.prod(sizes))
        # A list of cells is in the order of rows, however the array lay in memory.
        return flat.reshape(sizes, order="F" if in_columns and dtype.kind != "O" else "C")

    def _flat(self, content: Value, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        if dtype.kind == "O":
            if not isinstance(content, Listing) or len(content.items) != count:
                raise Refused("an array in it does not have as many cells as its shape says")
            cells = np.empty(count, dtype=object)
            for place, item in enumerate(content.items):
                cells[place] = self.cell(item)
            return cells
        buffer = _bytes(content)
        if len(buffer) != count * dtype.itemsize:
            raise Refused("an array in it does not have as many bytes as its shape says")
        if dtype.kind == "b" and not {*buffer} <= {0, 1}:
            raise Refused("a truth value in it is neither true nor false")
        return np.frombuffer(buffer, dtype=dtype) if count else np.empty(0, dtype=dtype)

    def cell(self, value: Value) -> Cell:
        """A number, a text, nothing, or an array of numbers."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Call) and value.name == "scalar" and len(value.arguments) == 2:
            dtype = _dtype(value.arguments[0])
            if dtype.kind == "O":
                raise Refused("a number in it is none")
            return self._flat(value.arguments[1], dtype, 1)[0].item()
        array = self.array(value)
        if array.dtype.kind == "O":
            raise Refused("a cell of it holds cells")
        values = np.ascontiguousarray(array, dtype="<f8").tobytes()
        return Numbers(shape=list(array.shape), values=values)


def _range(bounds: list[Value]) -> range:
    start, stop, step = bounds
    return range(_size(start), _size(stop), 1 if step is None else _size(step, least=1))


def _dtype(value: Value) -> np.dtype[Any]:
    """Numbers of 1 to 8 bytes, truth values, or objects."""
    dtype = _call(value, "dtype", 3)
    code = dtype.arguments[0]
    if not isinstance(code, str) or not re.fullmatch(r"[fiu][1248]|b1|O8?", code) or code == "f1":
        raise Refused(f"an array in it has elements of type {code!r}; numbers are read")
    state = dtype.state
    if not isinstance(state, Row) or len(state.items) != 8 or state.items[0] != 3:
        raise Refused("a type of elements in it is of an unknown version")
    order = state.items[1]
    if order not in ("<", ">", "=", "|") or state.items[2:5] != [None, None, None]:
        raise Refused("a type of elements in it is no plain number")
    return np.dtype(object) if code[0] == "O" else np.dtype(f"{order}{code}")


def _bytes(value: Value) -> bytes:
    """Bytes, which protocol 2 writes as text in Latin-1, or as a call without arguments."""
    if isinstance(value, Call) and value.name == "bytes" and len(value.arguments) in (0, 2):
        text, encoding = value.arguments or ("", "latin1")
        if value.state is None and isinstance(text, str) and encoding == "latin1":
            try:
                return text.encode("latin-1")
            except UnicodeEncodeError:
                raise Refused("bytes in it are none") from None
    if not isinstance(value, bytes):
        raise Refused("an array in it has no bytes")
    return value
