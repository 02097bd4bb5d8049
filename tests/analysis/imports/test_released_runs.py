"""The paper's released files, where they are at hand: every value, and every known number."""

from __future__ import annotations

import math
import pickletools

import msgspec
import numpy as np
import pytest
from oracles.pickles import RELEASED, trusted

from descentlab.analysis.imports.dataframe import NAMES
from descentlab.analysis.imports.duplicates import repeated
from descentlab.analysis.imports.gate import read_table
from descentlab.analysis.imports.importing import import_released
from descentlab.analysis.imports.secretsauce import POSITION_ERROR
from descentlab.analysis.imports.table import Numbers
from descentlab.optim.methods import AnyMethod
from descentlab.runs.imported import imports, load_imported
from descentlab.runs.store import Store

pytestmark = pytest.mark.skipif(
    not RELEASED.is_dir(), reason="needs the paper's released files, in DESCENTLAB_RELEASED_RUNS"
)
FILES = sorted(RELEASED.glob("*.pkl"))

ADAM = "Adam_160M_SP_SL2048_3Btok_BS256"
ADAM_2B = "Adam_160M_SP_SL2048_2Btok_BS256"
ADAM_B128 = "Adam_160M_SP_SL2048_2Btok_BS128"
ADAM_FW = "Adam_160M_FW_SL2048_3Btok_BS256"
RMSPROP = "RMSprop_160M_SP_SL2048_3Btok_BS256"
SIGNUM = "Signum_160M_SP_SL2048_2Btok_BS256"
SIGNUM_FW = "Signum_160M_FW_SL2048_3Btok_BS256"
CCLIP = "SGD_CClip_160M_SP_SL2048_3Btok_BS256"
GCLIP = "SGD_GClip_160M_SP_SL2048_3Btok_BS256"
SGD = "SGDPlain_160M_SP_SL2048_3Btok_BS256"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(tmp_path_factory.mktemp("released") / "store", create=True)
    import_released(RELEASED, opened, lambda _: None)
    return opened


@pytest.fixture(scope="module")
def sweeps(store):
    found = {}
    for run in load_imported(store):
        found.setdefault(run.sweep, []).append(run)
    return found


def finished(runs):
    return sorted((run for run in runs if not run.diverged), key=lambda run: run.final_perplexity)


