"""A replay hands the scheduler what it asked for and no more, and counts cost and regret right."""

from __future__ import annotations

import math
import shutil
import statistics
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from oracles.pickles import RELEASED
from oracles.stored_runs import stored
from oracles.toy_races import AXES, ToyRuns, bowl, grid

from descentlab.errors import ConfigError
from descentlab.runs.imported import ImportedRun, Source, write_import
from descentlab.runs.store import Store
from descentlab.sweep import replay as replaying
from descentlab.sweep.racing.full_grid import FullGrid
from descentlab.sweep.racing.racing import Racing, Rules
from descentlab.sweep.racing.random_search import RandomSearch
from descentlab.sweep.recorded import (
    RecordedCell,
    RecordedSweep,
    imported_runs,
    recorded_runs,
    sweeps_of,
)
from descentlab.sweep.replay import (
    CANDIDATES,
    Replayed,
    Score,
    at_equal_cost,
    leave_one_out,
    racing_by,
    replay,
    score,
    subgrid,
)


def sweep(name="toy", noise=0.05) -> RecordedSweep:
    runs = ToyRuns(bowl(), noise=noise)
    cells = []
    for cell in grid():
        report = runs.report(cell, 1.0)
        loss = math.inf if report.loss is None else report.loss
        cells.append(RecordedCell(cell=cell, curve=report.curve, loss=loss))
    return RecordedSweep(name=name, axes=AXES, cells=cells)


def full(cells, axes, seed):
    return FullGrid(cells, axes, seed=seed)


def test_the_full_grid_costs_all_and_loses_nothing():
    assert replay(sweep(), full, 0) == Replayed(cost=1.0, regret=0.0, chosen="2/0.9/0.9")


class Watched(Racing):
    """Checks every report against what was asked."""

    def tell(self, key, report):
        until = dict(self.ask())[key]
        assert report.fraction == until
        assert report.curve.fractions.max() <= until + 1e-9
        assert report.curve.fractions.size == report.curve.losses.size
        assert (report.loss is None) == (until < 1)
        self.trained = {**getattr(self, "trained", {}), key: until}
        super().tell(key, report)


def test_a_scheduler_sees_of_a_curve_what_it_asked_for_and_no_more():
    made = []

    def make(cells, axes, seed):
        made.append(Watched(cells, axes, seed=seed))
        return made[-1]

    found = replay(sweep(), make, 3)
    assert found.cost == pytest.approx(sum(made[0].trained.values()) / 125)
    assert found.cost < 0.2


def test_regret_is_in_perplexity():
    def one_cell(cells, axes, seed):
        return RandomSearch(cells, axes, seed=seed, budget=1 / 125)

    for seed in range(5):
        found = replay(sweep(), one_cell, seed)
        point = dict(zip(AXES, map(float, (found.chosen or "").split("/")), strict=True))
        assert found.regret == pytest.approx(math.exp(bowl()(point)) - math.exp(3.0))
        assert found.cost == pytest.approx(1 / 125)


def test_where_nothing_was_finished_regret_is_infinite():
    found = replay(sweep(), lambda c, a, s: RandomSearch(c, a, seed=s, budget=0.001), 0)
    assert (found.chosen, found.regret, found.cost) == (None, math.inf, 0.0)


def test_a_seed_repeats_a_replay_and_seeds_differ():
    make = racing_by(Rules())
    noisy = sweep(noise=0.5)
    costs = {replay(noisy, make, seed).cost for seed in range(8)}
    assert len(costs) > 1
    assert replay(noisy, make, 5) == replay(noisy, make, 5)


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_racing_is_the_same_with_any_number_of_workers(at_once):
    make = racing_by(Rules())
    assert replay(sweep(), make, 1, at_once=at_once) == replay(sweep(), make, 1)


