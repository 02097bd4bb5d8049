"""What claims ask of the runs of a scale: the right ones, judged on the right seeds."""

from __future__ import annotations

import math

import pytest
from oracles.run_frames import evidence, frame, run, tuned

from descentlab.analysis.claims.evidence import (
    CONSTANT,
    MOLLIFIED,
    PER_TENSOR,
    WITH_MOMENTUM,
    is_method,
    prepared,
)
from descentlab.analysis.claims.finding import LackingEvidence
from descentlab.analysis.claims.seed_noise import SeedNoise

NOISE = SeedNoise(sd=0.005, df=16, source="made up")


def losses(*perplexities):
    return [pytest.approx(math.log(each)) for each in perplexities]


def test_a_method_is_tuned_on_one_seed_and_judged_on_the_others():
    adam = evidence(tuned("adam", [20, 21, 22])).contender("adam")
    assert adam.best["lr"] == 0.02
    assert adam.losses == losses(20, 21, 22)
    assert adam.seeds == (101, 102, 103)
    assert (adam.trials, adam.runs, adam.noise, adam.edges) == (3, 6, None, [])


def test_a_lucky_fresh_seed_does_not_change_the_winner():
    rows = [*tuned("adam", [20, 21, 22]), run("adam", 1.0, lr=0.04, seed=102)]
    assert evidence(rows).contender("adam").best["lr"] == 0.02


def test_a_whole_grid_with_several_seeds_is_tuned_on_the_first_of_them():
    rows = [run("adam", 20 + lr + seed, lr=lr, seed=seed) for lr in (1, 2, 4) for seed in (1, 2, 3)]
    adam = evidence(rows).contender("adam")
    assert (adam.best["lr"], adam.seeds, adam.losses) == (1, (2, 3), losses(23, 24))


def test_one_setting_needs_no_tuning_so_all_its_seeds_count():
    rows = [run("adam", 20 + seed, seed=seed) for seed in (1, 2, 3)]
    assert evidence(rows).contender("adam").losses == losses(21, 22, 23)


def test_a_winner_without_fresh_seeds_says_so():
    adam = evidence([run("adam", 20 + lr, lr=lr) for lr in (1, 2, 4)]).contender("adam")
    assert adam.losses == losses(21)
    assert "adam was judged on the run that it was chosen by" in adam.caveats
    assert "adam's best lr, 1, is the smallest tried" in adam.caveats


def test_a_lone_survivor_is_told():
    rows = [run("sgd", math.inf, lr=4, beta=beta) for beta in (0.8, 0.9)]
    rows += [run("sgd", 30, lr=4, beta=0.95), run("sgd", 40, lr=2), run("sgd", 41, lr=1)]
    told = evidence(rows).contender("sgd").caveats
    assert "of sgd's 3 runs at that lr it alone did not diverge" in told
    assert "sgd's best lr, 4, is the largest tried" in told


def test_single_runs_take_the_declared_noise_and_all_that_they_were_chosen_from():
    rows = [run("adam", 20 + lr, lr=lr) for lr in (1, 2, 4)]
    adam = evidence(rows, noise={"adam": NOISE}).contender("adam")
    assert adam.noise is NOISE
    assert list(adam.choice) == losses(21, 22, 24)


def test_contenders_share_seeds_in_the_same_order():
    rows = [*tuned("adam", [20, 21, 22]), *tuned("signum", [23, 24], seeds=(103, 101))]
    adam, signum = evidence(rows).contenders("adam", "signum")
    assert adam.seeds == signum.seeds == (101, 103)
    assert adam.losses == losses(20, 22)
    assert signum.losses == losses(24, 23)
    apart = [*tuned("adam", [20], seeds=(7,)), *tuned("signum", [23], seeds=(8,))]
    with pytest.raises(LackingEvidence, match="no seed in common"):
        evidence(apart).contenders("adam", "signum")


def test_missing_runs_are_named_with_their_condition():
    with pytest.raises(LackingEvidence) as lacking:
        evidence(tuned("adam", [20, 21, 22])).grid("signum")
    assert str(lacking.value) == (
        "no run of signum with model laptop, text, length 64, batch 32, 160 steps"
    )


def test_only_runs_of_the_condition_count():
    rows = tuned("adam", [20, 21, 22])
    elsewhere = {"batch_size": 64, "steps": 320, "dataset": "other", "model": "tiny"}
    strangers = [run("adam", 5, lr=0.5, **{name: place}) for name, place in elsewhere.items()]
    assert evidence([*rows, *strangers]).contender("adam").best["lr"] == 0.02
    assert evidence([*rows, *strangers]).at(batch_size=64).contender("adam").best["lr"] == 0.5


def test_other_settings_make_another_condition_but_the_budget_moves_the_warmup():
    def conditions(**settings):
        return prepared(frame([run("adam", 20, settings=settings)]))["conditions"].item()

    short = {"schedule.warmup_steps": 16, "training.steps": 160, "schedule.floor_lr": 0.1}
    long = {"schedule.warmup_steps": 32, "training.steps": 320, "schedule.floor_lr": 0.2}
    assert conditions(**short) == conditions(**long)
    assert conditions(**{**short, "schedule.warmup_steps": 48}) != conditions(**short)
    assert conditions(**{**short, "schedule.count_from": 0}) != conditions(**short)
    assert conditions(**short, **{"optimizer.lr": 1}) == conditions(**short)


