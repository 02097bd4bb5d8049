"""Runs in CSV, JSON lines and Parquet: with our own columns, and as W&B exports them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from descentlab.analysis.imports.gate import read_table
from descentlab.analysis.imports.importing import import_history, import_table
from descentlab.analysis.imports.pickle_scan import Refused
from descentlab.analysis.imports.plain_table import COLUMNS, plain_runs
from descentlab.analysis.imports.table import Table
from descentlab.analysis.imports.text_tables import read_csv
from descentlab.errors import ConfigError, DataError
from descentlab.runs.imported import load_imported
from descentlab.runs.store import Store

FORMATS = ("csv", "jsonl", "parquet")
DOCUMENT = Path(__file__).parents[3] / "docs" / "importing.md"


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        connection = duckdb.connect()
        connection.register("made", frame)
        connection.execute(f"copy made to '{path}' (format parquet)")
    return path


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


HISTORY = pd.DataFrame(
    [
        {"_step": step, "run": run, "train/loss": 5 - step / 50 + lr, "config.lr": lr,
         "val/loss": 4 - step / 90 if step % 30 == 0 else None, "note": "text, \"quoted\""}
        for run, lr in (("first", 1e-3), ("second", 2e-3)) for step in range(0, 100, 10)
    ]
)  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_a_history_of_two_runs(form, tmp_path, store):
    path = write(HISTORY, tmp_path / f"history.{form}")
    chosen = {"loss": "train/loss", "final_loss": "val/loss", "method": "adam", "lr": "config.lr",
              "beta": 0.95, "batch_size": 8, "steps": 100}  # fmt: skip
    import_history(path, store, chosen)
    first, second = load_imported(store)
    assert (first.sweep, first.row, second.row) == ("history", 0, 1)
    assert first.settings == {"lr": 1e-3, "beta": 0.95}
    assert second.settings == {"lr": 2e-3, "beta": 0.95}
    assert first.curve_steps is not None
    assert first.curve_steps.tolist() == list(range(0, 100, 10))
    assert not first.positions_uncertain
    np.testing.assert_allclose(
        first.curve, [math.exp(5 - s / 50 + 1e-3) for s in first.curve_steps]
    )
    np.testing.assert_allclose(first.fractions, np.arange(10) / 10)
    assert first.final_perplexity == pytest.approx(math.exp(3))
    assert first.batch_size == 8


OURS = pd.DataFrame(
    [
        {"sweep": "s", "run": 1, "method": "signum", "lr": 1e-3, "beta": 0.9, "clip_norm": "none",
         "weight_decay": 0.1, "seed": 0, "steps": 3, "dataset": "d", "step": step,
         "perplexity": ppl, "final_perplexity": 30.5 if step == 3 else None}
        for step, ppl in ((1, 900.0), (2, 500.0), (3, 40.0))
    ]
    + [{"sweep": "s", "run": 2, "method": "sgd", "lr": 4.0, "beta": 0.9, "step": 1, "seed": 1,
        "perplexity": math.inf, "final_perplexity": math.inf}]
)  # fmt: skip


def test_what_a_table_says_of_a_run_that_diverged_is_kept(tmp_path, store):
    path = tmp_path / "a.csv"
    path.write_text(
        "method,lr,beta,final_perplexity,diverged\n"
        "signum,1e-3,0.9,57971.97,true\nsignum,2e-3,0.9,nan,\nsignum,4e-3,0.9,31.5,false\n"
    )
    import_table(path, store)
    assert [run.diverged for run in load_imported(store)] == [True, True, False]
    first, second, third = (run.reported for run in load_imported(store))
    assert (first, third) == ({"final_perplexity": 57971.97}, {})
    assert math.isnan(second["final_perplexity"])


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_with_our_columns(form, tmp_path, store):
    step = import_table(write(OURS, tmp_path / f"ours.{form}"), store)
    assert step.done.runs == 2
    first, second = load_imported(store)
    assert first.settings == {"lr": 1e-3, "beta": 0.9, "clip_norm": "none", "weight_decay": 0.1}
    assert (first.sweep, first.seed, first.steps, first.dataset) == ("s", 0, 3, "d")
    assert first.curve.tolist() == [900.0, 500.0, 40.0]
    assert (first.final_perplexity, first.diverged) == (30.5, False)
    assert (second.final_perplexity, second.diverged) == (None, True)
    assert second.curve.tolist() == [math.inf]
    assert import_table(tmp_path / f"ours.{form}", store).runs == []


def test_the_csv_of_a_chart(tmp_path, store):
    path = tmp_path / "chart.csv"
    path.write_text(
        '"Step","a - train/loss","a - train/loss__MIN",'
        '"b - c - train/loss","b - c - train/loss__MAX"'
        "\n"
        '"0","5","4","","9"\n"10","4","4","3","9"\n"20","","","2","9"\n'
    )
    import_history(path, store, {"loss": "train/loss", "method": "signum", "lr": 1e-3, "beta": 0.9})
    first, second = load_imported(store)
    np.testing.assert_allclose(np.log(first.curve), [5, 4])
    np.testing.assert_allclose(np.log(second.curve), [3, 2])
    np.testing.assert_array_equal(first.curve_steps, [0, 10])
    np.testing.assert_array_equal(second.curve_steps, [10, 20])


def test_rows_without_steps_are_runs(tmp_path, store):
    path = tmp_path / "a.csv"
    path.write_text(
        "\ufeffmethod,lr,beta,final_loss\r\nsignum,1e-3,0.9,3.0\r\nsignum,2e-3,0.9,nan\r\n"
    )
    import_table(path, store)
    first, second = load_imported(store)
    assert first.final_perplexity == pytest.approx(math.exp(3))
    assert second.diverged
    assert len(first.curve) == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("method,lr\nadam,1e-3\n", "run '0': adam: give either|run '0': adam: missing a setting"),
        ("method,lr,beta\nadamm,1,0.9\n", "run '0': adamm"),
        ("method,lr,beta\nadam,-1,0.9\n", "run '0': adam: .*lr"),
        ("method,lr,bta\nadam,1,0.9\n", "column 'bta': unknown; did you mean beta"),
        ("method,lr,beta,seed\nadam,1,0.9,0.5\n", "column 'seed': is 0.5; it must be a whole"),
        ("method,lr,beta,batch_size\nadam,1,0.9,0\n", "column 'batch_size': is 0"),
        ("method,lr,beta,step\nadam,1,0.9,1\n", "steps without a loss"),
        ("method,lr,beta,loss\nadam,1,0.9,1\n", "a curve without steps"),
        ("method,lr,beta,step,loss,perplexity\nadam,1,0.9,1,1,1\n", "both a loss and a perplexity"),
        ("method,lr,beta,step,loss\nadam,1,0.9,1,1\nadam,1,0.9,1,2\n", "has step 1 twice"),
        ("method,lr,beta,step,loss\nadam,1,0.9,1,1\nadam,2,0.9,2,2\n", "'lr': has several values"),
        ("method,lr,beta,step,loss\nadam,1,0.9,1.5,1\n", "steps are whole numbers"),
        ("method,lr,beta,step,loss\nadam,1,0.9,1,low\n", "has 'low', which is no number"),
        ("method,lr,beta,step,perplexity\nadam,1,0.9,1,-2\n", "not above 0"),
        ("method,lr,beta,final_perplexity\nadam,1,0.9,0\n", "is 0; it must be above 0"),
        ("method,lr,beta,diverged\nadam,1,0.9,maybe\n", "allowed are true and false"),
        ("method,lr,beta,dataset\nadam,1,0.9,\x1b[31m\n", "printable"),
        ("method,lr,lr\nadam,1,2\n", "its header names a column twice"),
        ("method,lr\nadam\n", "row 1 has 1 cells; the header has 2"),
        ("", "it has no header"),
        ('method,lr\n"adam,1\n', "it is not CSV"),
        ("method,lr\n" + "x" * 5000 + ",1\n", "it is not CSV|letters"),
        ("a\n\udcff\n", "is not UTF-8"),
    ],
)
def test_what_is_wrong_is_told(content, why):
    with pytest.raises((DataError, Refused), match=why):
        plain_runs(read_csv(content.encode("utf-8", "surrogateescape")), "a")


def test_a_table_that_is_wrong_leaves_nothing(tmp_path, store):
    path = tmp_path / "a.csv"
    for content, why in (
        ("method,lr,beta\nadam,-1,0.9\n", "adam: .*lr"),
        ("method,lr\n", "no runs"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=why):
            import_table(path, store)
    assert load_imported(store) == []


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "content",
    [b"PAR1" * 20, b"[" * 100_000, b'{"a":' * 9000, bytes(500)],
    ids=["letters", "brackets", "objects", "zeros"],
)
def test_files_that_are_no_tables(form, content, tmp_path, store):
    path = tmp_path / f"a.{form}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not imported: ") as caught:
        import_table(path, store)
    assert "ended with code" not in str(caught.value)


def test_nested_objects_and_lists(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"a": {"b": {"c": 1}}, "list": [1], "x": 1e300}\n\n{"big": 1' + "0" * 30 + "}\n"
    )
    assert read_table(path, "jsonl").table == Table(
        {"a.b.c": [1, None], "x": [1e300, None], "big": [None, 1e30]}
    )


def test_a_mistaken_choice_is_told(tmp_path, store):
    path = write(HISTORY, tmp_path / "history.csv")
    with pytest.raises(ConfigError, match="mehtod: no column of ours; did you mean method"):
        import_history(path, store, {"mehtod": "adam"})
    with pytest.raises(DataError, match="no column 'trian/loss'; did you mean train/loss"):
        import_history(path, store, {"loss": "trian/loss", "method": "adam"})
    with pytest.raises(ConfigError, match="the suffix tells the format"):
        import_table(tmp_path / "a.pickle", store)


def test_a_name_with_control_characters_is_inert(tmp_path, store):
    path = tmp_path / "a\x1b[31m\u202e.csv"
    path.write_text("method,lr,beta\nsignum,1e-3,0.9\n")
    step = import_table(path, store)
    assert step.done.source.name == r"a\x1b[31m\u202e.csv"
    assert load_imported(store)[0].sweep == r"a\x1b[31m\u202e"


def test_every_column_is_documented():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in COLUMNS if f"`{name}`" not in text] == []
