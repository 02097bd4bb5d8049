"""What every reader of a file gives: named columns of plain cells."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Format = Literal["pickle", "csv", "jsonl", "parquet"]


class Numbers(msgspec.Struct, frozen=True):
    """An array of numbers in a cell: its shape, and its values as little-endian float64."""

    shape: list[int]
    values: bytes

    def array(self) -> NDArray[np.float64]:
        return np.frombuffer(self.values, dtype="<f8").reshape(self.shape).astype(np.float64)


Cell = None | bool | int | float | str | Numbers


class Table(msgspec.Struct, frozen=True):
    """A table by its columns, all of one length."""

    columns: dict[str, list[Cell]]

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values()), []))