def test_copies_failures_and_runs_without_a_result_are_left_out():
    rows = tuned("adam", [20, 21, 22])
    rows.append(run("adam", 5, lr=0.5, duplicate_of="run 0"))
    rows.append(run("adam", 5, lr=0.5, state="failed"))
    rows += [run("adam", None, lr=0.5, state="done"), run("adam", None, lr=0.5)]
    found = evidence([*rows, rows[0]])
    assert found.contender("adam").losses == losses(20, 21, 22)
    assert len(found.grid("adam")) == 6
    assert len(found.stopped("adam")) == 1


def test_runs_that_were_stopped_were_tried():
    """So the best learning rate lies on no edge, though all below it were stopped."""
    rows = [run("adam", 20 + lr, lr=lr) for lr in (1, 2, 4)]
    assert evidence(rows).contender("adam").edges == ["smallest tried"]
    adam = evidence([*rows, run("adam", None, lr=0.5)]).contender("adam")
    assert (adam.edges, adam.trials, adam.runs) == ([], 4, 4)


def test_the_usual_conventions_are_taken_unless_others_are_asked_for():
    odd = [run("adam", 5, lr=0.02, seed=seed, eps=1e-3) for seed in (0, 101)]
    found = evidence([*tuned("adam", [20, 21, 22]), *odd])
    assert found.contender("adam").losses == losses(20, 21, 22)
    assert found.contender("adam", eps=1e-3).losses == losses(5, 5)


def test_methods_that_labels_do_not_tell():
    kinds = {
        "signum": run("signum", 1),
        "sign": run("signum", 1, beta=0.0),
        "sign by adam": run("adam", 1, beta1=0.0, beta2=0.0),
        "mollified": run("signum", 1, eps=0.1),
        "rmsprop": run("rmsprop", 1, beta1=0.0, beta2=0.9),
        "constant": run("constant_variance", 1, settings={"optimizer.variance": 1e-8}),
        "by tensor": run("constant_variance", 1, settings={"optimizer.relative.head.weight": 2.0}),
    }
    runs = prepared(frame(list(kinds.values())))

    def of(method):
        return {name for name, yes in zip(kinds, is_method(runs, method), strict=True) if yes}

    assert of("signum") == {"signum", "sign"}
    assert of(WITH_MOMENTUM) == {"signum"}
    assert of("signsgd") == {"sign", "sign by adam"}
    assert of(MOLLIFIED) == {"mollified"}
    assert of("rmsprop") == {"rmsprop"}
    assert of(CONSTANT) == {"constant"}
    assert of(PER_TENSOR) == {"by tensor"}


def test_clipping_coordinates_that_changes_nothing_is_the_same_runs():
    """They are stored once, under the name that was asked for first."""
    settings = {"optimizer.coordinate_clip": "none"}
    rows = tuned("sgd+Cclip", [30, 31, 32], settings=settings, coordinate_clip=1.0)
    rows += [run("sgd+Gclip", 33, lr=0.02, seed=104, settings=settings)]
    twins = evidence(rows).contenders("sgd+Cclip", "sgd+Gclip")
    assert twins[0].run_ids == twins[1].run_ids
    assert twins[0].losses == losses(30, 31, 32, 33)
    differing = [{**each, "settings": {}, "source": "secretsauce"} for each in rows]
    assert evidence(differing).contender("sgd+Cclip").losses == losses(30, 31, 32)


def test_methods_meet_at_a_budget_that_both_have_if_there_is_one():
    long, short = {"steps": 6200}, {"steps": 4800}
    rows = [run("adam", 20, **long), run("adam", 22, **short), run("sgd", 50, **short)]
    rows += [run("signum", 23, **long)]
    found = evidence(rows, noise=dict.fromkeys(("adam", "sgd", "signum"), NOISE))
    found = found.at(**long)
    with pytest.raises(LackingEvidence):
        found.contenders("adam", "sgd")
    paper = evidence(rows, noise=found.noise, unequal_budgets=True).at(**long)
    assert [each.steps for each in paper.contenders("adam", "sgd")] == [4800, 4800]
    assert [each.steps for each in paper.contenders("adam", "signum")] == [6200, 6200]
    assert [each.steps for each in paper.contenders("signum", "sgd")] == [6200, 4800]


def test_noise_is_declared_or_pooled_over_settings_with_several_seeds():
    rows = [run("adam", math.exp(loss), lr=lr, seed=seed)
            for lr, group in ((1, (3.0, 3.1)), (2, (4.0, 4.1, 4.2)), (4, (5.0,)))
            for seed, loss in enumerate(group)]  # fmt: skip
    noise = evidence(rows).seed_noise("adam")
    assert noise.df == 3
    assert noise.sd == pytest.approx(math.sqrt((2 * 0.05**2 + 2 * 0.1**2) / 3))
    assert evidence(rows, noise={"adam": NOISE}).seed_noise("adam") is NOISE
    with pytest.raises(LackingEvidence, match="no setting of adam ran with two seeds"):
        evidence([run("adam", 20)]).seed_noise("adam")


def test_single_runs_with_known_noise_do_not_meet_those_with_seeds():
    rows = [run("adam", 20 + lr, lr=lr, seed=101) for lr in (1, 2, 4)]
    found = evidence([*rows, *tuned("signum", [23, 24, 25])], noise={"adam": NOISE})
    adam, signum = found.contenders("adam", "signum")
    assert adam.seeds == signum.seeds == (101,)
