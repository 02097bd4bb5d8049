"""The tidy table of runs: what a spec, a result and an imported file say, and nothing else."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from oracles.stored_runs import stored

from descentlab.analysis import load, load_curves
from descentlab.analysis.imports.importing import import_table
from descentlab.errors import ConfigError
from descentlab.runs.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


def row(store, run) -> Any:
    return load(store).set_index("run").loc[run]


def test_a_run_of_our_own(store):
    run = stored(store, method="adam", lr=2e-3, beta=0.9, seed=7, loss=4.0, steps=10)
    found = row(store, run)
    told = {
        "source": "descentlab",
        "method": "adam",
        "state": "done",
        "lr": 2e-3,
        "beta1": 0.9,
        "beta2": 0.9,
        "weight_decay": 0.1,
        "clip_norm": 1.0,
        "eps": 1e-8,
        "init": "zero",
        "bias_correction": True,
        "seed": 7,
        "sequence_length": 32,
        "batch_size": 8,
        "steps": 10,
        "tokens": 32 * 8 * 10,
        "precision": "float32",
        "dataset": "sotu",
        "data": "0" * 64,
        "diverged": False,
        "loss": 4.0,
    }
    assert {name: found[name] for name in told} == told
    assert found["perplexity"] == pytest.approx(math.exp(4.0))
    assert found["settings"]["schedule.floor_lr"] == pytest.approx(0.1 * 2e-3)
    assert found["settings"]["model.width"] == 32


@pytest.mark.parametrize(
    ("optimizer", "label", "beta1", "beta2", "clip"),
    [
        ({"method": "rmsprop", "beta": 0.8}, "rmsprop", 0.0, 0.8, 1.0),
        ({"method": "adam", "beta1": 0.9, "beta2": 0.95}, "adam", 0.9, 0.95, 1.0),
        ({"method": "signum", "beta": 0.9, "clip_norm": "none"}, "signum", 0.9, None, math.inf),
        ({"method": "signsgd"}, "signsgd", 0.0, None, 1.0),
        ({"method": "sgd", "beta": 0.9, "clip_norm": "none"}, "sgd", 0.9, None, math.inf),
        ({"method": "sgd", "beta": 0.9}, "sgd+Gclip", 0.9, None, 1.0),
        ({"method": "sgd", "beta": 0.9, "coordinate_clip": 1.0}, "sgd+Cclip", 0.9, None, 1.0),
    ],
)
def test_methods_and_their_averages(optimizer, label, beta1, beta2, clip, store):
    found = row(store, stored(store, **optimizer))
    assert (found["method"], found["beta1"], found["clip_norm"]) == (label, beta1, clip)
    assert pd.isna(found["beta2"]) if beta2 is None else found["beta2"] == beta2


def test_a_diverged_run_ranks_worst_and_one_without_a_result_has_no_loss(store):
    diverged = row(store, stored(store, beta=0.9, loss=math.inf))
    assert (diverged["diverged"], diverged["loss"], diverged["perplexity"]) == (
        (True, math.inf, math.inf)
    )
    run = store.find(stored(store, beta=0.8))
    (store.folder(run.run_id).path / "done.json").unlink()
    attempt = store.folder(run.run_id).attempt(1)
    attempt.end("failed", "RuntimeError: no luck")
    failed = row(store, run.run_id)
    assert (failed["state"], failed["reason"]) == ("failed", "RuntimeError: no luck")
    assert not failed["diverged"]
    assert math.isnan(failed["loss"])


def test_a_damaged_run_is_a_row_that_says_so(store):
    run, other = stored(store, beta=0.8), stored(store, beta=0.9)
    spec = store.folder(run).spec
    spec.write_bytes(spec.read_bytes()[:-20])
    damaged = row(store, run)
    assert damaged["state"] == "damaged"
    assert str(spec) in damaged["reason"]
    assert row(store, other)["state"] == "done"


def test_studies_tell_who_asked(store):
    first, second = stored(store, beta=0.8), stored(store, beta=0.9)
    alone = stored(store, beta=0.95)
    store.register_study("grid", {"runs": [first, second]})
    point = {"method": "adam", "run_id": second, "seed": 0}
    store.register_study("t-seeds-1", {"experiment": "t", "runs": [point]})
    found = load(store).set_index("run")
    assert found["studies"].to_dict() == {
        first: ("grid",),
        second: ("grid", "t-seeds-1"),
        alone: (),
    }
    assert found["sweep"].to_dict() == {first: "grid", second: "grid", alone: ""}
    assert load(store, study="t-seeds-1")["run"].to_list() == [second]
    with pytest.raises(ConfigError, match="did you mean grid"):
        load(store, study="gird")


def test_imported_runs_have_what_is_known_of_them_and_no_more(store, tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text(
        "run,method,lr,beta,step,perplexity,final_perplexity,batch_size,sequence_length,steps\n"
        "1,rmsprop,1e-3,0.9,1,100,,4,16,2\n1,rmsprop,1e-3,0.9,2,50,20,4,16,2\n"
        "2,rmsprop,2e-3,0.9,1,100,inf,4,16,2\n"
        "3,rmsprop,1e-3,0.9,1,100,21,4,16,2\n"
    )
    import_table(path, store)
    own = stored(store, beta=0.9)
    found: Any = load(store).set_index("run")
    assert list(found.index) == [own, "theirs#0", "theirs#1", "theirs#2"]
    first, second = found.loc["theirs#0"], found.loc["theirs#1"]
    assert (first["source"], first["sweep"], first["row"]) == ("table", "theirs", 0)
    assert (first["beta1"], first["beta2"], first["tokens"]) == (0.0, 0.9, 128)
    assert first["loss"] == pytest.approx(math.log(20))
    assert pd.isna(first[["weight_decay", "clip_norm", "eps", "seed", "precision"]]).all()
    assert (second["diverged"], second["loss"]) == (True, math.inf)
    assert found["diverged"].dtype == bool


def test_curves_in_order_with_their_place_in_the_run(store, tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text(
        "run,method,lr,beta,step,perplexity,steps\n1,signum,1e-3,0.9,1,100,4\n"
        "1,signum,1e-3,0.9,2,50,4\n"
    )
    import_table(path, store)
    own = stored(store, beta=0.9, loss=4.0, steps=5)
    curves = load_curves(store)
    ours = curves[curves["run"] == own]
    assert ours["step"].to_list() == [1, 2, 3, 4, 5]
    assert ours["fraction"].to_list() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert ours["loss"].to_list() == pytest.approx([4.8, 4.6, 4.4, 4.2, 4.0])
    theirs = load_curves(store, ["theirs#0"])
    assert theirs["fraction"].to_list() == [0.25, 0.5]
    assert theirs["loss"].to_list() == pytest.approx([math.log(100), math.log(50)])
    assert set(curves["kind"]) == {"training"}


def test_an_empty_store_gives_an_empty_table_with_the_same_columns(store, tmp_path):
    empty = load(store)
    stored(store, beta=0.9)
    assert empty.dtypes.to_dict() == load(store).dtypes.to_dict()
    assert load_curves(Store(tmp_path / "other", create=True)).empty
