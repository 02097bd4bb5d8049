"""SQL over a store: the answers of pandas over the same table, and nothing changed or reached."""

from __future__ import annotations

import math

import pytest
from oracles.stored_runs import stored

from descentlab.analysis import load
from descentlab.analysis.query import TABLES, columns, query
from descentlab.errors import ConfigError
from descentlab.runs.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store", create=True)
    for lr in (1e-3, 2e-3):
        for beta in (0.8, 0.9):
            stored(store, lr=lr, beta=beta, loss=4 + lr + beta)
    runs = [stored(store, method="sgd", lr=lr, beta=0.9, loss=math.inf) for lr in (1, 2)]
    store.register_study("sgds", {"runs": runs})
    return store


def test_answers_are_those_of_pandas(store):
    found = query(
        store, "SELECT method, min(loss) best, count(*) n FROM runs GROUP BY 1 ORDER BY 1"
    )
    frame = load(store).groupby("method")["loss"].agg(["min", "count"])
    assert found["method"].to_list() == list(frame.index)
    assert found["best"].to_list() == frame["min"].to_list()
    assert found["n"].to_list() == [4, 2]


def test_tables_join(store):
    found = query(
        store,
        "SELECT r.method, max(m.step) steps, min(c.loss) lowest FROM studies s "
        "JOIN runs r USING (run) JOIN metrics m USING (run) JOIN curves c USING (run) GROUP BY 1",
    )
    assert found.to_dict("records") == [{"method": "sgd+Gclip", "steps": 10, "lowest": math.inf}]


def test_settings_are_json(store):
    found = query(store, """SELECT DISTINCT settings->>'$."model.width"' AS width FROM runs""")
    assert found["width"].to_list() == ["32"]


def test_texts_are_texts_even_where_there_are_none(tmp_path):
    empty = Store(tmp_path / "empty", create=True)
    found = columns(empty)
    assert set(found) == set(TABLES)
    assert found["runs"]["method"] == "VARCHAR"
    assert found["runs"]["steps"] == "BIGINT"
    assert found["runs"]["loss"] == "DOUBLE"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT lrr FROM runs", "lrr"),
        ("SELECT * FROM run", "run"),
        ("SELEC 1", "SELEC"),
        ("SELECT * FROM '{file}'", "disabled"),
        ("COPY runs TO '{file}'", "selects"),
        ("DROP TABLE runs", "selects"),
        ("SELECT 1; SELECT 2", "one query"),
        ("-- nothing", "one query"),
        ("SELECT * FROM read_csv('{file}')", "disabled"),
        ("ATTACH '{file}' AS other", "selects"),
        ("SET enable_external_access = true", "selects"),
        ("SELECT * FROM store", "store"),
        ("INSTALL httpfs", "selects"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(sql, said, store, tmp_path):
    file = tmp_path / "file.csv"
    file.write_text("a\n1\n")
    with pytest.raises(ConfigError, match=said) as raised:
        query(store, sql.format(file=file))
    assert "\n" not in str(raised.value)
    assert file.read_text() == "a\n1\n"