def test_a_pool_tells_first_what_ends_first():
    order = []

    class Noted(FullGrid):
        def tell(self, key, report):
            order.append(self.grid.cells[key].budget)
            super().tell(key, report)

    cells = [
        replace(each, cell=msgspec.structs.replace(each.cell, budget=budget))
        for each, budget in zip(sweep().cells[:4], (4.0, 1.0, 3.0, 2.0), strict=True)
    ]
    small = RecordedSweep(name="toy", axes=AXES, cells=cells)
    replay(small, lambda c, a, s: Noted(c, a, seed=s), 0, at_once=4)
    assert order == [1.0, 2.0, 3.0, 4.0]


def test_a_subgrid_lacks_one_value_of_each_axis():
    part = subgrid(sweep(), 0)
    assert len(part.cells) == 4 * 4 * 4
    for name in AXES:
        assert len({each.cell.point[name] for each in part.cells}) == 4
    assert len({tuple(each.cell.key for each in subgrid(sweep(), n).cells) for n in range(9)}) > 4


def test_peers_get_what_racing_spent():
    found = at_equal_cost(sweep(), ["racing", "random", "asha", "none"], range(3))
    assert list(found) == ["racing", "random", "asha", "none"]
    assert found["none"].cost == 1.0
    for name in ("random", "asha"):
        assert 0.5 * found["racing"].cost < found[name].cost <= found["racing"].cost + 1e-9
    assert found["racing"].regret < found["random"].regret


def test_rules_are_never_chosen_with_the_sweep_that_they_are_scored_on(monkeypatch):
    """Each candidate is cheap on one sweep only; so each must be chosen for the others."""
    costs = {(rule.polled, name): 0.9 for rule in CANDIDATES for name in "abc"}
    rules = [Rules(polled=n) for n in range(3)]
    costs |= {(0, "a"): 0.1, (1, "b"): 0.2, (2, "c"): 0.3, (0, "c"): 0.8, (1, "c"): 0.9}

    def made_up(sweep, make, seeds, *, subgrids=False):
        rule = make([each.cell for each in sweep.cells], AXES, 0).rules
        cost = costs.get((rule.polled, sweep.name), 0.9)
        replays = [Replayed(cost=cost, regret=0.0, chosen="x")]
        return Score(sweep=sweep.name, cells=1, replays=replays)

    monkeypatch.setattr(replaying, "score", made_up)
    sweeps = [sweep(name=name) for name in "abc"]
    held = leave_one_out(sweeps, rules, range(1))
    assert [each.rules.polled for each in held] == [1, 0, 0]
    assert [each.whole.cost for each in held] == [0.9, 0.9, 0.8]


def test_leaving_one_out_needs_two():
    with pytest.raises(ConfigError, match="needs two"):
        leave_one_out([sweep()], [Rules()], range(1))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


def refuse(line):
    raise AssertionError(line)


def test_runs_of_a_store_become_sweeps_of_one_method_and_one_seed(store):
    for lr in (1e-3, 2e-3, 4e-3):
        for beta in (0.8, 0.9):
            stored(store, lr=lr, beta=beta, loss=4 + lr + beta)
            stored(store, method="rmsprop", lr=lr, beta=beta, loss=5 + lr + beta)
            stored(store, method="sgd", lr=lr, beta=beta, loss=math.inf if lr > 3e-3 else 6.0)
    stored(store, lr=1e-3, beta=0.8, seed=101)
    found = sweeps_of(recorded_runs(store, refuse))
    assert [each.name for each in found] == ["adam", "rmsprop", "sgd"]
    for each in found:
        assert each.axes == {"lr": "rate", "beta": "decay"}
        assert len(each.cells) == 6
    adam, rmsprop, sgd = found
    assert adam.best == pytest.approx(4.801)
    assert rmsprop.best == pytest.approx(5.801)
    assert sum(math.isinf(each.loss) for each in sgd.cells) == 2
    assert {each.cell.no_drop_before for each in sgd.cells} == {0.6}
    curve = adam.cells[0].curve
    np.testing.assert_allclose(curve.fractions, np.arange(1, 11) / 10)
    np.testing.assert_allclose(curve.losses[-1] + 1 - 0.1, curve.losses[0])


