"""Parquet → columns of plain cells, inside the limited process.

A module of its own: whoever imports it imports DuckDB, which must be there before the limits.
"""

from __future__ import annotations

import re

import duckdb

from descentlab.analysis.imports.pickle_scan import Refused
from descentlab.analysis.imports.table import Table
from descentlab.analysis.imports.text_tables import MOST_CELLS, MOST_COLUMNS, checked


def read_parquet(raw: bytes) -> Table:
    """Read a Parquet file from standard input; columns that are no numbers or texts are left out.

    Raises:
        Refused: if it is none, or too large.
    """
    connection = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "64MB"})
    file = "read_parquet('/dev/fd/0', hive_partitioning = false)"
    try:
        found = connection.execute(f"describe select * from {file}").fetchall()
        kinds = {str(name): _sql_type(str(kind)) for name, kind, *_ in found}
        names = [name for name, kind in kinds.items() if kind]
        [[rows]] = connection.execute(f"select count(*) from {file}").fetchall()
        if not names or len(names) > MOST_COLUMNS or rows * len(names) > MOST_CELLS:
            raise Refused(f"it has no columns, or more than {MOST_COLUMNS:,}, or too many cells")
        quoted = [(name.replace('"', '""'), kinds[name]) for name in names]
        casts = ", ".join(f'"{name}"::{kind}' for name, kind in quoted)
        lines = connection.execute(f"select {casts} from {file}").fetchall()
    except duckdb.Error as error:
        raise Refused(f"it is not Parquet: {str(error).splitlines()[0][:200]}") from None
    columns = zip(*lines, strict=True) if lines else [() for _ in names]
    return checked({name: list(cells) for name, cells in zip(names, columns, strict=True)})


def _sql_type(kind: str) -> str | None:
    """What to read a column as; None if it is to be left out."""
    if kind in ("VARCHAR", "BOOLEAN"):
        return kind
    if re.fullmatch(r"U?(TINY|SMALL|BIG)?INT|U?INTEGER", kind):
        return "BIGINT" if kind != "UBIGINT" else "DOUBLE"
    return "DOUBLE" if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL") else None
