"""Every check on a small comparison that is fair, and on the same with one fault in it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from functools import cache

import pytest
from oracles.runs import BETAS, FRESH, Rows, fair, grid, judged, released, run, table

from descentlab.analysis.audit import CHECKS, Finding, audit
from descentlab.runs.studies import Entry
from descentlab.sweep.study import study_from
from descentlab.train.spec import run_spec

SPEC = {"model": {"size": "tiny"}, "data": {"tokenizer": "byte", "sequence_length": 32},
        "training": {"steps": 100, "batch_size": 8}}  # fmt: skip
SIGNUM = "Signum_160M_SP_SL2048_3Btok_BS256"


def findings(rows: Rows, check: str | None = None) -> list[Finding]:
    found = audit(table(rows))
    return [each for each in found if check in (None, each.check)]


def one(rows: Rows, check: str) -> Finding:
    (found,) = findings(rows, check)
    return found


def with_changes(rows: Rows, of: str, **changes) -> Rows:
    """The rows, those of one method changed, the settings as well."""
    more = changes.pop("more", {})
    return [
        {**row, **changes, "settings": {**row["settings"], **more}} if row["method"] == of else row
        for row in rows
    ]


def best_changed(rows: Rows, name: str, **changes) -> Rows:
    assert any(row["run"] == name for row in rows)
    return [{**row, **changes} if row["run"] == name else row for row in rows]


def test_a_fair_comparison_has_no_findings():
    assert audit(table(fair())) == []


def test_nothing_is_found_where_nothing_is():
    assert audit(table([])) == []
    assert audit(table([run("alone")])) == []


def shorter(rows: Rows) -> Rows:
    more = {"schedule.warmup_steps": 24}  # the same share
    return with_changes(rows, "signum", steps=80, tokens=80 * 256, more=more)


def absolute_floor(rows: Rows) -> Rows:
    return [{**row, "settings": {**row["settings"], "schedule.floor_lr": 1e-5}} for row in rows]


def confounded(rows: Rows) -> Rows:
    """Small rates with one warm-up, large ones with another, for both methods."""
    return [
        {**row, "settings": {**row["settings"], "schedule.warmup_steps": steps}}
        for row in rows
        for steps in [30 if row["lr"] < 3e-3 else 10]
    ]


def on_an_edge(rows: Rows) -> Rows:
    best = (4e-3, 0.95)
    own = [row for row in rows if row["method"] != "adam"]
    return [*own, *grid("adam", best=best), *judged("adam", best=best)]


def lone_survivor(rows: Rows) -> Rows:
    kept = ["adam-0.002-0.95", *(f"adam-seed-{seed}" for seed in FRESH)]
    return [
        {**row, "loss": math.inf, "perplexity": math.inf, "diverged": True}
        if row["method"] == "adam" and row["lr"] >= 2e-3 and row["run"] not in kept
        else row
        for row in rows
    ]


def imported(rows: Rows, **changes) -> Rows:
    """Both methods as two released files, each cell once."""
    own = [row for row in rows if row["seed"] == 0]
    adam = [row for row in own if row["method"] == "adam"]
    signum = [row for row in own if row["method"] == "signum"]
    return [*released(adam, **changes), *released(signum, SIGNUM, **changes)]


def sentinel(rows: Rows) -> Rows:
    told = {"loss": math.inf, "perplexity": math.inf, "diverged": True}
    made = imported(rows)
    return [{**row, **told, "reported": {"final_perplexity": 57971.97}} if row["row"] == 0 else row
            for row in made]  # fmt: skip


def per_device(rows: Rows) -> Rows:
    name = "Adam_410M_SP_SL2048_8Btok_BS512"
    tokens = 7800 * 512 * 2048
    return released(rows[:9], name, model="410M", batch_size=512, steps=7800, tokens=tokens,
                    reported={"batch_size": 64.0})  # fmt: skip


PLANTED: dict[str, Callable[[Rows], Rows]] = {
    "unequal-tokens": shorter,
    "changed-between-methods": lambda rows: with_changes(rows, "signum", weight_decay=0.0),
    "changed-within-a-method": confounded,
    "schedule-floor": absolute_floor,
    "same-method": lambda rows: [*rows, *sgd_twice()],
    "unequal-trials": lambda rows: [*rows, *grid("adam", lrs=[5e-4])],
    "optimum-on-an-edge": on_an_edge,
    "isolated-optimum": lone_survivor,
    "few-seeds": lambda rows: [row for row in rows if row["run"] != "adam-seed-103"
                               and row["run"] != "adam-seed-102"],
    "tuned-on-its-judges": lambda rows: [{**row, "run": f"{row['run']}-{seed}", "seed": seed}
                                         for row in rows if row["seed"] == 0 for seed in FRESH],
    "sentinel-values": sentinel,
    "duplicated-cell": lambda rows: [*imported(rows), {**imported(rows)[0], "run": "again"}],
    "equal-curves": lambda rows: [{**row, "curve": "same"} if row["row"] < 2 else row
                                  for row in imported(rows)],
    "budget-name": lambda rows: imported(rows, steps=4800, tokens=4800 * 256 * 2048),
    "batch-name": per_device,
    "no-result": lambda rows: best_changed(rows, "adam-0.001-0.9", state="failed",
                                           reason="out of memory", loss=math.nan),
    "inexact-resume": lambda rows: best_changed(rows, "adam-0.001-0.9", inexact_since=50),
    "missing-cells": lambda rows: imported(rows)[1:],
    "not-on-record": imported,
}  # fmt: skip


def sgd_twice() -> Rows:
    """What clipping coordinates to 1 cannot change, and yet is told apart."""
    return [
        {**row, "coordinate_clip": math.inf if clip == "none" else clip,
         "settings": {**row["settings"], "optimizer.method": "sgd", "optimizer.clip_norm": 1.0,
                      "optimizer.coordinate_clip": clip}}
        for name, clip, floor in (("sgd+Gclip", "none", 3.2), ("sgd+Cclip", 1.0, 3.3))
        for row in [*grid(name, floor=floor), *judged(name, floor=floor)]
    ]  # fmt: skip


@cache
def planted(check: str) -> list[Finding]:
    """All that is found where the fault of a check is planted."""
    return findings(PLANTED[check](fair()))


def test_there_is_a_fault_for_every_check():
    assert set(PLANTED) == set(CHECKS)


@pytest.mark.parametrize("check", list(CHECKS))
def test_a_planted_fault_is_found_by_its_check(check):
    found = [each for each in planted(check) if each.check == check]
    assert found
    assert all(each.runs and each.what and each.why and each.settle for each in found)


OTHERS = {
    "unequal-tokens": set(),
    "changed-between-methods": set(),
    "changed-within-a-method": set(),
    "schedule-floor": set(),
    "same-method": set(),
    "unequal-trials": set(),
    "optimum-on-an-edge": set(),
    "isolated-optimum": set(),
    "few-seeds": set(),
    "tuned-on-its-judges": set(),
    "no-result": set(),
    "inexact-resume": set(),
    "sentinel-values": {"few-seeds", "not-on-record"},
    "budget-name": {"few-seeds", "not-on-record"},
    "missing-cells": {"few-seeds", "not-on-record", "unequal-trials"},
}
"""What else is found where a fault is planted: nothing, but for what imports are anyway."""


@pytest.mark.parametrize("check", list(OTHERS))
def test_a_planted_fault_raises_no_other_alarm(check):
    found = {each.check for each in planted(check)}
    assert found == {check, *OTHERS[check]}


@pytest.mark.parametrize("check", list(CHECKS))
def test_what_is_to_be_trained_is_a_study(check):
    for each in planted(check):
        if each.study:
            settings = tomllib.loads(each.study)
            own = settings.pop("run", {})
            training = {**SPEC["training"], **own.get("training", {})}
            spec = {**SPEC, "training": training}
            study = study_from({"name": "settle", "run": spec, **settings}, where=check)
            assert study.settings()
            for point in study.settings():
                run_spec(point, where=check)


def test_unequal_tokens_name_both_budgets_and_who_ran_them():
    found = one(shorter(fair()), "unequal-tokens")
    assert found.severity == "error"
    assert "signum ran 20,480 tokens (80 steps)" in found.what
    assert "adam ran 25,600 tokens (100 steps)" in found.what
    assert len(found.runs) == 12
    assert all(each.startswith("signum") for each in found.runs)


def test_budgets_that_all_methods_ran_are_an_axis():
    twice = [
        {**row, "run": f"{row['run']}-{steps}", "steps": steps, "tokens": 256 * steps,
         "loss": row["loss"] - steps / 1e4,
         "settings": {**row["settings"], "schedule.warmup_steps": steps * 3 // 10}}
        for row in fair() for steps in (100, 200)
    ]  # fmt: skip
    assert findings(twice) == []


def test_conditions_that_all_methods_have_split_a_table():
    twice = [{**row, "run": f"{row['run']}-{batch}", "batch_size": batch} for row in fair()
             for batch in (8, 16)]  # fmt: skip
    assert findings(twice) == []
    odd = with_changes(fair(), "signum", batch_size=16)
    assert one(odd, "changed-between-methods").severity == "error"


def test_other_data_is_an_error_and_another_precision_a_warning():
    data = with_changes(fair(), "signum", data="cd" * 32)
    assert one(data, "changed-between-methods").severity == "error"
    precision = with_changes(fair(), "signum", precision="bfloat16")
    found = one(precision, "changed-between-methods")
    assert found.severity == "warning"
    assert "precision is float32 for adam; bfloat16 for signum" in found.what


def test_what_is_not_on_record_is_not_known_to_differ():
    unknown = {"weight_decay": math.nan, "precision": None}
    assert findings(with_changes(fair(), "signum", **unknown)) == []


def test_clipping_is_in_the_name_of_sgd():
    rows = [row for row in fair() if row["method"] == "signum"]
    for name, clip in (("sgd", math.inf), ("sgd+Gclip", 1.0)):
        more = {"optimizer.clip_norm": "none" if math.isinf(clip) else clip}
        own = [*grid(name, more=more), *judged(name, more=more)]
        rows += with_changes(own, name, clip_norm=clip)
    assert findings(rows, "changed-between-methods") == []


def test_a_setting_that_is_crossed_with_the_others_is_an_axis():
    crossed = [
        {**row, "run": f"{row['run']}-{decay}", "weight_decay": decay}
        for row in fair() for decay in (0.0, 0.1)
    ]  # fmt: skip
    assert findings(crossed, "changed-within-a-method") == []
    halves = [{**row, "weight_decay": 0.1 if row["lr"] < 3e-3 else 0.0} for row in fair()]
    found = findings(halves, "changed-within-a-method")
    assert [each.what.partition(" ")[0] for each in found] == ["optimizer.weight_decay"] * 2


def test_a_run_that_a_method_shares_with_another_brings_no_setting_of_that_one():
    """At β = 0 an average of signs is Signum, which has an ε that is 0."""
    lowest = min(row["beta1"] for row in fair())
    rows = [{**row, "eps": 0.0 if row["beta1"] == lowest else math.nan} for row in fair()]
    assert findings(rows, "changed-within-a-method") == []


def test_a_floor_at_a_fraction_of_the_peak_is_one_shape():
    scaled = [{**row, "settings": {**row["settings"], "schedule.floor_lr": 0.01 * row["lr"]}}
              for row in fair()]  # fmt: skip
    assert findings(scaled) == []
    found = one(absolute_floor(fair()), "schedule-floor")
    assert "0.25% to 1.00% of its peak, since the floor is 1e-05 whatever the peak" in found.what
    assert "0.50% for adam and 0.50% for signum" in found.what


def test_trials_are_settings_and_not_runs():
    found = one(PLANTED["unequal-trials"](fair()), "unequal-trials")
    assert (found.severity, found.what) == ("note", "settings tried: adam 12 and signum 9")
    many = [*fair(), *grid("adam", lrs=[5e-4, 25e-5])]
    assert one(many, "unequal-trials").severity == "warning"
    more_seeds = [*fair(), *judged("adam", seeds=[104, 105])]
    assert findings(more_seeds) == []


@pytest.mark.parametrize(
    ("best", "edges", "values"),
    [
        ((4e-3, 0.95), "the highest lr", {"optimizer.lr": [0.008, 0.016]}),
        ((1e-3, 0.95), "the lowest lr", {"optimizer.lr": [0.0005, 0.00025]}),
        ((2e-3, 0.975), "the highest beta", {"optimizer.beta": [0.9875, 0.99375]}),
        ((2e-3, 0.9), "the lowest beta", {"optimizer.beta": [0.8, 0.6]}),
    ],
)
def test_edges_and_what_lies_beyond(best, edges, values):
    rows = [*grid("adam", best=best), *judged("adam", best=best)]
    found = one(rows, "optimum-on-an-edge")
    assert f"has {edges} that was tried" in found.what
    assert tomllib.loads(found.study)["methods"]["adam"]["axes"] == values


def test_nothing_lies_below_a_decay_of_0():
    betas = (0.0, 0.2, 0.6)
    rows = grid("signum", betas=betas, best=(2e-3, 0.0)) + judged("signum", best=(2e-3, 0.0))
    assert findings(rows) == []


def test_what_racing_stopped_was_tried():
    stopped = [
        {**row, "state": "interrupted", "reason": "paused after step 5 of 100, state saved",
         "loss": math.nan, "perplexity": math.nan}
        if row["lr"] == 4e-3 else row
        for row in on_an_edge(fair())
        if row["seed"] == 0 or row["method"] == "signum"
    ]  # fmt: skip
    stopped += judged("adam")
    assert findings(stopped, "optimum-on-an-edge") == []
    found = one(stopped, "no-result")
    assert (found.severity, len(found.runs)) == ("note", 6)
    assert "6 of 24 runs were paused before their end" in found.what
    assert {each.check for each in findings(stopped)} == {"no-result"}


def test_a_lone_survivor_is_told_from_a_supported_optimum():
    found = one(lone_survivor(fair()), "isolated-optimum")
    assert "is the only one of 3 with its learning rate that did not diverge" in found.what
    assert "higher lr diverged, lower beta diverged and higher beta diverged" in found.what
    steep = [
        {**row, "loss": row["loss"] + 0.3}
        if row["method"] == "adam" and row["seed"] == 0 and row["run"] != "adam-0.002-0.95" else row
        for row in fair()
    ]  # fmt: skip
    found = one(steep, "isolated-optimum")
    assert "stands by itself" in found.what
    assert "; 3 other seeds of it gave 22.24" in found.what  # exp of the mean loss, 3.102
    assert math.exp(3.102) == pytest.approx(22.24, abs=0.005)


def test_single_seeds_name_the_settings_to_run_again():
    found = one(PLANTED["few-seeds"](fair()), "few-seeds")
    assert "2 seeds for adam (1 others had 3 or more)" in found.what
    study = tomllib.loads(found.study)
    assert study["seeds"] == [104, 105, 106]
    optimizer = {"method": "adam", "lr": 0.002, "beta": 0.95, "weight_decay": 0.1, "clip_norm": 1.0}
    assert study["methods"]["adam"]["optimizer"] == optimizer


def test_judged_by_other_seeds_than_those_that_tuned():
    found = one(PLANTED["tuned-on-its-judges"](fair()), "tuned-on-its-judges")
    assert "adam and signum" in found.what
    assert len(found.runs) == 6


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
