"""SQL over a store: its runs, curves, studies and records as tables of DuckDB.

The tables are made anew for each query, in memory, and only those whose names are in it. A
query can change nothing in the store, and reach no file and no network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

from descentlab.analysis.frame import load, load_curves
from descentlab.errors import ConfigError
from descentlab.runs.folder import Attempt
from descentlab.runs.records import read_records
from descentlab.runs.store import Store
from descentlab.runs.studies import Entry

if TYPE_CHECKING:
    import duckdb

SAFE = MappingProxyType(
    {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
    }
)
"""What a query may not do: read or write files, fetch extensions, see our variables."""


def runs(store: Store) -> pd.DataFrame:
    """One row per run, as ``load`` gives them; settings and reported are JSON, notes lines."""
    frame = load(store).drop(columns=["studies", "entries"])
    for name in ("settings", "reported"):
        frame[name] = frame[name].map(lambda each: json.dumps(each or {}, default=str))
    frame["notes"] = frame["notes"].map("\n".join)
    return frame


def studies(store: Store) -> pd.DataFrame:
    """One row per run and part that it plays in a study, with what the study calls its method."""
    rows = [(*entry, run) for run, asked in store.entries_by_run().items() for entry in asked]
    return pd.DataFrame(rows, columns=[*Entry._fields, "run"], dtype="object")


def metrics(store: Store) -> pd.DataFrame:
    """One row per record of training: its step, loss, lr, gradient_norm, and so on."""
    return _records(store, lambda attempt: attempt.metrics)


def timing(store: Store) -> pd.DataFrame:
    """One row per record of what varies with the clock."""
    return _records(store, lambda attempt: attempt.timing)


def probes(store: Store) -> pd.DataFrame:
    """One row per record of probes."""
    return _records(store, lambda attempt: attempt.probes)


TABLES: Mapping[str, Callable[[Store], pd.DataFrame]] = MappingProxyType(
    {
        "runs": runs,
        "curves": load_curves,
        "studies": studies,
        "metrics": metrics,
        "timing": timing,
        "probes": probes,
    }
)
"""The tables that a query can name; the last three know our own runs alone."""


def query(store: Store, sql: str) -> pd.DataFrame:
    """Answer one SQL query over a store.

    Args:
        store: is only read.
        sql: in DuckDB's dialect, over ``TABLES``.

    Returns:
        What it selects.

    Raises:
        ConfigError: saying what DuckDB did not understand.
        CorruptError: if something that the query needs is damaged.
    """
    import duckdb

    with duckdb.connect(":memory:", config=dict(SAFE)) as connection:
        try:
            kinds = [each.type for each in connection.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:
                raise ConfigError("query: give one query that selects, as SELECT or DESCRIBE does")
            words = set(re.findall(r"\w+", sql.lower()))
            for name in TABLES.keys() & words:
                _make_table(connection, name, TABLES[name](store))
            return connection.execute(sql).df()
        except duckdb.Error as error:
            raise ConfigError(f"query: {_in_one_line(error)}") from None


def columns(store: Store) -> dict[str, dict[str, str]]:
    """The columns of each table with DuckDB's name of their type."""
    return {
        name: dict(
            query(store, f"SELECT column_name, column_type FROM (DESCRIBE {name})").to_numpy()
        )
        for name in TABLES
    }


def _make_table(connection: duckdb.DuckDBPyConnection, name: str, frame: pd.DataFrame) -> None:
    """Texts are told to be texts: a column without any would get the type of nothing."""
    quoted = [
        f'CAST("{column}" AS VARCHAR) AS "{column}"' if kind.kind == "O" else f'"{column}"'
        for column, kind in frame.dtypes.items()
    ]
    connection.register(f"{name} in memory", frame)
    connection.execute(f'CREATE TABLE {name} AS SELECT {", ".join(quoted)} FROM "{name} in memory"')


def _records(store: Store, file: Callable[[Attempt], Path]) -> pd.DataFrame:
    """The valid records of each run's newest attempt, or of the one that finished it."""
    parts: list[dict[str, Any]] = []
    for run_id in store.run_ids():
        if (attempt := store.latest_attempt(run_id)) is not None:
            parts += ({"run": run_id, **each} for each in read_records(file(attempt)).records)
    if not parts:
        return pd.DataFrame({"run": pd.Series(dtype="object"), "step": pd.Series(dtype="Int64")})
    return pd.DataFrame.from_records(parts).convert_dtypes()


def _in_one_line(error: Exception) -> str:
    """DuckDB's message without its drawing of the query."""
    said = str(error).split("\n\nLINE ")[0].split("\nLINE ")[0]
    return " ".join(said.split())
