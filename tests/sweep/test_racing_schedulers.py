"""Every scheduler keeps the contract."""

from __future__ import annotations

from contracts.schedulers import SchedulerContract

from descentlab.sweep.racing.asha import ASHA
from descentlab.sweep.racing.choice import SCHEDULERS
from descentlab.sweep.racing.full_grid import FullGrid
from descentlab.sweep.racing.median import Median
from descentlab.sweep.racing.racing import Racing
from descentlab.sweep.racing.random_search import RandomSearch
from descentlab.sweep.racing.successive_halving import SuccessiveHalving


class TestRacing(SchedulerContract):
    kind = Racing


class TestSuccessiveHalving(SchedulerContract):
    kind = SuccessiveHalving


class TestASHA(SchedulerContract):
    kind = ASHA


class TestMedian(SchedulerContract):
    kind = Median


class TestRandomSearch(SchedulerContract):
    kind = RandomSearch


class TestFullGrid(SchedulerContract):
    kind = FullGrid


def test_no_scheduler_goes_without_the_contract():
    tested = {each.kind for each in SchedulerContract.__subclasses__()}
    assert tested == set(SCHEDULERS.values())
