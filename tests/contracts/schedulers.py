"""What every scheduler must do; each scheduler's test class inherits this suite."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from oracles.toy_races import AXES, ToyRuns, bowl, grid, told

from descentlab.errors import ConfigError
from descentlab.runs.races import Decision
from descentlab.sweep.racing.curve import Curve
from descentlab.sweep.racing.scheduler import Report, Scheduler

SMALL = {"lrs": (1.0, 2.0, 4.0), "betas": (0.8, 0.9, 0.95)}


def sometimes_diverges(point) -> float:
    return math.inf if point["lr"] >= 4 else bowl()(point)


def never_sound(point) -> float:
    return math.inf


def flat(point) -> float:
    return 3.0


class SchedulerContract:
    """Inherit and define ``kind``."""

    kind: type[Scheduler]

    def make(self, cells=None, **options):
        return self.kind(cells or grid(**SMALL), AXES, **options)

    @pytest.mark.parametrize("final", [bowl(), sometimes_diverges, never_sound, flat])
    @pytest.mark.parametrize("at_once", [None, 1, 3])
    def test_it_ends_and_asks_for_nothing_that_is_finished_or_dropped(self, final, at_once):
        scheduler, runs = self.make(), ToyRuns(final, noise=0.05)
        cost, reached = 0.0, dict.fromkeys(scheduler.grid.cells, 0.0)
        while legs := scheduler.ask():
            assert len({leg.key for leg in legs}) == len(legs)
            for key, until in legs[:at_once]:
                assert reached[key] < until <= 1
                dropped = {each.cell for each in scheduler.decisions if each.verdict == "dropped"}
                assert key not in dropped
                report = runs.report(scheduler.grid.cells[key], until)
                scheduler.tell(key, report)
                reached[key] = 2.0 if report.diverged else until
                assert scheduler.cost >= cost
                cost = scheduler.cost
        assert scheduler.over
        assert cost <= scheduler.budget + 1e-9
        assert cost == pytest.approx(
            sum(scheduler.reached(key) for key in scheduler.grid.cells) / len(scheduler.grid.cells)
        )

    @pytest.mark.parametrize("budget", [0.02, 0.05, 0.2, 0.5, 1.0])
    @pytest.mark.parametrize("seed", [0, 1])
    def test_it_never_asks_for_more_than_the_budget(self, budget, seed):
        scheduler = self.make(budget=budget, seed=seed)
        runs = ToyRuns(sometimes_diverges, noise=0.1, seed=seed)
        while legs := scheduler.ask():
            asked = {key: scheduler.reached(key) for key in scheduler.grid.cells}
            asked |= dict(legs)
            assert sum(asked.values()) / len(asked) <= budget + 1e-9
            key, until = legs[0]
            scheduler.tell(key, runs.report(scheduler.grid.cells[key], until))

    @pytest.mark.parametrize("final", [bowl(), sometimes_diverges])
    def test_told_what_is_on_record_it_asks_for_the_same(self, final):
        whole, runs = self.make(), ToyRuns(final, noise=0.05)
        asked = []
        while legs := whole.ask():
            asked.append(legs)
            key, until = legs[len(legs) // 2]
            report = runs.report(whole.grid.cells[key], until)
            runs.reports.append((key, report))
            whole.tell(key, report)
        for count in range(0, len(runs.reports), 5):
            again = told(self.make(), runs.reports[:count])
            assert again.ask() == asked[count]
        again = told(self.make(), runs.reports)
        assert (again.ask(), again.decisions) == ([], whole.decisions)
        assert again.result() == whole.result()

    def test_asking_changes_nothing(self):
        scheduler = self.make()
        assert scheduler.ask() == scheduler.ask()

    def test_one_cell_alone_is_trained_to_its_end(self):
        cells = grid(lrs=(1.0,), betas=(0.9,))
        scheduler = ToyRuns(bowl()).race(self.make(cells))
        result = scheduler.result()
        assert (result.winner, result.cost) == (cells[0].key, 1.0)

    def test_when_all_diverge_there_is_no_winner(self):
        scheduler = ToyRuns(never_sound).race(self.make())
        result = scheduler.result()
        assert (result.winner, result.loss, result.within_noise) == (None, None, [])
        assert set(result.diverged) | set(result.unfinished) == set(scheduler.grid.cells)
        assert result.cost <= 0.5 + 1e-9

    def test_of_equal_cells_all_that_were_finished_are_within_noise(self):
        result = ToyRuns(flat).race(self.make()).result()
        assert result.within_noise == result.finished != []

    def test_losses_that_are_no_numbers_do_no_harm(self):
        scheduler = self.make()
        runs = ToyRuns(bowl())
        while legs := scheduler.ask():
            for key, until in legs:
                report = runs.report(scheduler.grid.cells[key], until)
                holes = np.where(np.arange(len(report.curve.losses)) % 3, np.nan, math.inf)
                broken = Curve(report.curve.fractions, holes)
                loss = math.nan if key.startswith("2/") and until == 1 else report.loss
                scheduler.tell(key, report._replace(curve=broken, loss=loss))
        result = scheduler.result()
        assert all(math.isfinite(scheduler.final(key)) for key in result.finished)
        assert not any(key.startswith("2/") for key in result.finished)

    def test_a_curve_without_points_does_no_harm(self):
        scheduler = self.make()
        while legs := scheduler.ask():
            for key, until in legs:
                scheduler.tell(key, Report(until, loss=3.0 if until == 1 else None))
        assert scheduler.result().winner is not None

    def test_runs_that_had_their_results_before_cost_nothing_new(self):
        scheduler, runs = self.make(), ToyRuns(bowl())
        for cell in scheduler.grid.cells.values():
            scheduler.tell(cell.key, runs.report(cell, 1.0))
        assert scheduler.ask() == []
        assert scheduler.result().winner == "2/0.9/0.9"

    def test_a_report_from_before_what_was_asked_leaves_it_asked(self):
        scheduler, runs = self.make(), ToyRuns(bowl())
        key, until = scheduler.ask()[0]
        scheduler.tell(key, runs.report(scheduler.grid.cells[key], until / 2))
        assert (key, until) in scheduler.ask()

    def test_decisions_are_json_with_the_numbers_that_they_rest_on(self):
        decisions = ToyRuns(sometimes_diverges, noise=0.05).race(self.make()).decisions
        again = msgspec.json.decode(msgspec.json.encode(decisions), type=list[Decision])
        assert again == decisions
        for each in decisions:
            if each.score is not None and each.threshold is not None:
                assert (each.score <= each.threshold) or each.verdict != "kept"

    @pytest.mark.parametrize(
        ("key", "report", "words"),
        [
            ("nobody", Report(0.5), "not in this grid"),
            ("1/0.8/0.8", Report(1.5), "fraction is 1.5"),
            ("1/0.8/0.8", Report(math.nan), "fraction is nan"),
            ("1/0.8/0.8", Report(1.0), "no final loss"),
        ],
    )
    def test_reports_that_cannot_be_are_refused(self, key, report, words):
        with pytest.raises(ConfigError, match=words):
            self.make().tell(key, report)
