"""Reproductions: trained together, equal runs once, winners with fresh seeds, failures told."""

from __future__ import annotations

import math

import pytest
from oracles.made_up_runs import MadeUpRuns

from descentlab.analysis.frame import load
from descentlab.errors import DataError, FailedRuns, Interrupted
from descentlab.paper.experiments import E1, E2, E3, E6
from descentlab.paper.reproduction import Reproduction, parts
from descentlab.paper.scales import SCALES
from descentlab.paper.summary import Summary, page, verdicts

TINY = SCALES["tiny"]


class Trained(MadeUpRuns):
    """Trains what has no result yet; those that ``fails`` says fail."""

    def __init__(self, loss, fails=lambda run: False):
        super().__init__(loss)
        self.fails = fails

    def execute(self, stage):
        self.stages.append(stage)
        failed = 0
        for run in stage.runs:
            self.store.register(run)
            if self.store.folder(run.run_id).result() is None:
                if self.fails(run):
                    attempt = self.store.claim(run.run_id)
                    attempt.begin({})
                    attempt.end("failed", "ran out of luck")
                    failed += 1
                else:
                    self._train(run, None)
        if failed:
            raise FailedRuns(f"{failed} failed")
        return {}


def loss(settings):
    """Lowest at lr = 0.016; a bit of it is the seed's."""
    rate = math.log2(settings["optimizer"]["lr"] / 0.016)
    return 3 + 0.1 * rate**2 + 0.001 * (settings["seed"] % 7)


def reproduced(tmp_path, experiments, made_up=None, methods=None):
    made_up = made_up or Trained(loss)
    laboratory = made_up.laboratory(tmp_path)
    outcomes = Reproduction(parts(dict.fromkeys(experiments, methods), TINY), laboratory).train()
    return made_up, laboratory, {each.experiment.key: each for each in outcomes}


def test_all_grids_are_one_stage_and_equal_runs_are_trained_once(tmp_path):
    made_up, laboratory, outcomes = reproduced(tmp_path, [E2, E3])
    (stage,) = made_up.stages
    assert stage.name == "grids"
    assert len(stage.runs) == 18 + 15 - 3
    assert len({run.run_id for run in stage.runs}) == len(stage.runs)
    assert (outcomes["E2"].points, outcomes["E3"].points) == (18, 15)
    assert not any(each.failure for each in outcomes.values())
    again, _, _ = reproduced(tmp_path, [E2, E3], Trained(lambda settings: pytest.fail("trained")))
    assert {run.run_id for run in again.stages[0].runs} == {run.run_id for run in stage.runs}
    assert len(laboratory.store.run_ids()) == 30


def test_the_best_of_each_study_and_method_runs_with_fresh_seeds(tmp_path):
    made_up, _, outcomes = reproduced(tmp_path, [E6])
    grids, winners = made_up.stages
    assert winners.name == "winners"
    settings = [run.settings for run in winners.runs]
    assert {each["optimizer"]["lr"] for each in settings} == {0.016}
    batches = sorted((each["training"]["batch_size"], each["seed"]) for each in settings)
    assert batches == [(size, seed) for size in (4, 8, 16) for seed in (101, 102, 103)]
    best = {run.run_id for run in grids.runs} & {run.run_id for run in winners.runs}
    assert not best
    assert len(outcomes["E6"].runs) == 36 + 9


def test_methods_that_a_figure_does_not_need_are_left_out(tmp_path):
    made_up, _, _ = reproduced(tmp_path, [E1], methods=["sgd"])
    methods = {run.settings["optimizer"]["method"] for run in made_up.stages[0].runs}
    assert methods == {"sgd"}


def test_a_failed_run_fails_its_experiments_alone(tmp_path):
    made_up = Trained(loss, fails=lambda run: run.settings["optimizer"].get("eps") == 1e-3)
    made_up, laboratory, outcomes = reproduced(tmp_path, [E2, E3], made_up)
    assert outcomes["E2"].failure == "3 of 18 runs have no result: ran out of luck"
    assert not outcomes["E3"].failure
    loaded = load(laboratory.store)
    found = list(outcomes.values())
    told = verdicts(found, laboratory.store, loaded)
    text = page(
        Summary(name="all", scale=TINY, outcomes=found, verdicts=told, pieces=[], seconds=1.0)
    )
    assert "- **E2 failed:** 3 of 18 runs have no result: ran out of luck" in text
    assert "E3 failed" not in text
    assert "30 distinct runs" in text
    assert "### E3: Starts of the averages" in text


def test_what_cannot_be_planned_fails_alone_and_a_signal_is_not_swallowed(tmp_path):
    made_up = Trained(loss)
    laboratory = made_up.laboratory(tmp_path)
    original = laboratory.resolve

    def refuse(error):
        def resolve(settings, where):
            if where.startswith("E2"):
                raise error
            return original(settings, where)

        object.__setattr__(laboratory, "resolve", resolve)
        return Reproduction(parts(dict.fromkeys([E2, E3]), TINY), laboratory).train()

    first, second = refuse(DataError("no such text"))
    assert (first.failure, first.runs) == ("no such text", [])
    assert (second.failure, len(second.runs)) == ("", 15)
    with pytest.raises(Interrupted):
        refuse(Interrupted("stopped", 15))


def test_verdicts_are_of_an_experiments_own_runs(tmp_path):
    """ε = 1e-8 ran with more settings in E1; only those of E2 count for the claims on ε."""

    def worse_without_tuning(settings):
        optimizer = settings["optimizer"]
        return 3.0 + (0.1 if optimizer.get("beta", 0) == 0.8 else 0.0) + 1e-4 * settings["seed"]

    _, laboratory, outcomes = reproduced(tmp_path, [E1, E2], Trained(worse_without_tuning))
    told = verdicts(list(outcomes.values()), laboratory.store, load(laboratory.store))
    (small, large) = (finding for _, finding in told["E2"])
    assert small.verdict == "holds"
    assert large.verdict != "holds"
