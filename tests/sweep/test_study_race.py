"""Which runs of a study race with each other, and which settings run with all seeds."""

from __future__ import annotations

import copy
import json
import statistics
from collections import Counter
from typing import Any

import pytest
from oracles.paused_runs import STEPS, TARGET, loss_of, steps_trained

from descentlab.errors import ConfigError
from descentlab.runs.identity import make_run
from descentlab.runs.store import Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.inline import InlineExecutor
from descentlab.sweep.racing.dry_run import dry_run
from descentlab.sweep.racing.replicates import FEWEST, MOST
from descentlab.sweep.racing.scheduler import SEED_SD
from descentlab.sweep.study import study_from
from descentlab.sweep.study_race import StudyRace

STUDY: dict[str, Any] = {
    "name": "test",
    "run": {},
    "seeds": [1, 2],
    "axes": {"optimizer.lr": [0.5, 1.0, 2.0], "training.batch_size": [8, 16]},
    "methods": {
        "adam": {
            "optimizer": {"method": "adam"},
            "axes": {"optimizer.beta": [0.8, 0.9, 0.95]},
        },
        "sgd": {
            "optimizer": {"method": "sgd"},
            "axes": {"optimizer.beta": [0.9, 0.95]},
        },
    },
}
ONE = {
    "name": "one",
    "run": {},
    "seeds": [7, 3, 5],
    "axes": {"optimizer.lr": [0.5, 1.0, 2.0, 4.0], "optimizer.beta": [0.6, 0.8, 0.9, 0.95]},
}


def run_of(point, luck):
    """A run whose loss is a formula of its learning rate and decay, and of its seed's luck."""
    values = point.values
    key = (values["optimizer.lr"], values["optimizer.beta"], values.get("seed"))
    settings = {
        "lr": values["optimizer.lr"],
        "beta": values["optimizer.beta"],
        "behaviour": "diverges" if luck.get(key) == "diverges" else "ok",
        "luck": 0.0 if luck.get(key) == "diverges" else luck.get(key, 0.0),
        "seed": values.get("seed"),
        "optimizer": {"method": point.method or "adam"},
        "training": {"steps": STEPS, "batch_size": values.get("training.batch_size", 8)},
        "data": {"sequence_length": 16},
    }
    identity = {"method": point.method, **values}
    return make_run(identity=identity, settings=settings, data_sha256="0" * 64)


def made(study, scheduler="racing", luck=None):
    points = study_from(study, where="test").points()
    return StudyRace(points, [run_of(point, luck or {}) for point in points], scheduler)


def test_runs_that_begin_anew_at_each_rung_are_refused():
    points = study_from(ONE, where="test").points()
    runs = [run_of(point, {}) for point in points]
    for run in runs:
        run.settings["execution"] = {"resume": "restart"}
    with pytest.raises(ConfigError, match=r'execution.resume: is "restart", so a run'):
        StudyRace(points, runs, "racing")


def raced(study, store, scheduler="racing", luck=None) -> StudyRace:
    races = made(study, scheduler, luck)
    Sweep(
        runs=list(races.runs.values()),
        labels={},
        store=store,
        executor=InlineExecutor(),
        target=TARGET,
        observe=lambda progress: None,
        steps_of=lambda run: STEPS,
        agenda=races.agenda(store, "study"),
    ).drive()
    return races


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store", create=True)


def point_of(races, run_id):
    return races.runs[run_id].settings["lr"], races.runs[run_id].settings["beta"]


def seeds_trained(races, store) -> dict[tuple[float, float], dict[int, int]]:
    """By setting and seed, the steps that were trained."""
    found: dict[tuple[float, float], dict[int, int]] = {}
    for run_id, steps in Counter(steps_trained(store)).items():
        seed = races.runs[run_id].settings["seed"]
        found.setdefault(point_of(races, run_id), {})[seed] = steps
    return found


def test_only_runs_that_differ_in_numbers_of_the_optimizer_race(store):
    races = raced(STUDY, store)
    found = races.found()
    for each in found:
        assert each.winner is not None
        assert point_of(races, each.winner) == (1.0, 0.9)
        winner = races.runs[each.winner]
        assert winner.settings["optimizer"]["method"] == each.race.split()[0]
        assert loss_of(winner, STEPS) == each.loss == 3.0
        assert 0 < each.cost <= 1
    assert [each.race for each in found] == [
        f"{method} training.batch_size={size}" for method in ("adam", "sgd") for size in (8, 16)
    ]
    record = json.loads(races.record())
    assert set(record["decisions"]) == {each.race for each in found}
    decided = [one for made in record["decisions"].values() for one in made]
    assert {one["verdict"] for one in decided} >= {"kept", "paused"}
    assert all({"cell", "fraction", "rule"} <= one.keys() for one in decided)


