"""Pickled DataFrames are read as pandas reads them; the instructions as pickletools lists them."""

from __future__ import annotations

import math
import pickle
import pickletools
import secrets

import numpy as np
import pandas as pd
import pytest
from oracles.pickles import array_of, frame, in_frame, texts

from descentlab.analysis.imports.limited_process import answer, read_pickle
from descentlab.analysis.imports.pickle_scan import Refused, instructions
from descentlab.analysis.imports.table import Numbers, Table

PROTOCOLS = range(2, 6)


def assert_equal(table: Table, expected: pd.DataFrame) -> None:
    """Every cell, with its kind; arrays by shape and value."""
    assert list(table.columns) == list(expected.columns)
    assert table.rows == len(expected)
    for name in expected.columns:
        for ours, theirs in zip(table.columns[name], expected[name], strict=True):
            if isinstance(theirs, np.ndarray):
                assert isinstance(ours, Numbers)
                np.testing.assert_array_equal(ours.array(), theirs.astype(np.float64), strict=True)
                continue
            plain = theirs.item() if isinstance(theirs, np.generic) else theirs
            assert type(ours) is type(plain)
            assert ours == plain or (plain != plain and ours != ours)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_table_like_the_released_ones(protocol):
    made = frame(7)
    assert_equal(read_pickle(pickle.dumps(made, protocol)), made)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u1", "?"])
def test_every_kind_of_number(dtype, protocol):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    made = np.random.default_rng(seed).integers(0, 100, (5, 3)).astype(dtype)
    made = pd.DataFrame(made, columns=pd.Index(["a", "b", "c"], dtype=object))
    assert_equal(read_pickle(pickle.dumps(made, protocol)), made)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cells_of_every_kind(protocol):
    made = frame(
        4,
        mixed=texts([1, 2.5, "text", None]),
        scalars=texts([np.float64(3), np.float32(0.1), np.int8(-4), np.bool_(True)]),
        arrays=texts([np.array(math.nan), np.arange(3), np.zeros((2, 2), "f4"), np.empty(0)]),
        turned=texts([np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3).T, 0, 0]),
        extremes=[1e300, math.inf, -math.inf, math.nan],
        large=np.array([2**63 - 1, -(2**63), 0, 1]),
    )
    assert_equal(read_pickle(pickle.dumps(made, protocol)), made)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_blocks_in_any_order_and_memory(protocol):
    made = frame(9)
    shuffled = made[sorted(made.columns)].iloc[[4, 1, 7]]  # rows with an index of their own
    shuffled["after"] = texts(["x", "y", "z"])
    shuffled["others"] = texts(["u", "v", "w"])
    assert_equal(read_pickle(pickle.dumps(shuffled, protocol)), shuffled)
    cells = np.asfortranarray(made[["optim", "wd"]].to_numpy(dtype=object))
    for order in (cells, cells.copy(order="C")):
        turned = pd.DataFrame(
            order, columns=pd.Index(["optim", "wd"], dtype=object), dtype=object, copy=False
        )
        assert_equal(read_pickle(pickle.dumps(turned, protocol)), turned)


def test_a_table_written_by_hand():
    raw = in_frame(b"K\x07")
    assert pickle.loads(raw)["x"].tolist() == [7]
    assert read_pickle(raw) == Table({"x": [7]})


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (in_frame(b"K\x07", blocks=2), "two columns in one place"),
        (in_frame(b"K\x07", blocks=0), "lacks some of its columns"),
        (in_frame(b"K\x07", place=1), "columns where there are none"),
        (in_frame(b"K\x07K\x07"), "as many cells as its shape says"),
        (in_frame(array_of(1, bytes(16))), "as many bytes as its shape says"),
        (in_frame(array_of(2, bytes(8))), "as many bytes as its shape says"),
        (in_frame(array_of(2**40)), "a size in it is out of range"),
        (in_frame(array_of(-1)), "a size in it is out of range"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(raw, why):
    with pytest.raises(Refused, match=why):
        read_pickle(raw)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_instructions_are_those_that_pickletools_lists(protocol):
    raw = pickle.dumps(frame(5, points=3), protocol)
    listed = list(pickletools.genops(raw))
    found = list(instructions(raw))
    assert [(each.name, each.at) for each in found] == [(op.name, at) for op, _, at in listed]
    for ours, (_, theirs, _) in zip(found, listed, strict=True):
        if isinstance(ours.argument, tuple):
            assert " ".join(ours.argument) == theirs
        elif ours.argument is not None:
            assert ours.argument == theirs


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (pd.DataFrame({"x": ["text"]}), "no table of numbers needs"),  # by way of pyarrow
        (pd.DataFrame({"x": pd.to_datetime(["2025-01-01"])}), "no table of numbers needs"),
        (frame(2, x=texts([[1], [2]])), "it is not a DataFrame"),
        (frame(2, x=texts([1 + 2j, 2])), "no table of numbers needs"),
        (frame(2, x=np.zeros(2, "c16")), "elements of type 'c16'"),
        (frame(2, x=texts([np.array(["t"]), 0])), "elements of type 'U1'"),
        (frame(2)["lr"], "no table of numbers needs"),
        ({"lr": [1.0]}, "it is not a DataFrame"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(made, why):
    if isinstance(made, pd.DataFrame) and isinstance(made.columns.dtype, pd.StringDtype):
        made.columns = pd.Index(list(made.columns), dtype=object)
    with pytest.raises(Refused, match=why):
        read_pickle(pickle.dumps(made, 4))


def test_an_answer_tells_what_was_read():
    raw = pickle.dumps(frame(2), 5)
    found = answer(raw, read_pickle)
    assert found.bytes == len(raw)
    assert found.refused is None
    assert found.table is not None
    assert answer(raw[:-1], read_pickle).table is None
