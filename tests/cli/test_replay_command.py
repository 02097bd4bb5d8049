"""``descent replay``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from descentlab.cli.main import main
from descentlab.runs.imported import ImportedRun, Source, write_import
from descentlab.runs.store import Store


@pytest.fixture
def store(tmp_path):
    """Two imported sweeps of 16 runs, whose curves lie above one another as their ends do."""
    opened = Store(tmp_path / "store", create=True)
    for sweep in ("one", "two"):
        runs = [
            ImportedRun(
                sweep=sweep,
                row=4 * i + j,
                method="adam",
                settings={"lr": 2.0**i, "beta": 1 - 2.0**-j},
                curve=np.exp(3 + np.linspace(1, 0, 50) + 0.1 * abs(i - 1) + 0.1 * abs(j - 2)),
                final_perplexity=float(np.exp(3 + 0.1 * abs(i - 1) + 0.1 * abs(j - 2))),
            )
            for i in range(4)
            for j in range(4)
        ]
        source = Source(kind="table", name=f"{sweep}.csv", bytes=3, sha256="ab" * 32)
        write_import(opened, source, runs)
    return opened.root


def rows(text: str) -> list[list[str]]:
    table = text.split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]


def test_a_table_with_a_row_for_each_sweep_and_their_mean(store, capsys):
    assert main(["replay", str(store), "--seeds", "3"]) == 0
    said = capsys.readouterr().out
    header, _, one, two, mean = rows(said)
    assert header == ["sweep", "cells", "scheduler", "cost", "highest", "regret", "highest"]
    assert one[:3] == ["one adam", "16", "racing"]
    assert two[:3] == ["two adam", "16", "racing"]
    assert float(mean[3]) == pytest.approx((float(one[3]) + float(two[3])) / 2, abs=0.001)
    assert one[5] == two[5] == "0.000"
    assert "Seeds: 3." in said


def test_all_schedulers_side_by_side(store, capsys):
    assert main(["replay", str(store), "--seeds", "2", "--racing", "all"]) == 0
    table = rows(capsys.readouterr().out)[2:]
    names = ["racing", "successive-halving", "asha", "median", "random", "none"]
    assert [row[2] for row in table] == 3 * names
    assert [row[3] for row in table if row[2] == "none"] == ["1.000"] * 3


def test_rules_chosen_on_the_other_sweeps_are_named(store, capsys):
    assert main(["replay", str(store), "--seeds", "1", "--leave-one-out"]) == 0
    said = capsys.readouterr().out
    assert "Rules that were best on the other sweeps:\n- one adam: " in said


def test_json_has_every_number(store, capsys):
    assert main(["replay", str(store), "--seeds", "2", "--subgrids", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["sweep"] for each in found] == ["one adam", "two adam"]
    assert all(0 < each["cost"] <= each["highest_cost"] <= 1 for each in found)
    assert all(len(each["chosen"]) == 2 for each in found)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--seeds", "0"], 2, "seeds: got 0; at least 1 is needed"),
        (["--cells", "17"], 3, "no sweep of 17 cells or more"),
        (["--leave-one-out", "--racing", "asha"], 2, "asha has none"),
    ],
)
def test_what_cannot_be_is_one_clear_sentence(store, capsys, arguments, code, said):
    assert main(["replay", str(store), *arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_folder_that_is_no_store(tmp_path, capsys):
    assert main(["replay", str(tmp_path)]) == 2
    assert "not a store" in capsys.readouterr().err
