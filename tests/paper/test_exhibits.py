"""The paper's tables and figures from stores without the paper's runs: drawn, and honest."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from oracles.stored_runs import stored

from descentlab.errors import ConfigError
from descentlab.paper.exhibit import Material
from descentlab.paper.exhibits import EXHIBITS, chosen
from descentlab.paper.gallery import drawn, write
from descentlab.runs.imported import ImportedRun, Source, write_import
from descentlab.runs.store import Store

FIGURES = (*range(1, 6), *range(8, 18))
NAMES = [*(f"table{n}" for n in (1, 2, 3)), *(f"fig{n}" for n in FIGURES), "longer"]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


def imported(store, **changes):
    """One run of someone else's."""
    known = {
        "sweep": "s",
        "row": 0,
        "method": "adam",
        "settings": {"lr": 1e-3, "beta1": 0.9, "beta2": 0.95, "clip_norm": 1.0},
        "curve": np.array([9.0, 8.0, 7.0]),
        "final_perplexity": 20.0,
        "batch_size": 256,
        "sequence_length": 2048,
        "steps": 6200,
        "model": "160M",
        "dataset": "SlimPajama",
    }
    runs = [ImportedRun(**{**known, "row": row, **each}) for row, each in enumerate([changes])]
    sha256 = f"{abs(hash(str(sorted(changes.items())))):064x}"[:64]
    write_import(store, Source(kind="table", name="a.csv", bytes=3, sha256=sha256), runs)


def shown(store, name):
    (exhibit,) = chosen(name)
    return drawn(exhibit, Material(store)).shown


def test_a_run_that_two_methods_share_counts_for_both(store):
    """EMA-of-sign with β = 0 is Signum with β = 0, which was asked for first."""
    shared = stored(store, method="signum", lr=1e-3, beta=0.0, loss=4.0)
    alone = stored(store, method="emasign", lr=1e-3, beta=0.9, loss=3.0)
    points = [
        {"method": method, "lr": 1e-3, "beta": beta, "seed": 0, "run_id": run}
        for method, beta, run in (
            ("signum", 0.0, shared),
            ("emasign", 0.0, shared),
            ("emasign", 0.9, alone),
        )
    ]
    store.register_study("t-grid-1", {"experiment": "t", "runs": points})
    material = Material(store)
    rows = material.runs[["method", "run", "decay"]].itertuples(index=False, name=None)
    assert sorted(rows) == [
        ("emasign", alone, 0.9),
        ("emasign", shared, 0.0),
        ("signum", shared, 0.0),
    ]
    assert material.repeated == 0
    drawn_from = write(chosen("fig11"), material, store.root / "out", source="here")
    assert "From here: 2 runs, 0 of them diverged." in drawn_from


def test_every_table_and_figure_of_the_language_models_is_there():
    assert [each.name for each in EXHIBITS] == NAMES
    assert chosen("all") == list(EXHIBITS)
    assert chosen("fig02") == chosen("fig2")
    with pytest.raises(ConfigError, match=r"fig22: no table or figure.*did you mean fig2"):
        chosen("fig22")


def test_the_document_names_them_all():
    text = (Path(__file__).parents[2] / "docs" / "figures.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == NAMES


def test_the_example_of_the_document_runs(store, tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[2] / "docs" / "figures.md").read_text()
    for beta2, loss in ((0.9, 3.0), (0.95, 2.9)):
        stored(store, beta1=0.9, beta2=beta2, loss=loss)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "figures.md", "exec"), {})
    assert f"{math.exp(3.0) - math.exp(2.9):.5f}" in capsys.readouterr().out
    assert (tmp_path / "adam.svg").exists()


def test_a_store_without_runs_is_told(store):
    with pytest.raises(ConfigError, match="has no trained run"):
        Material(store)


def small_sweep(store):
    for place, lr in enumerate((1e-3, 2e-3)):
        stored(store, method="adam", lr=lr, beta=0.9, loss=3.0 + place)
        stored(store, method="signum", lr=lr, beta=0.9, loss=3.5 + place)
    for seed in (101, 102):
        stored(store, method="adam", lr=1e-3, beta=0.9, seed=seed, loss=3.1 + seed / 1000)
    stored(store, method="sgd", lr=1.0, beta=0.9, clip_norm="none", loss=math.inf)
    stored(store, method="sgd", lr=0.5, beta=0.9, clip_norm="none", loss=4.0)


def test_all_of_a_small_store(store, tmp_path):
    small_sweep(store)
    seen = []
    text = write(
        EXHIBITS,
        Material(store),
        tmp_path / "out",
        source="mine",
        observe=lambda done, total, name: seen.append((done, total)),
    )
    assert seen == [(place, len(EXHIBITS)) for place in range(len(EXHIBITS))]
    files = {path.name for path in (tmp_path / "out").iterdir()}
    linked = set(re.findall(r"\]\(([^)]+)\)", text))
    assert linked == files - {"index.md"}
    assert {"table1.md", "table1.csv", "fig01.svg", "fig01.png", "fig02.png"} <= files
    assert "fig03.png" not in files
    assert (tmp_path / "out" / "index.md").read_text() == text
    assert text.count("\n- **") == len(EXHIBITS)
    assert "missing: the runs that it needs: emasign over learning rates and β." in text
    assert "missing: no runs of rmsprop." in text
    assert "The paper's numbers are of another setting: 160M, SlimPajama" in text


