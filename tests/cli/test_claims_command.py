"""``descent claims``: what people read, what programs do, and what goes wrong."""

from __future__ import annotations

import json

import pytest
from oracles.stored_runs import stored

from descentlab.cli.main import main
from descentlab.paper.claims import CLAIMS
from descentlab.runs.store import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Adam beside Signum: three learning rates, of which the second is best, and fresh seeds."""
    store = Store(tmp_path_factory.mktemp("claims") / "store", create=True)
    for method, loss in (("adam", 3.0), ("signum", 3.2)):
        for lr in (1e-3, 2e-3, 4e-3):
            stored(store, method=method, lr=lr, beta=0.9, loss=loss + (lr != 2e-3))
        for seed in (101, 102, 103):
            more = 0.001 * (seed - 101)
            stored(store, method=method, lr=2e-3, beta=0.9, seed=seed, loss=loss + more)
    return store.root


@pytest.fixture
def few(monkeypatch):
    """Four claims, none of which is computed, to be quick."""
    monkeypatch.setattr("descentlab.paper.claims.CLAIMS", CLAIMS[:4])


def test_the_verdicts_are_printed(folder, capsys):
    assert main(["claims", str(folder)]) == 0
    said = capsys.readouterr().out
    first, *counts = said.splitlines()[:4]
    assert first.split("  ")[0] == f"{len(CLAIMS)} claims"
    assert first.endswith("tiny, 2.56k tokens  computed here")
    assert [int(line.split()[-2]) for line in counts] == [1, 0, 36]
    said = " ".join(said.split())
    assert "perplexity of adam is 81.9% [81.9%, 81.9%] of signum's; n = 3 seeds" in said
    assert "to tell it: descent reproduce table1 --scale tiny --seeds 8" in said


@pytest.mark.usefixtures("few")
def test_records_for_programs(folder, capsys):
    assert main(["claims", str(folder), "--format", "json"]) == 0
    records = {each["key"]: each for each in json.loads(capsys.readouterr().out)}
    (found,) = records["adam-below-signum"]["findings"].values()
    assert (found["verdict"], found["n"]) == ("holds", 3)
    (other,) = records["signum-below-rmsprop"]["findings"].values()
    assert (other["verdict"], other["value"]) == ("cannot be told", None)


@pytest.mark.usefixtures("few")
def test_a_page_says_how_it_was_made(folder, tmp_path, capsys):
    out = tmp_path / "new" / "claims.md"
    assert main(["claims", str(folder), "--format", "md", "--out", str(out)]) == 0
    assert capsys.readouterr().out == ""
    page = out.read_text(encoding="utf-8")
    assert f"Made by `descent claims {folder} --format md --out {out}`." in page
    assert page.count("\n### ") == 4


@pytest.mark.usefixtures("few")
def test_the_same_store_twice_is_one(folder, capsys):
    main(["claims", str(folder), "--format", "json"])
    once = capsys.readouterr().out
    main(["claims", str(folder), str(folder), "--format", "json"])
    assert capsys.readouterr().out == once


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nowhere"], "nowhere"), ([], "store: got none")],
)
def test_what_is_not_there_is_an_error_of_one_line(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["claims", *arguments]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert said in errors[0]


def test_an_empty_store_has_nothing_to_say(tmp_path, capsys):
    Store(tmp_path / "store", create=True)
    assert main(["claims", str(tmp_path / "store")]) == 2
    assert "has no run to judge a claim by" in capsys.readouterr().err
