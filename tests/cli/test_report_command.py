"""``descent report`` as a user types it, in every format."""

from __future__ import annotations

import csv
import json
import math

import pytest
from oracles.reported_stores import duel, pending

from descentlab.analysis import load, load_curves
from descentlab.cli.main import main
from descentlab.runs.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("report-command") / "duel"
    duel(root)
    return root


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_page_takes_the_place_of_the_last(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.html").write_text("old")
    assert main(["report", str(store)]) == 0
    said = capsys.readouterr()
    assert (
        said.out
        == "report.html: 61 runs: 59 done, 1 diverged, 1 pending; 2 methods in 1 comparison\n"
    )
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "Claims of the paper" in page
    assert str(store) not in page
    arguments = ["--out", str(tmp_path / "r.html"), "--title", "A & B", "--study", "duel"]
    assert main(["report", str(store), *arguments]) == 0
    other = (tmp_path / "r.html").read_text()
    assert "<title>A &amp; B</title>" in other
    assert "Claims of the paper" not in other


def test_json_has_everything(store, tmp_path):
    out = tmp_path / "report.json"
    assert main(["report", str(store), "--format", "json", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    runs = load(store).set_index("run")
    assert {each["run"] for each in found["runs"]} == set(runs.index)
    for each in found["runs"]:
        assert each["settings"] == runs.loc[each["run"], "settings"]
    run = next(iter(found["curves"]["training"]))
    expected = load_curves(store, [run])["loss"]
    assert found["curves"]["training"][run]["loss"] == pytest.approx(list(expected), abs=2e-5)
    keys = [section["key"] for section in found["sections"]]
    assert keys == ["verdicts", "comparison-1", "audit", "claims", "environment"]


def test_tables_are_csv(store, tmp_path):
    out = tmp_path / "tables"
    arguments = ["--format", "csv", "--study", "duel", "--out", str(out)]
    assert main(["report", str(store), *arguments]) == 0
    runs = load(store).set_index("run")
    written = rows(out / "runs.csv")
    assert len(written) == len(runs)
    for row in written:
        own = runs.loc[row["run"]]
        told = {"diverged": math.inf, "": math.nan}
        loss = told[row["loss"]] if row["loss"] in told else float(row["loss"])
        assert loss == pytest.approx(own["loss"], nan_ok=True)
        assert float(row["optimizer.lr"]) == own["lr"]
    ranking = rows(out / "comparison-1-ranking.csv")
    assert [row["method"] for row in ranking] == ["adam", "signum"]
    fresh = runs[(runs["method"] == "adam") & (runs["seed"] > 100)]
    assert float(ranking[0]["perplexity"]) == pytest.approx(fresh["perplexity"].mean())
    dots = rows(out / "chart-comparison-1-rates.csv")
    assert sum(row["held-out perplexity"] == "diverged" for row in dots) == 1


def test_a_text(store, tmp_path):
    out = tmp_path / "new" / "report.md"
    assert main(["report", str(store), "--format", "md", "--out", str(out)]) == 0
    text = out.read_text()
    assert text.startswith("# Report on the store “duel”\n")
    assert "**duel: adam wins.** adam has the lowest perplexity, 20.14" in text
    assert "n = 6 seeds" in text
    assert "## Claims of the paper" in text
    assert "| adam   | 0.002   | 0.9     | 0.95    | 20.14" in text


def test_every_chart_is_a_pdf_of_vectors(store, tmp_path):
    out = tmp_path / "figures"
    arguments = ["--format", "pdf-figures", "--study", "duel", "--out", str(out)]
    assert main(["report", str(store), *arguments]) == 0
    found = {path.name: path.read_bytes() for path in out.iterdir()}
    names = ("seeds", "rates", "training", "best-of", "adam-betas", "adam-betas-surface",
             "rates-adam", "rates-signum")  # fmt: skip
    assert set(found) == {f"comparison-1-{name}.pdf" for name in names}
    for content in found.values():
        assert content.startswith(b"%PDF")
        assert b"/Subtype /Image" not in content
        assert b"/FontFile" in content or b"/Type0" in content


def test_what_cannot_be_reported_is_told_in_one_sentence(store, tmp_path, capsys):
    Store(tmp_path / "empty", create=True)
    assert main(["report", str(tmp_path / "empty")]) == 2
    assert capsys.readouterr().err == (
        f"error: store: {tmp_path / 'empty'} has no runs to report on; train or import some\n"
    )
    assert main(["report", str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert main(["report", str(store), "--study", "dull"]) == 2
    assert "did you mean duel?" in capsys.readouterr().err
    (tmp_path / "report.html").mkdir()
    assert main(["report", str(store), "--out", str(tmp_path / "report.html")]) == 4


def test_runs_that_nobody_has_begun_give_a_report(tmp_path, capsys):
    store = Store(tmp_path / "store", create=True)
    pending(store, lr=1e-3)
    out = tmp_path / "report.md"
    assert main(["report", str(store.root), "--format", "md", "--out", str(out)]) == 0
    assert "1 of 1 run without a result (1 pending)" in out.read_text().replace("\\", "")
    assert main(["report", str(store.root), "--out", str(tmp_path / "report.html")]) == 0
