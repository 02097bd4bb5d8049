"""The tables and figures of the released runs, where they are at hand, against known numbers."""

from __future__ import annotations

import math

import pytest
from oracles.pickles import RELEASED

from descentlab.analysis.imports.importing import import_released
from descentlab.analysis.tables.betas import price_of_equal_betas
from descentlab.paper.exhibit import PAPERS, Material
from descentlab.paper.exhibits import EXHIBITS, chosen
from descentlab.paper.gallery import drawn, index
from descentlab.runs.store import Store

pytestmark = pytest.mark.skipif(
    not RELEASED.is_dir(), reason="needs the paper's released files, in DESCENTLAB_RELEASED_RUNS"
)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("released") / "store", create=True)
    import_released(RELEASED, store, lambda _: None)
    return Material(store)


@pytest.fixture(scope="module")
def pieces(material):
    return {each.name: drawn(each, material) for each in EXHIBITS}


def headline(piece, beginning):
    return next(
        (line.here, line.paper) for line in piece.shown.headlines if line.what.startswith(beginning)
    )


def test_the_setting_is_the_papers(material):
    assert material.reference == PAPERS
    assert material.repeated == 1


def test_table_1(pieces):
    rows = pieces["table1"].shown.frame.set_index("method")
    known = {
        "adam": (0.008, 0.95, 0.95, 21.923),
        "signum": (0.0005, 0.9, math.nan, 23.339),
        "rmsprop": (0.002, math.nan, 0.8, 26.860),
        "sgd+Cclip": (1.0, 0.975, math.nan, 32.741),
        "sgd+Gclip": (0.5, 0.975, math.nan, 37.532),
        "sgd": (0.25, 0.975, math.nan, 50.684),
    }
    assert list(rows.index) == list(known)
    for method, expected in known.items():
        found = tuple(rows.loc[method, ["lr", "beta1", "beta2", "perplexity"]].tolist())
        assert found == pytest.approx(expected, abs=5e-4, nan_ok=True)
    assert rows.loc["signum", "clip_norm"] == math.inf
    assert rows.loc["sgd", "on_edge"] == "high lr"
    assert (rows["on_edge"] == "").sum() == 5
    assert set(rows.index[rows["steps"] == 4800]) == {"sgd", "sgd+Gclip"}
    assert headline(pieces["table1"], "share of the gap") == ("95.1%", "96%")


def test_the_files_that_figures_show(pieces):
    sizes = {"fig2": 265, "fig8": 108, "fig9": 20, "fig10": 48, "fig16": 108}
    assert {name: len(pieces[name].runs) for name in sizes} == sizes
    assert set(pieces["fig15"].shown.runs["batch_size"]) == {128}
    assert len(pieces["fig15"].shown.runs) == 150


@pytest.mark.parametrize(
    ("name", "gaps"),
    [
        ("fig2", "0.000 (0.8), 0.114 (0.9), 0.000 (0.95), 0.023 (0.975), 0.222 (0.9875)"),
        ("fig15", "0.232 (0.9), 0.085 (0.95), 0.087 (0.975)"),
        ("fig16", "0.438 (0.9), 0.055 (0.95), 0.062 (0.975)"),
    ],
)
def test_the_price_of_equal_betas_by_row(pieces, name, gaps):
    assert headline(pieces[name], "perplexity that β1=β2 costs")[0] == gaps


def test_figure_3_has_the_same_gaps_at_batch_128(pieces):
    frame = pieces["fig3"].shown.frame
    price = price_of_equal_betas(frame[frame["batch_size"].eq(128)])
    assert dict(zip(price["beta1"], price["gap"], strict=True)) == pytest.approx(
        {0.9: 0.232, 0.95: 0.085, 0.975: 0.087}, abs=5e-4
    )
    assert pieces["fig3"].shown.missing[0].startswith("adam at other batch sizes than 128, 256;")


def test_counts_below_the_best_signum(pieces):
    assert headline(pieces["fig2"], "adam runs below") == ("75 of 200", "most")
    assert headline(pieces["fig2"], "pairs of β")[0] == "26 of 40"


def test_the_budget(pieces):
    assert headline(pieces["fig1"], "share of signum's tokens") == ("0.73", "0.75")


@pytest.mark.parametrize(
    ("name", "method", "best"),
    [
        ("fig8", "sgd+Cclip", "32.741 at lr 1, β 0.975"),
        ("fig8", "sgd+Gclip", "37.532 at lr 0.5, β 0.975"),
        ("fig9", "sgd", "50.684 at lr 0.25, β 0.975"),
        ("fig10", "rmsprop", "26.860 at lr 0.002, β 0.8"),
    ],
)
def test_best_cells(pieces, name, method, best):
    assert headline(pieces[name], f"best of {method} ")[0] == best


def test_fineweb(pieces):
    frame = pieces["fig16"].shown.frame
    best = frame.loc[frame.groupby("method")["perplexity"].idxmin()].set_index("method")
    found = best[["series", "lr", "perplexity"]]
    assert tuple(found.loc["adam"].tolist()) == pytest.approx((0.9, 0.004, 25.401), abs=5e-4)
    assert tuple(found.loc["signum"].tolist()) == pytest.approx((0.95, 0.0005, 26.367), abs=5e-4)
    adam = pieces["fig16"].runs.set_index("perplexity")
    assert adam.loc[best.loc["adam", "perplexity"], "beta1"] == 0.95


def test_what_the_files_do_not_have_is_told(pieces, material):
    without = {name for name, piece in pieces.items() if piece.shown.chart is None}
    assert without == {"table1", "table2", "table3", "fig4", "fig5", "fig11", "fig12", "fig14",
                       "fig17", "longer"}  # fmt: skip
    text = index(list(pieces.values()), material, "released")
    assert "another setting" not in text
    told = text.partition("## What there is")[2]
    for name in ("Table 2", "Table 3", "Figure 4", "Figure 5", "Figure 11", "Figure 12"):
        entry = told.partition(f"**{name}:")[2].partition("\n- **")[0]
        assert "missing:" in entry
    assert "missing: no runs of emasign." in told
    assert "sgd, sgd+Gclip on 2.52 billion; adam, rmsprop, sgd+Cclip, signum on 3.25" in told


def test_every_diverged_run_of_a_figure_is_drawn(pieces):
    for name in ("fig2", "fig9", "fig10"):
        frame, runs = pieces[name].shown.frame, pieces[name].runs
        assert frame["perplexity"].map(math.isinf).sum() == runs["diverged"].sum()
        assert len(frame) == len(runs)


def test_single_figures_are_found_by_name():
    assert [each.name for each in chosen("fig16")] == ["fig16"]
