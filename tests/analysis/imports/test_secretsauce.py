"""What the files of the paper are made to say, on tables with made-up numbers."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from oracles.pickles import frame, texts

from descentlab.analysis.imports.importing import import_released
from descentlab.analysis.imports.limited_process import read_pickle
from descentlab.analysis.imports.secretsauce import (
    conditions,
    file_notes,
    released_files,
    released_runs,
)
from descentlab.errors import DataError
from descentlab.runs.imported import load_imported
from descentlab.runs.store import Store

NAME = "Adam_160M_SP_SL2048_3Btok_BS256.pkl"


def runs_of(made, name=NAME):
    known = conditions(name)
    assert known is not None
    return released_runs(read_pickle(pickle.dumps(made, 5)), known)


def one(name=NAME, **cells):
    changes: dict[str, Any] = {
        key: value if value is None else texts([value]) for key, value in cells.items()
    }
    return runs_of(frame(1, **changes), name)[0]


@pytest.mark.parametrize(
    ("cells", "method", "settings"),
    [
        ({"beta1": 0.9, "beta2": 0.8}, "adam", {"beta1": 0.9, "beta2": 0.8, "clip_norm": 1.0}),
        ({"beta1": 0, "beta2": 0.8}, "rmsprop", {"beta": 0.8, "clip_norm": 1.0}),
        ({"beta1": 0, "beta2": 0.0}, "signsgd", {"clip_norm": 1.0}),
        (
            {"optim": "signSGD", "beta1": 0.9, "beta2": None, "clip": 1000},
            "signum",
            {"beta": 0.9, "clip_norm": "none", "init": "gradient"},
        ),
        (
            {"optim": "sgd", "beta1": 0.9, "beta2": None, "clip": 1, "wd": 0},
            "sgd+Gclip",
            {"beta": 0.9, "clip_norm": 1.0, "weight_decay": 0.0, "init": "gradient"},
        ),
        (
            {"optim": "sgd", "beta1": 0.9, "beta2": None, "clip": 1000},
            "sgd",
            {"beta": 0.9, "clip_norm": "none"},
        ),
        (
            {"optim": "clipSGD", "beta1": 0.9, "beta2": None, "clip": 1},
            "sgd+Cclip",
            {"beta": 0.9, "clip_norm": 1.0, "coordinate_clip": 1.0},
        ),
    ],
)
def test_labels_stand_for_methods(cells, method, settings):
    run = one(**cells)
    assert run.label == method
    assert settings.items() <= run.settings.items()
    assert "dampening" not in run.settings


@pytest.mark.parametrize(
    ("value", "diverged", "note"),
    [
        (24.5, False, None),
        (2393.7, False, None),
        (50_279.0, False, None),
        (57_971.97, True, "diverged: ppl_test=57971.97 is that of the untrained model"),
        (61_700.0, True, "diverged: ppl_test=61700.00 is that of the untrained model"),
        (2.3e39, True, "diverged: ppl_test=2.3e+39"),
        (math.inf, True, "diverged: ppl_test=inf"),
        (math.nan, True, "diverged: ppl_test=nan"),
    ],
)
def test_divergence(value, diverged, note):
    run = one(ppl_test=value)
    assert run.diverged is diverged
    assert run.final_perplexity == (None if diverged else value)
    assert [each for each in run.notes if each.startswith("diverged")] == ([note] if note else [])
    expected = {"final_perplexity": pytest.approx(value, nan_ok=True)} if diverged else {}
    assert run.reported == expected


def test_a_row_that_was_typed_by_hand():
    nothing = np.array(math.nan)
    run = one(ppl_test=np.array(500), ppl_all=nothing, ppl_train=nothing)
    assert run.diverged
    assert run.final_perplexity is None
    assert run.train_perplexity is None
    assert run.curve.shape == (0,)
    assert "diverged: no curve; ppl_test=500 was typed by hand" in run.notes


def test_a_batch_of_one_device():
    """As the 410M file has it: 64 on each of 8 GPUs."""
    run = one("Adam_410M_SP_SL2048_8Btok_BS512.pkl", bs=64, num_steps=7800)
    assert (run.batch_size, run.tokens, run.model) == (512, 7800 * 512 * 2048, "410M")
    assert "bs=64 is the batch of one device of 8" in run.notes
    assert run.reported == {"batch_size": 64}
    assert not any("billion tokens" in note for note in run.notes)
    odd = one(bs=96)
    assert odd.batch_size == 96
    assert "bs=96, though the file's name says 256" in odd.notes


def test_tokens_are_counted_and_not_believed():
    run = one("Signum_160M_SP_SL512_2Btok_BS256.pkl", optim="signSGD", num_steps=24_800)
    assert (run.tokens, run.sequence_length) == (24_800 * 256 * 512, 512)
    assert "trained on 3.25 billion tokens, though the file's name says 2" in run.notes
    assert one("Adam_160M_FW_SL2048_3Btok_BS256.pkl").dataset == "FineWeb"


def test_cells_that_come_twice():
    made = frame(4, lr=[0.1, 0.2, 0.1, 0.1], beta1=0.9, beta2=[0.8, 0.8, 0.8, 0.9])
    assert [run.duplicate_of for run in runs_of(made)] == [None, None, 0, None]
    notes = file_notes(runs_of(made))
    assert "1 of 4 runs: the same cell as row 0" in notes
    assert "3 of the 4 cells that the grid of adam would have" in notes


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"optim": "adamv"}, r"row 0, column 'optim': no optimizer is called 'adamv'; did you"),
        ({"optim": 3}, "row 0, column 'optim': no optimizer"),
        ({"lr": -1.0}, "row 0: .*lr"),
        ({"lr": math.nan}, "row 0: "),
        ({"lr": "much"}, "row 0, column 'lr': is no number"),
        ({"lr": True}, "row 0, column 'lr': is no number"),
        ({"beta1": 1.0}, "row 0: .*beta1"),
        ({"wd": -0.1}, "row 0: .*weight_decay"),
        ({"bs": 0}, "column 'bs': is 0; it must be a whole number from 1"),
        ({"num_steps": 2.5}, "column 'num_steps': is 2.5"),
        ({"num_steps": math.inf}, "column 'num_steps': is inf"),
        ({"ppl_all": 3.0}, "column 'ppl_all': is no list of numbers"),
        ({"ppl_all": np.array([3.0, 0.0])}, "column 'ppl_all': has a perplexity that is not above"),
        ({"ppl_all": np.ones((2, 2))}, "column 'ppl_all': is no list of numbers"),
        ({"ppl_test": None}, "no column 'ppl_test'; it has optim, "),
        ({"beta2": None}, "column 'beta2': is missing, which adamw needs"),
        ({"clip": 0}, "row 0: .*clip_norm"),
    ],
)
def test_what_is_out_of_range_is_refused(cells, why):
    with pytest.raises(DataError, match=why):
        one(**cells)


@pytest.mark.parametrize(
    "name", ["Adam.pkl", "Adam_160M_SP_SL2048_3Btok_BS256.csv", "../" + NAME, NAME + "\n",
    "Adam_160M_SP_SL0_3Btok_BS256.pkl", "Adam_160M_SP_SL2048_3Btok_BS" + "9" * 5000 + ".pkl"]
)  # fmt: skip
def test_names_that_are_none_of_the_papers(name):
    assert conditions(name) is None


def test_files_are_found_by_their_names_in_a_clone(tmp_path):
    with pytest.raises(DataError, match="has no released file"):
        released_files(tmp_path)
    with pytest.raises(DataError, match="has no released file"):
        released_files(tmp_path / "missing")
    (tmp_path / "data").mkdir()
    made = ["Muon_1B_C_SL4096_100Btok_BS1024.pkl", "Adam_160M_SP_SL512_3Btok_BS256.pkl"]
    for name in [*made, "get_data.ipynb", "other.pkl"]:
        (tmp_path / "data" / name).write_bytes(b"")
    assert [path.name for path in released_files(tmp_path)] == sorted(made)


def test_a_refused_file_stops_no_other(tmp_path):
    good = "Adam_160M_SP_SL512_3Btok_BS256.pkl"
    (tmp_path / good).write_bytes(pickle.dumps(frame(3), 4))
    (tmp_path / NAME).write_bytes(b"cos\nsystem\n")
    store = Store(tmp_path / "store", create=True)
    for _ in range(2):
        with pytest.raises(DataError, match=f"{NAME}: not imported: it is not a pickle"):
            import_released(tmp_path, store, lambda _: None)
        assert [run.sweep for run in load_imported(store)] == [good[:-4]] * 3
    (tmp_path / "Adam_1M_SP_SL512_3Btok_BS256.pkl").write_bytes(pickle.dumps(frame(1, lr=-1.0), 4))
    with pytest.raises(DataError, match="2 files were refused\n"):
        import_released(tmp_path, store, lambda _: None)