def test_settings_race_on_the_first_seed_and_the_best_run_with_the_others(store):
    races = raced(ONE, store)
    trained = seeds_trained(races, store)
    assert all(7 in seeds for seeds in trained.values())
    assert len(trained) == 16
    whole = {setting for setting, seeds in trained.items() if set(seeds) == {7, 3, 5}}
    finished = [setting for setting, seeds in trained.items() if seeds[7] == STEPS]
    best = sorted(finished, key=lambda each: abs(each[0] - 1) + 5 * abs(each[1] - 0.9))
    assert whole == set(best[:FEWEST])
    for setting in whole:
        assert set(trained[setting].values()) == {STEPS}
    assert all(set(seeds) == {7} for setting, seeds in trained.items() if setting not in whole)
    (found,) = races.found()
    spent = sum(steps for seeds in trained.values() for steps in seeds.values())
    assert found.cost == pytest.approx(spent / (3 * 16 * STEPS), abs=0.02)
    assert [point_of(races, each.keys[0]) for each in found.settings] == best[:FEWEST]
    assert found.within_noise == [found.winner]  # the next is 0.25 above, with every seed
    decided = [one for one in races.races[""].decisions if one.rule == "other seeds"]
    kept = [point_of(races, one.cell) for one in decided if one.verdict == "kept"]
    assert kept == best[:FEWEST]
    assert len(decided) == len(finished)
    limit = loss_of(races.runs[decided[0].against or ""], STEPS)
    assert {one.threshold for one in decided} == {limit}


def test_all_that_are_within_noise_on_the_first_seed_run_with_all_up_to_a_bound(store):
    level = {
        (lr, beta, seed): -abs(lr - 1) - 5 * abs(beta - 0.9) + 0.001 * number
        for seed in ONE["seeds"]
        for lr in ONE["axes"]["optimizer.lr"]
        for number, beta in enumerate(ONE["axes"]["optimizer.beta"])
    }
    races = raced(ONE, store, "random", level)
    (found,) = races.found()
    assert len(found.settings) == MOST
    decided = [one for one in races.races[""].decisions if one.rule == "other seeds"]
    assert Counter(one.verdict for one in decided) == {"kept": MOST, "paused": 16 - MOST}
    # They differ by 0.001 with every seed alike, which three seeds cannot be trusted to show.
    assert sorted(found.within_noise) == sorted(each.keys[0] for each in found.settings)


def test_the_winner_is_that_of_all_seeds_and_noise_is_that_of_their_differences(store):
    luck = {
        (1.0, 0.9, 3): 0.9,  # the winner of the race has no luck with the others
        (1.0, 0.9, 5): 0.8,
        (1.0, 0.95, 3): 0.1,
        (1.0, 0.95, 5): -0.1,
        (1.0, 0.8, 7): -0.05,
        (1.0, 0.8, 3): 0.25,
        (1.0, 0.8, 5): 0.45,
    }
    races = raced(ONE, store, "random", luck)
    (found,) = races.found()
    losses = {
        point_of(races, each.keys[0]): [loss_of(races.runs[key], STEPS) for key in each.keys]
        for each in found.settings
    }
    assert losses[1.0, 0.95] == pytest.approx([3.25, 3.35, 3.15])
    assert losses[1.0, 0.8] == pytest.approx([3.45, 3.75, 3.95])
    assert losses[1.0, 0.9] == pytest.approx([3.0, 3.9, 3.8])
    assert point_of(races, found.winner) == (1.0, 0.95)
    assert found.loss == pytest.approx(3.25)
    near = [
        setting
        for setting, mine in losses.items()
        if statistics.fmean(pairs := [a - b for a, b in zip(mine, losses[1.0, 0.95], strict=True)])
        <= 2 * max(statistics.stdev(pairs), 2**0.5 * SEED_SD) / 3**0.5
    ]
    assert {point_of(races, each) for each in found.within_noise} == set(near)
    # Means differ by 0.32 and 0.47, two standard errors are 0.57 and 0.35.
    assert [point_of(races, each) for each in found.within_noise] == [(1.0, 0.95), (1.0, 0.9)]