def where(runs, **settings):
    return [run for run in runs if settings.items() <= run.settings.items()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_value_is_the_one_that_pandas_reads(path):
    table, expected = read_table(path, "pickle").table, trusted(path)
    assert list(table.columns) == list(expected.columns)
    for name in expected.columns:
        for ours, theirs in zip(table.columns[name], expected[name], strict=True):
            if isinstance(theirs, np.ndarray):
                assert isinstance(ours, Numbers)
                np.testing.assert_array_equal(ours.array(), theirs.astype(float), strict=True)
            else:
                plain = theirs.item() if isinstance(theirs, np.generic) else theirs
                assert (type(ours), ours) == (type(plain), plain)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_run_is_a_row_of_its_file(path, sweeps):
    expected = trusted(path)
    runs = sweeps[path.stem]
    assert [run.row for run in runs] == list(range(len(expected)))
    for run, (_, row) in zip(runs, expected.iterrows(), strict=True):
        assert run.settings["lr"] == row["lr"]
        assert run.settings["weight_decay"] == row["wd"]
        betas = {name: row[name] for name in ("beta1", "beta2") if name in row}
        if run.method == "adam":
            assert {name: run.settings[name] for name in betas} == betas
        elif run.method == "rmsprop":
            assert (0, run.settings["beta"]) == tuple(betas.values())
        elif run.method == "signsgd":
            assert set(betas.values()) == {0}
        else:
            assert run.settings["beta"] == row["beta1"]
        assert run.steps == row["num_steps"]
        assert run.diverged or run.final_perplexity == row["ppl_test"]
        if len(run.curve):
            np.testing.assert_array_equal(run.curve, row["ppl_all"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_files_name_only_what_is_known(path):
    protocol, texts, names = None, [], set()
    for op, argument, _ in pickletools.genops(path.read_bytes()):
        protocol = argument if op.name == "PROTO" else protocol
        texts += [argument] if "UNICODE" in op.name else []
        if op.name == "STACK_GLOBAL":
            names.add(texts[-1])
    assert protocol == 5
    known = {attribute for _, attribute in NAMES} | {"numpy.core.multiarray", "<", "data", "C"}
    assert names <= known


def test_what_was_imported(store, sweeps):
    sizes = {ADAM: 200, ADAM_2B: 303, ADAM_B128: 150, ADAM_FW: 90, RMSPROP: 48, SIGNUM: 65,
             SIGNUM_FW: 18, CCLIP: 24, GCLIP: 84, SGD: 20}  # fmt: skip
    assert {name: len(runs) for name, runs in sweeps.items()} == sizes
    assert [each.source.name for each in imports(store)] == [path.name for path in FILES]
    for run in load_imported(store):
        msgspec.convert({"method": run.method, **run.settings}, AnyMethod)


def test_true_methods(sweeps):
    methods = {name: {run.label for run in runs} for name, runs in sweeps.items()}
    assert methods.pop(ADAM_2B) == {"adam", "rmsprop", "signsgd"}
    assert methods.pop(RMSPROP) == {"rmsprop", "signsgd"}
    assert {methods.pop(name).pop() for name in (ADAM, ADAM_B128, ADAM_FW)} == {"adam"}
    assert {methods.pop(name).pop() for name in (SIGNUM, SIGNUM_FW)} == {"signum"}
    assert methods == {CCLIP: {"sgd+Cclip"}, GCLIP: {"sgd+Gclip"}, SGD: {"sgd"}}
    assert {run.settings["clip_norm"] for run in sweeps[SIGNUM]} == {1.0, "none"}
    assert {run.settings["clip_norm"] for run in [*sweeps[ADAM], *sweeps[RMSPROP]]} == {1.0}
    assert {run.settings["weight_decay"] for run in sweeps[GCLIP]} == {0.0, 1e-4, 1e-3}


def test_true_budgets(sweeps):
    tokens = {name: {run.tokens for run in runs} for name, runs in sweeps.items()}
    long, short = 6200 * 256 * 2048, 4800 * 256 * 2048
    assert (long, short) == (3_250_585_600, 2_516_582_400)
    for name in (ADAM, ADAM_FW, RMSPROP, SIGNUM, SIGNUM_FW, CCLIP):
        assert tokens[name] == {long}
    for name in (ADAM_2B, ADAM_B128, GCLIP, SGD):
        assert tokens[name] == {short}
    wrong = {SIGNUM: "3.25 billion tokens, though the file's name says 2",
             SGD: "2.52 billion tokens, though the file's name says 3",
             GCLIP: "2.52 billion tokens, though the file's name says 3"}  # fmt: skip
    for name, runs in sweeps.items():
        for run in runs:
            told = [note for note in run.notes if "though the file's name" in note]
            assert told == ([f"trained on {wrong[name]}"] if name in wrong else [])


def test_diverged_runs_are_diverged(sweeps):
    held = {}
    for path in FILES:
        rows = trusted(path)["ppl_test"]
        for run in sweeps[path.stem]:
            if run.diverged:
                assert run.final_perplexity is None
                held.setdefault(f"{float(rows.iloc[run.row]):.7g}", []).append(run)
            else:
                assert run.final_perplexity < 50_280
    assert {*held} == {"57971.97", "58006.63", "500", "2.324534e+39", "5.089572e+131"}
    assert all(len(held[odd]) == 1 for odd in ("500", "2.324534e+39", "5.089572e+131"))
    by_hand = held["500"][0]
    assert by_hand.sweep == SIGNUM
    assert len(by_hand.curve) == 0
    assert "diverged: no curve; ppl_test=500 was typed by hand" in by_hand.notes
    assert {run.sweep for run in held["58006.63"]} == {ADAM_FW}


def test_the_duplicated_cell(sweeps):
    copies = [run for runs in sweeps.values() for run in runs if run.duplicate_of is not None]
    assert [run.sweep for run in copies] == [ADAM_2B]
    assert len(sweeps[ADAM_2B]) == 303
    assert copies[0].settings | {"lr": 0.008, "beta1": 0.975, "beta2": 0.6} == copies[0].settings
    assert sweeps[ADAM_2B][copies[0].duplicate_of].settings == copies[0].settings


def test_one_cell_is_there_twice_and_no_curve(store):
    [found] = repeated(load_imported(store))
    assert found.later.duplicate_of == found.first.row
    assert (found.same_settings, found.same_curve) == (True, False)


def test_banded_grids_are_told(store):
    told = {each.source.name[:-4]: [note for note in each.notes if "cells" in note]
            for each in imports(store)}  # fmt: skip
    assert told[ADAM] == []
    assert told[ADAM_B128] == ["150 of the 210 cells that the grid of adam would have"]
    assert told[ADAM_FW] == ["90 of the 126 cells that the grid of adam would have"]


def test_curves(sweeps):
    curves = [run for runs in sweeps.values() for run in runs if len(run.curve)]
    assert {len(run.curve) for run in curves} == {500}
    assert all(run.positions_uncertain and run.curve_steps is None for run in curves)
    # The standard deviation of the middle one of 500 draws, of the run's length.
    middle = np.sort(np.random.default_rng(0).random((4000, 500)), axis=1)[:, 250].std()
    assert pytest.approx(middle, abs=0.001) == POSITION_ERROR


@pytest.mark.parametrize(("sweep", "noise"), [(ADAM, 0.11), (SIGNUM, 0.11), (ADAM_FW, 0.05),
                                              (SIGNUM_FW, 0.05)])  # fmt: skip
def test_the_noise_of_a_point(sweeps, sweep, noise):
    best = finished(sweeps[sweep])[:10]
    steps = [np.diff(np.log(run.curve[-100:])).std() / math.sqrt(2) for run in best]
    assert np.median(steps) == pytest.approx(noise, abs=0.01)


@pytest.mark.parametrize(
    ("sweep", "settings", "perplexity"),
    [
        (ADAM, {"lr": 0.008, "beta1": 0.95, "beta2": 0.95}, 21.923),
        (ADAM_2B, {"lr": 0.008, "beta1": 0.95, "beta2": 0.95}, 23.065),
        (ADAM_B128, {"lr": 0.0056, "beta1": 0.975, "beta2": 0.99375}, 22.634),
        (ADAM_FW, {"lr": 0.004, "beta1": 0.95, "beta2": 0.9}, 25.401),
        (RMSPROP, {"lr": 0.002, "beta": 0.8}, 26.860),
        (SIGNUM, {"lr": 0.0005, "beta": 0.9, "clip_norm": "none"}, 23.339),
        (SIGNUM_FW, {"lr": 0.0005, "beta": 0.95}, 26.367),
        (CCLIP, {"lr": 1.0, "beta": 0.975}, 32.741),
        (GCLIP, {"lr": 0.5, "beta": 0.975}, 37.532),
        (SGD, {"lr": 0.25, "beta": 0.975}, 50.684),
    ],
)
def test_best_cells(sweeps, sweep, settings, perplexity):
    best = finished(sweeps[sweep])[0]
    assert settings.items() <= best.settings.items()
    assert best.final_perplexity == pytest.approx(perplexity, abs=5e-4)


def test_the_best_signum_with_clipping(sweeps):
    best = finished(where(sweeps[SIGNUM], clip_norm=1.0))[0]
    assert (best.settings["lr"], best.settings["beta"]) == (0.0005, 0.95)
    assert best.final_perplexity == pytest.approx(23.386, abs=5e-4)


def test_the_best_sgd_is_a_lone_survivor_on_the_edge(sweeps):
    edge = max(run.settings["lr"] for run in sweeps[SGD])
    assert edge == 0.25
    assert [run.settings["beta"] for run in finished(where(sweeps[SGD], lr=edge))] == [0.975]


@pytest.mark.parametrize(
    ("sweep", "gaps"),
    [
        (ADAM, {0.8: 0, 0.9: 0.114, 0.95: 0, 0.975: 0.023, 0.9875: 0.222}),
        (ADAM_B128, {0.9: 0.232, 0.95: 0.085, 0.975: 0.087}),
        (ADAM_FW, {0.9: 0.438, 0.95: 0.055, 0.975: 0.062}),
    ],
)
def test_the_price_of_equal_betas(sweeps, sweep, gaps):
    for beta, gap in gaps.items():
        row = finished(where(sweeps[sweep], beta1=beta))
        equal = finished(where(sweeps[sweep], beta1=beta, beta2=beta))
        found = equal[0].final_perplexity - row[0].final_perplexity
        assert found == pytest.approx(gap, abs=5e-4)


def test_how_much_of_adam_is_below_the_best_signum(sweeps):
    best = finished(sweeps[SIGNUM])[0].final_perplexity
    finals = [run.final_perplexity for run in finished(sweeps[ADAM])]
    assert sum(each < best for each in finals) == 75
    assert sum(each < 23.23 for each in finals) == 69
    tuned = {}
    for run in finished(sweeps[ADAM]):
        pair = run.settings["beta1"], run.settings["beta2"]
        tuned[pair] = min(tuned.get(pair, math.inf), run.final_perplexity)
    pairs = {(run.settings["beta1"], run.settings["beta2"]) for run in sweeps[ADAM]}
    assert (sum(each < best for each in tuned.values()), len(pairs)) == (26, 40)
    assert len(sweeps[ADAM]) == 200


def test_the_budget_that_adam_needs(sweeps):
    """Between the optima of two budgets, by the power law through them."""
    short, long = (finished(sweeps[name])[0] for name in (ADAM_2B, ADAM))
    slope = math.log(long.final_perplexity / short.final_perplexity)
    slope /= math.log(long.steps / short.steps)
    signum = finished(sweeps[SIGNUM])[0].final_perplexity
    for target, share in ((signum, 0.73), (23.23, 0.75)):  # and the paper's mean of three seeds
        steps = short.steps * math.exp(math.log(target / short.final_perplexity) / slope)
        assert steps / long.steps == pytest.approx(share, abs=0.005)


def test_the_budget_within_one_curve(sweeps):
    """A cubic through the second half says where the best adam run is as far above its end."""
    adam = finished(sweeps[ADAM])[0]
    half = adam.fractions > 0.5
    cubic = np.polynomial.Polynomial.fit(adam.fractions[half], np.log(adam.curve[half]), 3)
    where_at = np.linspace(0.5, 1, 2001)
    for clip in ("none", 1.0):
        signum = finished(where(sweeps[SIGNUM], clip_norm=clip))[0]
        above = math.log(signum.final_perplexity / adam.final_perplexity)
        reached = where_at[np.argmax(cubic(where_at) - cubic(1.0) <= above)]
        assert 0.79 <= reached <= 0.83