def test_table_1_of_a_small_store(store):
    small_sweep(store)
    found = shown(store, "table1").frame.set_index("method")
    adam = [math.exp(3.1 + seed / 1000) for seed in (101, 102)]
    assert found.loc["adam", "perplexity"] == pytest.approx(np.mean(adam))
    assert found.loc["adam", "two_sigma"] == pytest.approx(2 * np.std(adam, ddof=1))
    assert found.loc["signum", "perplexity"] == pytest.approx(math.exp(3.5))
    assert (found["diverged"]["sgd"], found["trials"]["sgd"]) == (1, 2)
    assert set(found.index) == {"adam", "signum", "sgd"}


def test_a_diverged_run_is_in_the_data_of_its_figure(store):
    small_sweep(store)
    frame = shown(store, "fig9").frame
    assert sorted(frame["perplexity"]) == [pytest.approx(math.exp(4.0)), math.inf]


@pytest.mark.parametrize("name", ["table2", "table3"])
def test_what_is_not_there_has_no_number(name, store):
    small_sweep(store)
    found = shown(store, name)
    assert found.frame["perplexity"].isna().all()
    assert found.headlines == ()
    assert found.missing
    for line in found.text.splitlines()[2:]:
        assert line.split("|")[2].strip() == "–"


def test_table_2_and_3_where_their_runs_are(store):
    for seed in (1, 2, 3):
        for eps, loss in ((1e-8, 3.0), (1e-6, 2.9), (0.0, math.inf)):
            stored(store, beta=0.9, eps=eps, seed=seed, loss=loss + seed / 10)
        stored(store, beta=0.9, bias_correction=False, seed=seed, loss=3.2)
        stored(store, beta=0.9, bias_correction=False, init="gradient", seed=seed, loss=3.3)
    two = shown(store, "table2")
    ours = {row["ε"]: row["perplexity"] for _, row in two.frame.iterrows() if row["n"]}
    assert ours == {
        "1e-08": pytest.approx(np.mean(np.exp([3.1, 3.2, 3.3]))),
        "1e-06": pytest.approx(np.mean(np.exp([3.0, 3.1, 3.2]))),
        "0": math.inf,
    }
    assert len(two.headlines) == 3
    assert "diverged" in two.text
    three = shown(store, "table3").frame
    there = three[three["n"] > 0].set_index("variant")["perplexity"]
    assert there["adam ZI+BC"] == pytest.approx(ours["1e-08"])
    assert there["adam ZI−BC"] == pytest.approx(math.exp(3.2))
    assert there["adam GI−BC"] == pytest.approx(math.exp(3.3))
    assert len(there) == 3
    curves = shown(store, "fig17").frame
    assert set(curves["method"]) == {
        "adam, from zero, corrected",
        "adam, from zero",
        "adam, from the first gradient",
    }


def test_unequal_budgets_are_told(store):
    stored(store, method="adam", beta=0.9, steps=10)
    stored(store, method="signum", beta=0.9, steps=10)
    stored(store, method="sgd", lr=1.0, beta=0.9, clip_norm="none", steps=5)
    (exhibit,) = chosen("table1")
    piece = drawn(exhibit, Material(store))
    assert set(piece.runs["method"]) == {"adam", "signum", "sgd"}
    assert set(piece.shown.frame["steps"]) == {5, 10}


NASTY = "](javascript:x)<script>|*a*\n# b‮" + "y" * 300


def test_hostile_names_in_the_index_are_text(store, tmp_path):
    imported(store, dataset=NASTY, model="<img src=x>")
    text = write(chosen("table1"), Material(store), tmp_path / "out", source=NASTY)
    for line in text.splitlines():
        assert not re.search(r"(?<!\\)[<]", line)
        assert "](javascript" not in line.replace("\\]\\(", "")
    assert "\n# b" not in text
    assert "‮" not in text


def test_runs_whose_setting_is_not_on_record_can_be_drawn(store, tmp_path):
    imported(store, dataset=None, model=None, batch_size=None, steps=None, sequence_length=None)
    text = write(EXHIBITS, Material(store), tmp_path / "out", source="theirs")
    assert (tmp_path / "out" / "fig02.svg").exists()
    assert "Compared in" in text


def test_repeated_cells_are_left_out_and_told(store, tmp_path):
    imported(store, notes=("a",))
    imported(store, notes=("b",))
    material = Material(store)
    assert (len(material.runs), material.repeated) == (1, 1)
    text = write(chosen("table1"), material, tmp_path / "out", source="theirs")
    assert "1 more with the cell and seed of another" in text
