"""What the audit says of numbers, names and ends on record that cannot be taken as they stand."""

from __future__ import annotations

import math
import tomllib

import pytest
from oracles.audit_faults import (
    PLANTED,
    SIGNUM,
    absolute_floor,
    best_changed,
    findings,
    imported,
    one,
    per_device,
    shorter,
    with_changes,
)
from oracles.runs import BETAS, fair, grid, judged

from descentlab.runs.studies import Entry


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (57971.97, "is that of the untrained model: 57971.97 in 2"),
        (58006.63, "is that of the untrained model: 58006.63 in 2"),
        (2.3e39, "is more than any vocabulary has: 2.3e+39 in 2"),
        (math.nan, "is more than any vocabulary has: inf in 2"),
    ],
)
def test_sentinels(value, said):
    rows = [
        {**row, "loss": math.inf, "diverged": True, "reported": {"final_perplexity": value}}
        if row["row"] == 0 else row
        for row in imported(fair())
    ]  # fmt: skip
    found = one(rows, "sentinel-values")
    assert (found.severity, len(found.runs)) == ("warning", 2)
    assert f"the final perplexity of 2 runs {said}; all count as diverged here" in found.what


def test_a_typed_number_has_no_curve():
    rows = imported(fair())
    told = {"loss": math.inf, "diverged": True, "reported": {"final_perplexity": 500.0}}
    typed = [{**rows[0], **told, "points": 0, "curve": None}, *rows[1:]]
    assert "is a round number without a curve, typed by hand" in one(typed, "sentinel-values").what
    curves = [{**rows[0], **told}, *rows[1:]]
    assert findings(curves, "sentinel-values") == []
    bare = [{**row, "points": 0, "curve": None} for row in typed]
    assert findings(bare, "sentinel-values") == []  # a table without curves has none to miss


def test_an_imputed_value_that_counts_is_an_error():
    value = 57971.97
    rows = [{**row, "perplexity": value, "loss": math.log(value)} if row["row"] < 2 else row
            for row in imported(fair())]  # fmt: skip
    found = one(rows, "sentinel-values")
    assert (found.severity, len(found.runs)) == ("error", 4)
    assert "4 of them count as results" in found.what
    repeated = [{**row, "perplexity": 31.41592} if row["row"] < 2 else row
                for row in imported(fair())]  # fmt: skip
    found = one(repeated, "sentinel-values")
    assert "is one and the same for different settings: 31.42 in 4" in found.what
    rounded = [{**row, "perplexity": 31.4} if row["row"] < 2 else row for row in imported(fair())]
    assert findings(rounded, "sentinel-values") == []


def test_a_result_without_a_number():
    rows = imported(fair())
    rows[3] = {**rows[3], "loss": math.nan, "perplexity": math.nan}
    found = one(rows, "sentinel-values")
    assert found.what == "the final perplexity of 1 run is missing, though they count as done"


def test_a_cell_twice():
    rows = imported(fair())
    found = one([*rows, {**rows[0], "run": "again", "row": 99}], "duplicated-cell")
    assert found.runs == (rows[0]["run"], "again")
    assert "1 cell is there more than once: adam lr=0.001 β1=0.9 β2=0.9" in found.what
    spelled = {"optimizer.method": "adam", "optimizer.lr": 1e-3, "optimizer.weight_decay": 0.1,
               "optimizer.beta1": 0.9, "optimizer.beta2": 0.9}  # fmt: skip
    other = {**rows[0], "run": "again", "row": 99, "settings": spelled, "sweep": "another"}
    assert one([*rows, other], "duplicated-cell").runs == (rows[0]["run"], "again")
    for change in ({"steps": 4800}, {"seed": 1}, {"dataset": "FineWeb"}):
        assert findings([*rows, {**other, **change}], "duplicated-cell") == []


def test_seeds_that_are_not_on_record_are_no_duplicates():
    rows = [{**row, "run": f"{row['run']}-{copy}", "loss": row["loss"] + copy / 100,
             "perplexity": row["perplexity"] + copy, "curve": f"{row['curve']}{copy}"}
            for row in imported(fair()) for copy in range(2)]  # fmt: skip
    assert findings(rows, "duplicated-cell") == []


def test_equal_curves_are_an_error_and_equal_ends_of_our_own_a_note():
    found = one(PLANTED["equal-curves"](fair()), "equal-curves")
    assert (found.severity, len(found.runs)) == ("error", 4)
    rows = fair()
    clipped = {**rows[0], "run": "unclipped", "clip_norm": math.inf,
               "settings": {**rows[0]["settings"], "optimizer.clip_norm": "none"}}  # fmt: skip
    own = one([*rows, clipped], "equal-curves")
    assert (own.severity, own.runs) == ("note", (rows[0]["run"], "unclipped"))
    probed = {**rows[0], "run": "probed", "settings": {**rows[0]["settings"], "probes.every": 10}}
    assert findings([*rows, probed], "equal-curves") == []


