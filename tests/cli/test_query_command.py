"""``descent query``: what people read, and what programs do."""

from __future__ import annotations

import json

import pytest
from oracles.stored_runs import stored

from descentlab.cli.main import main
from descentlab.runs.store import Store


@pytest.fixture
def folder(tmp_path):
    store = Store(tmp_path / "store", create=True)
    for lr in (1e-3, 2e-3, 4e-3):
        stored(store, lr=lr, beta=0.9, loss=4 + lr)
    return str(tmp_path / "store")


def test_the_tables_are_listed(folder, capsys):
    assert main(["query", folder]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("runs: run VARCHAR, ")
    assert "curves: run VARCHAR, kind VARCHAR, step BIGINT, fraction DOUBLE, loss DOUBLE" in listed


def test_a_table_for_people_is_cut_and_says_so(folder, capsys):
    sql = "SELECT method, lr FROM runs ORDER BY lr"
    assert main(["query", folder, sql, "--rows", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| method |    lr |",
        "| ------ | ----: |",
        "| adam   | 0.001 |",
        "| adam   | 0.002 |",
        "1 more of 3 rows; --rows 0 shows all",
    ]


def test_csv_and_json_hold_every_row(folder, capsys):
    sql = "SELECT lr, loss FROM runs ORDER BY lr"
    assert main(["query", folder, sql, "--rows", "1", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "lr,loss\n0.001,4.001\n0.002,4.002\n0.004,4.004\n"
    assert main(["query", folder, sql, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["loss"] for each in found] == [4.001, 4.002, 4.004]


@pytest.mark.parametrize(
    "arguments", [["SELECT lrr FROM runs"], ["SELECT 1", "--rows", "-1"], ["DROP TABLE runs"]]
)
def test_what_is_wrong_is_said_and_ends_with_2(arguments, folder, capsys):
    assert main(["query", folder, *arguments]) == 2
    assert capsys.readouterr().err.startswith(("error: query: ", "error: rows: "))


def test_hostile_names_cannot_move_the_cursor(folder, capsys):
    assert main(["query", folder, "SELECT 'a' || chr(27) || '[2J' AS x"]) == 0
    assert "\x1b" not in capsys.readouterr().out
