"""What the audit says where methods did not get the same, and where they only seem not to."""

from __future__ import annotations

import math

from oracles.audit_faults import (
    PLANTED,
    absolute_floor,
    findings,
    one,
    shorter,
    with_changes,
)
from oracles.runs import fair, grid, judged


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
