"""``descent query``: SQL over a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    import pandas as pd

    from descentlab.runs.store import Store


def query(
    store: Annotated[Path, tyro.conf.Positional],
    sql: Annotated[str, tyro.conf.Positional] = "",
    *,
    format: Literal["text", "csv", "json"] = "text",
    rows: int = 40,
) -> None:
    """Ask a store in SQL; without a query, list its tables and their columns.

    For example: descent query store "SELECT method, min(perplexity) FROM runs GROUP BY method".
    The dialect is DuckDB's. A query changes nothing.

    Args:
        store: the folder of runs.
        sql: the query.
        format: text for people; csv and json hold every row.
        rows: how many to show as text; 0 shows all.
    """
    from descentlab.analysis.query import query as answer
    from descentlab.errors import ConfigError
    from descentlab.runs.store import Store

    if rows < 0:
        raise ConfigError(f"rows: got {rows}; give how many to show, or 0 for all")
    opened = Store(store)
    if not sql.strip():
        _list_tables(opened)
        return
    found = answer(opened, sql)
    if format == "csv":
        print(found.to_csv(index=False), end="")
    elif format == "json":
        print(found.to_json(orient="records", double_precision=15, date_format="iso"))
    else:
        _show(found, rows)


def _list_tables(store: Store) -> None:
    from descentlab.analysis.query import columns

    for name, found in columns(store).items():
        print(f"{name}: {', '.join(f'{column} {kind}' for column, kind in found.items())}")


def _show(found: pd.DataFrame, rows: int) -> None:
    from descentlab.cli.contents import visible
    from descentlab.cli.table import aligned

    shown = found.head(rows) if rows else found
    cells = [[visible(_cell(each)).replace("\n", " ") for each in row] for row in shown.to_numpy()]
    texts = {place for place, kind in enumerate(found.dtypes) if kind.kind not in "iufb"}
    print(aligned([visible(str(name)) for name in found.columns], cells, texts))
    if len(shown) < len(found):
        print(f"{len(found) - len(shown):,} more of {len(found):,} rows; --rows 0 shows all")


def _cell(value: object) -> str:
    import pandas as pd

    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return "" if value is None or value is pd.NA else str(value)
