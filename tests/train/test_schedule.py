"""The learning rate against formulas written another way, and against known values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Literal

import msgspec
import pytest

from descentlab.train.conventions import CONVENTIONS
from descentlab.train.schedule import Schedule


def reference(step: int, steps: int, warmup: int, peak: float, floor: float) -> float:
    """A straight line up to the peak, then ``floor + (peak − floor)·cos²``."""
    if step <= warmup:
        return peak / warmup * step
    progress = (step - warmup) / (steps - warmup)
    return floor + (peak - floor) * math.cos(math.pi / 2 * progress) ** 2


def rates(schedule: Schedule, steps: int, peak: float) -> list[float]:
    return [schedule.lr(step, steps=steps, peak=peak) for step in range(1, steps + 1)]


@pytest.mark.parametrize(
    ("steps", "share", "warmup"),
    [
        (6200, 0.1, 620),
        (95, 0.1, 9),  # a whole number of steps, rounded down
        (9, 0.1, 0),
        (1, 0.1, 0),
        (8, 0.25, 2),
        (7, 0.0, 0),
        (7, 1.0, 7),
        (1, 1.0, 1),
    ],
)
@pytest.mark.parametrize(
    ("floor", "unit", "floor_lr"),
    [(0.0, "fraction", 0.0), (0.1, "fraction", 3e-4), (1e-5, "absolute", 1e-5)],
)
def test_every_step_follows_the_formula(
    steps: int,
    share: float,
    warmup: int,
    floor: float,
    unit: Literal["fraction", "absolute"],
    floor_lr: float,
) -> None:
    schedule = Schedule(warmup=share, floor=floor, floor_unit=unit)
    expected = [reference(k, steps, warmup, 3e-3, floor_lr) for k in range(1, steps + 1)]
    assert rates(schedule, steps, 3e-3) == pytest.approx(expected, rel=1e-12, abs=1e-17)


def test_the_papers_schedule_at_its_landmarks() -> None:
    schedule = Schedule(warmup=0.1, floor=1e-5, floor_unit="absolute")
    at = {step: schedule.lr(step, steps=6200, peak=8e-3) for step in (1, 310, 620, 3410, 6200)}
    assert at == pytest.approx({1: 8e-3 / 620, 310: 4e-3, 620: 8e-3, 3410: 4.005e-3, 6200: 1e-5})


def trainer_rates(steps: int, peak: float) -> Iterator[float]:
    """What the paper's trainer gives each update, as a loop that steps its scheduler last."""
    warmup, end = int(0.1 * steps), 1e-5
    lr = 0.0
    for t in itertools.count(1):
        yield lr
        if t <= warmup:
            lr = 0.0 + (peak - 0.0) / warmup * t
        else:
            progress = (t - warmup) / (steps - warmup)
            lr = end + 0.5 * (peak - end) * (1 + math.cos(math.pi * progress))


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 95, 4800, 6200, 7800])
@pytest.mark.parametrize("peak", [8e-3, 5e-4])
def test_the_papers_conventions_give_the_rates_of_its_trainer(steps: int, peak: float) -> None:
    schedule = msgspec.convert(CONVENTIONS["paper"][0]["schedule"], Schedule)
    found = rates(schedule, steps, peak)
    assert found == pytest.approx([*itertools.islice(trainer_rates(steps, peak), steps)], rel=1e-12)
    assert found[0] == 0
    assert 1e-5 not in found  # the floor is never taken


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.35, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 7, 40])
def test_counting_from_zero_gives_the_rates_of_one_update_before(warmup: float, steps: int) -> None:
    one = Schedule(warmup=warmup, floor=0.1)
    zero = Schedule(warmup=warmup, floor=0.1, count_from=0)
    first, *rest = rates(zero, steps, 0.5)
    assert rest == rates(one, steps, 0.5)[:-1]
    assert first == 0


def test_a_tenth_of_the_steps_is_rounded_as_the_trainer_rounds_it() -> None:
    steps = range(1, 10_000)
    assert [Schedule().warmup_steps(n) for n in steps] == [int(0.1 * n) for n in steps]


def test_without_warmup_the_first_step_is_already_below_the_peak() -> None:
    first, *_, last = rates(Schedule(warmup=0.0), 10, 1.0)
    assert 0.9 < first < 1.0
    assert last == pytest.approx(0.0, abs=1e-15)


def test_all_warmup_ends_at_the_peak() -> None:
    assert rates(Schedule(warmup=1.0), 4, 1.0) == [0.25, 0.5, 0.75, 1.0]


def test_fractional_floor_gives_one_shape_for_all_peaks_and_an_absolute_one_does_not() -> None:
    fraction = Schedule(floor=0.1)
    absolute = Schedule(floor=0.1, floor_unit="absolute")
    small, large = (rates(fraction, 20, peak) for peak in (1.0, 8.0))
    assert [8 * lr for lr in small] == pytest.approx(large)
    small, large = (rates(absolute, 20, peak) for peak in (1.0, 8.0))
    assert [8 * lr for lr in small] != pytest.approx(large)