@pytest.mark.parametrize("seeds", [[7, 3, 5], [7, 5]])
def test_a_setting_that_diverges_with_one_seed_does_not_win(store, seeds):
    races = raced({**ONE, "seeds": seeds}, store, "random", {(1.0, 0.9, 5): "diverges"})
    (found,) = races.found()
    assert point_of(races, found.winner) == (1.0, 0.95)
    last = found.settings[-1]
    assert point_of(races, last.keys[0]) == (1.0, 0.9)
    assert last.losses == [3.0] * (len(seeds) - 1) + [None]
    assert last.keys[0] not in found.within_noise


def test_where_every_setting_diverges_with_some_seed_there_is_no_winner(store):
    luck = {
        (lr, beta, 3): "diverges"
        for lr in ONE["axes"]["optimizer.lr"]
        for beta in ONE["axes"]["optimizer.beta"]
    }
    (found,) = raced(ONE, store, luck=luck).found()
    assert (found.winner, found.loss, found.within_noise) == (None, None, [])


def test_a_study_that_gains_seeds_trains_them_for_the_best_alone(store):
    fewer = {**ONE, "seeds": [7, 3]}
    before = seeds_trained(raced(fewer, store), store)
    races = raced(ONE, store)
    after = seeds_trained(races, store)
    assert {setting: {**seeds, 5: STEPS} for setting, seeds in before.items() if 3 in seeds} == {
        setting: seeds for setting, seeds in after.items() if 3 in seeds
    }
    assert [seeds for seeds in after.values() if 3 not in seeds] == [
        seeds for seeds in before.values() if 3 not in seeds
    ]


def test_a_study_that_gains_points_trains_nothing_twice(store):
    fewer = copy.deepcopy(ONE)
    fewer["axes"]["optimizer.lr"] = [0.5, 2.0, 4.0]
    raced(fewer, store)
    races = raced(ONE, store)
    trained = seeds_trained(races, store)
    assert max(steps for seeds in trained.values() for steps in seeds.values()) == STEPS
    (found,) = races.found()
    assert point_of(races, found.winner) == (1.0, 0.9)
    assert len(found.settings[0].keys) == 3


def test_started_again_it_finds_the_same_and_trains_nothing(store):
    luck = {(1.0, 0.9, 3): 0.9, (1.0, 0.8, 5): -0.6}
    first = raced(ONE, store, luck=luck)
    steps = steps_trained(store)
    again = raced(ONE, store, luck=luck)
    assert steps_trained(store) == steps
    assert again.found() == first.found()
    assert again.record() == first.record()


def test_settings_whose_seeds_differ_race_apart_or_run_with_those_that_all_have():
    apart = {**ONE, "zip": [{"seed": [1, 2], "optimizer.weight_decay": [0.1, 0.2]}]}
    del apart["seeds"]
    assert set(made(apart).races) == {"seed=1", "seed=2"}
    mixed = {
        "name": "mixed",
        "run": {},
        "zip": [{"seed": [1, 2, 3, 1, 3], "optimizer.lr": [1.0, 1.0, 1.0, 2.0, 2.0]}],
        "axes": {"optimizer.beta": [0.8, 0.9]},
    }
    races = made(mixed)
    replicates = races.races[""]
    assert len(list(replicates.race.cells)) == 4
    seeds = [races.runs[run_id].settings["seed"] for run_id in replicates.cells]
    assert seeds == [1] * 4 + [3] * 4


def test_dry_runs_cost_what_the_schedulers_rules_allow():
    single = {**STUDY, "seeds": [1]}
    assert dry_run([*made(single, "none").races.values()], 0) == 1.0
    sgd = {**single, "methods": {"sgd": STUDY["methods"]["sgd"]}}
    assert 0.6 < dry_run([*made(sgd).races.values()], 0) < 1
    large = copy.deepcopy(ONE)
    large["axes"]["optimizer.beta"] = [1 - 0.5**n for n in range(20)]
    shares = [dry_run([*made(large).races.values()], seed) for seed in range(4)]
    assert all(0.03 < each < 0.3 / 3 + 6 * 2 / 240 for each in shares)
    assert len(set(shares)) > 1


def test_a_scheduler_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="did you mean racing"):
        made(STUDY, "racng")