def test_names_and_runs_that_agree():
    assert findings(imported(fair()), "budget-name") == []
    assert findings(imported(fair()), "batch-name") == []
    found = one(PLANTED["budget-name"](fair()), "budget-name")
    assert f"{SIGNUM} says 3B, and 9 of its 9 runs trained on 2.52B tokens (4,800 " in found.what


def test_the_batch_of_one_device_and_one_that_fits_nothing():
    found = one(per_device(fair()), "batch-name")
    assert found.severity == "warning"
    assert (
        "9 of 9 runs say batch 64, the name says 512 and 8B tokens; 7,800 steps of 64 are 1.02B "
        "tokens; read as the batch of one device of 8, which gives 8.18B tokens"
    ) in found.what
    odd = [{**row, "reported": {"batch_size": 96.0}, "batch_size": 96} for row in imported(fair())]
    assert [each.severity for each in findings(odd, "batch-name")] == ["error", "error"]


def test_failures_are_told_with_their_reasons():
    found = one(PLANTED["no-result"](fair()), "no-result")
    assert "1 of 24 runs failed: 1 of adam; out of memory (1)" in found.what
    damaged = {"run": "bad", "source": "descentlab", "sweep": "study", "state": "damaged",
               "reason": "its spec does not hash", "settings": {}, "reported": {}, "notes": (),
               "studies": ("study",), "entries": (Entry("study", "study", ""),)}  # fmt: skip
    found = one([*fair(), damaged], "no-result")
    assert "1 of 25 runs are damaged and cannot be read: 1 of unreadable" in found.what


def test_an_inexact_resume_weighs_more_at_the_best_setting():
    assert one(PLANTED["inexact-resume"](fair()), "inexact-resume").severity == "note"
    rows = best_changed(fair(), "adam-seed-101", inexact_since=50)
    found = one(rows, "inexact-resume")
    assert (found.severity, found.runs) == ("warning", ("adam-seed-101",))


def test_a_banded_grid_is_told_with_what_the_product_would_have():
    rows = imported(fair())[1:]
    found = one(rows, "missing-cells")
    assert found.what == "adam has 8 of the 9 cells of its grid (3 lr × 3 beta)"
    assert findings(imported(fair()), "missing-cells") == []
    few = [row for row in imported(fair()) if row["row"] in (0, 4, 8)]
    assert findings(few, "missing-cells") == []  # scattered points are no grid with gaps


def test_equal_runs_under_two_names_are_one_search():
    part = tuple(Entry("study", "study", name) for name in ("sgd+Gclip", "sgd+Cclip"))
    clipped = {"optimizer.method": "sgd", "optimizer.clip_norm": 1.0}
    both = [*grid("sgd+Gclip", floor=3.2), *judged("sgd+Gclip", floor=3.2)]
    rows = with_changes(both, "sgd+Gclip", entries=part, more=clipped)
    found = findings([*fair(), *rows])
    assert [(each.check, each.severity) for each in found] == [("same-method", "note")]
    best = (4e-3, 0.95)
    edge = [*grid("sgd+Gclip", best=best), *judged("sgd+Gclip", best=best)]
    rows = with_changes(edge, "sgd+Gclip", entries=part, more=clipped)
    found = one([*fair(), *rows], "optimum-on-an-edge")
    assert "of sgd+Gclip = sgd+Cclip" in found.what
    assert list(tomllib.loads(found.study)["methods"]) == ["sgd+Gclip"]


def test_methods_that_meet_at_one_setting_are_two():
    rows = grid("adam", betas=[0.0, *BETAS]) + grid("rmsprop", betas=[0.0, *BETAS])
    spelled = [
        {**row, "settings": {**row["settings"], "optimizer.method": "adam",
                             "optimizer.beta1": 0.0 if row["method"] == "rmsprop" else row["beta1"],
                             "optimizer.beta2": row["beta1"]}}
        for row in rows
    ]  # fmt: skip
    for row in spelled:
        del row["settings"]["optimizer.beta"]
    assert findings(spelled, "same-method") == []


def test_findings_come_gravest_first():
    rows = absolute_floor(shorter(fair()))
    rows = [*rows, *with_changes(grid("adam", lrs=[5e-4]), "adam", inexact_since=3)]
    found = [each.severity for each in findings(rows)]
    assert found == sorted(found, key=["error", "warning", "note"].index)
    assert {"error", "warning", "note"} <= set(found)