def test_runs_that_differ_in_anything_else_do_not_meet(store):
    for lr in (1e-3, 2e-3, 4e-3, 8e-3):
        stored(store, lr=lr, beta=0.8)
        stored(store, lr=lr, beta=0.8, steps=20)
        stored(store, lr=lr, beta=0.8, clip_norm="none")
    sizes = [len(each.cells) for each in sweeps_of(recorded_runs(store, refuse))]
    assert sizes == [4, 4, 4]


def test_damaged_metrics_are_told_and_used_up_to_there(store):
    ids = [stored(store, lr=lr, beta=0.8) for lr in (1e-3, 2e-3, 4e-3, 8e-3)]
    path = store.folder(ids[0]).attempt(1).metrics
    path.write_bytes(path.read_bytes()[:-5])
    told: list[str] = []
    (found,) = sweeps_of(recorded_runs(store, told.append))
    assert len(told) == 1
    assert "damaged from byte" in told[0]
    assert sorted(each.curve.fractions.size for each in found.cells) == [9, 10, 10, 10]


def imported(row, lr, **changes):
    known = {
        "sweep": "theirs",
        "row": row,
        "method": "adam",
        "settings": {"lr": lr, "beta1": 0.9, "beta2": 0.95, "clip_norm": 1.0},
        "curve": np.array([math.exp(5), math.exp(4), math.inf]),
        "final_perplexity": math.exp(3.0 + lr),
    }
    return ImportedRun(**{**known, **changes})


def test_imported_runs_become_sweeps(store):
    runs = [imported(n, 2.0**-n) for n in range(4)]
    runs += [
        imported(4, 0.01, final_perplexity=None, diverged=True),
        imported(5, 1.0, duplicate_of=0, final_perplexity=1.0),
        imported(6, 0.02, final_perplexity=None),  # nothing is known of its end
        imported(7, 1.0, settings={"lr": 1.0, "beta": 0.9}, method="signum"),
    ]
    write_import(store, Source(kind="table", name="a.csv", bytes=3, sha256="ab" * 32), runs)
    (found,) = sweeps_of(imported_runs(store))
    assert found.name == "theirs adam"
    assert found.axes == {"lr": "rate"}
    assert [each.cell.key for each in found.cells] == [f"theirs {n}" for n in range(5)]
    assert found.best == pytest.approx(3.125)
    assert math.isinf(found.cells[4].loss)
    np.testing.assert_allclose(found.cells[0].curve.fractions, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(found.cells[0].curve.losses, [5, 4, math.inf])


needs_released = pytest.mark.skipif(not RELEASED.is_dir(), reason=f"no released runs in {RELEASED}")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    from descentlab.analysis.imports.importing import import_released

    folder = tmp_path_factory.mktemp("released")
    for path in RELEASED.glob("Adam_*.pkl"):
        shutil.copy(path, folder)
    store = Store(folder / "store", create=True)
    import_released(folder, store, lambda step: None)
    found = sweeps_of(imported_runs(store))
    large = [each for each in found if len(each.cells) >= 90]
    assert len(large) == 4
    return large


@needs_released
def test_on_the_papers_large_grids_racing_costs_a_fifth_and_loses_a_tenth(released):
    scores = [score(each, racing_by(Rules()), range(4)) for each in released]
    assert max(each.cost for each in scores) <= 0.20
    assert statistics.fmean(each.regret for each in scores) <= 0.10


@needs_released
@pytest.mark.slow
def test_it_does_so_under_rules_that_were_chosen_on_other_sweeps(released):
    held = leave_one_out(released, CANDIDATES, range(10))
    assert max(each.whole.cost for each in held) <= 0.20
    assert statistics.fmean(each.whole.regret for each in held) <= 0.10


@needs_released
@pytest.mark.slow
def test_it_loses_less_than_its_peers_at_equal_cost(released):
    names = ["racing", "successive-halving", "asha", "median", "random"]
    scores = [at_equal_cost(each, names, range(10)) for each in released]
    regret = {name: statistics.fmean(each[name].regret for each in scores) for name in names}
    assert min(regret, key=lambda name: regret[name]) == "racing"
