"""The experiments as data: the paper's run counts, the released grids, and what is shared."""

from __future__ import annotations

import math

import pytest
from oracles.pickles import RELEASED

from descentlab.analysis import load
from descentlab.analysis.imports.importing import import_released
from descentlab.config import flat
from descentlab.errors import ConfigError
from descentlab.paper.claims import CLAIMS
from descentlab.paper.computed import COMPUTED
from descentlab.paper.exhibits import EXHIBITS
from descentlab.paper.experiments import CONTESTS, EXPERIMENTS
from descentlab.paper.pricing import a100_hours, priced
from descentlab.paper.scales import SCALES
from descentlab.paper.wanted import wanted
from descentlab.runs.store import Store
from descentlab.train.plan import resolver
from descentlab.train.spec import run_spec

BY_KEY = {each.key: each for each in EXPERIMENTS}


def studies(key, scale="paper"):
    return BY_KEY[key].studies(SCALES[scale])


def runs_of(name, scale="paper", seeds=3):
    """Points and distinct runs of each experiment that a name asks for."""
    entries = priced(wanted(name, SCALES[scale]), SCALES[scale], resolver(absent_too=True), seeds)
    return {each.key: each for each in entries}


METHOD_RUNS = {
    "adam": 200,
    "signum": 65,  # the text has 70
    "rmsprop": 48,
    "emasign": 35,  # 70 points: clipping by norm cannot change it
    "sgd+Cclip": 24,
    "sgd+Gclip": 84,
    "sgd": 20,  # the text has 28
}


def test_table_1_has_the_papers_numbers_of_runs():
    resolve = resolver(absent_too=True)
    counted = {}
    for study in studies("E1"):
        ((method, _),) = study.methods.items()
        counted[method] = len({resolve(each, "x").run_id for each in study.settings()})
    assert counted == METHOD_RUNS
    assert sum(counted.values()) == 476  # of 475 to 582


def test_clipping_by_norm_cannot_change_the_average_of_signs():
    (study,) = (each for each in studies("E1") if "emasign" in each.methods)
    assert len(study.points()) == 70


@pytest.mark.parametrize(
    ("key", "points"),
    [("E2", 18), ("E3", 15), ("E4", 12), ("E5", 66), ("E6", 548), ("E7", 44), ("E8", 108),
     ("E9", 168)],
)  # fmt: skip
def test_the_other_experiments_have_the_papers_numbers_of_runs(key, points):
    assert sum(len(study.points()) for study in studies(key)) == points
    assert len(runs_of(key)[key].runs) == points


RELEASED_GRIDS = {
    "Adam_160M_SP_SL2048_3Btok_BS256": ("E1", "adam", {}),
    "Signum_160M_SP_SL2048_2Btok_BS256": ("E1", "signum", {}),
    "RMSprop_160M_SP_SL2048_3Btok_BS256": ("E1", "rmsprop", {}),
    "SGD_CClip_160M_SP_SL2048_3Btok_BS256": ("E1", "sgd+Cclip", {}),
    "SGD_GClip_160M_SP_SL2048_3Btok_BS256": ("E1", "sgd+Gclip", {}),
    "SGDPlain_160M_SP_SL2048_3Btok_BS256": ("E1", "sgd", {}),
    "Adam_160M_SP_SL2048_2Btok_BS128": ("E6", "adam", {"training.batch_size": 128}),
    "Adam_160M_SP_SL2048_2Btok_BS256": ("E6", "adam", {"training.batch_size": 256}),
    "Adam_160M_SP_SL2048_2Btok_BS512": ("E6", "adam", {"training.batch_size": 512}),
    "Adam_160M_SP_SL512_3Btok_BS256": ("E5", "adam", {}),
    "Signum_160M_SP_SL512_2Btok_BS256": ("E5", "signum", {}),
    "Adam_410M_SP_SL2048_8Btok_BS512": ("E7", "adam", {}),
    "Adam_160M_FW_SL2048_3Btok_BS256": ("E8", "adam", {}),
    "Signum_160M_FW_SL2048_3Btok_BS256": ("E8", "signum", {}),
    "Adam_160M_SP_SL2048_6Btok_BS256": ("E9", "adam", {}),
}
"""By released file, the experiment and the method that it is of, and what else tells its runs."""


def cell(settings):
    """What a released file knows of a run: rate, decays, weight decay, clip, budget, lengths."""
    optimizer = settings["optimizer"]
    beta1 = optimizer.get("beta1", optimizer.get("beta"))
    beta2 = optimizer.get("beta2", optimizer.get("beta"))
    method = optimizer["method"]
    first = 0.0 if method == "rmsprop" else beta1
    second = beta2 if method in ("adam", "rmsprop") else None
    clip = optimizer["clip_norm"]
    training = settings["training"]
    return (
        round(optimizer["lr"], 9),
        first,
        second,
        optimizer["weight_decay"],
        math.inf if clip == "none" else clip,
        training["steps"],
        training["batch_size"],
        settings["data"]["sequence_length"],
    )


def planned_cells(key, method, where):
    found = set()
    for study in studies(key):
        for point in study.points():
            settings = study.settings_of(point)
            known = dict(flat(settings))
            if point.method == method and all(known[name] == where[name] for name in where):
                found.add(cell(resolver(absent_too=True)(settings, "x").settings))
    return found


BEST = {
    "Adam_160M_SP_SL2048_3Btok_BS256": (0.008, 0.95, 0.95),
    "Adam_160M_SP_SL2048_2Btok_BS256": (0.008, 0.95, 0.95),
    "Adam_160M_SP_SL2048_2Btok_BS128": (0.0056, 0.975, 0.99375),
    "Adam_160M_SP_SL2048_2Btok_BS512": (0.008, 0.95, 0.9875),
    "Adam_160M_FW_SL2048_3Btok_BS256": (0.004, 0.95, 0.9),
    "Adam_160M_SP_SL512_3Btok_BS256": (0.004, 0.95, 0.9875),
    "Adam_410M_SP_SL2048_8Btok_BS512": (0.008, 0.95, 0.975),
    "Adam_160M_SP_SL2048_6Btok_BS256": (0.008, 0.975, 0.9875),
    "RMSprop_160M_SP_SL2048_3Btok_BS256": (0.002, 0.0, 0.8),
    "Signum_160M_SP_SL2048_2Btok_BS256": (0.0005, 0.9, None),
    "Signum_160M_SP_SL512_2Btok_BS256": (0.001, 0.95, None),
    "Signum_160M_FW_SL2048_3Btok_BS256": (0.0005, 0.95, None),
    "SGD_CClip_160M_SP_SL2048_3Btok_BS256": (1.0, 0.975, None),
    "SGD_GClip_160M_SP_SL2048_3Btok_BS256": (0.5, 0.975, None),
    "SGDPlain_160M_SP_SL2048_3Btok_BS256": (0.25, 0.975, None),
}
"""Learning rate, β1 and β2 of the lowest perplexity of each file (aorvieto/SecretSauce)."""


@pytest.mark.parametrize("name", RELEASED_GRIDS)
def test_the_grids_hold_the_best_released_settings(name):
    assert BEST[name] in {each[:3] for each in planned_cells(*RELEASED_GRIDS[name])}


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    if not RELEASED.is_dir():
        pytest.skip("needs the paper's released files, in DESCENTLAB_RELEASED_RUNS")
    store = Store(tmp_path_factory.mktemp("released") / "store", create=True)
    import_released(RELEASED, store, lambda _: None)
    return load(store)


def released_cells(frame):
    return {
        (
            round(row["lr"], 9),
            row["beta1"],
            row["beta2"] if row["beta2"] == row["beta2"] else None,
            row["weight_decay"],
            row["clip_norm"],
            row["steps"],
            row["batch_size"],
            row["sequence_length"],
        )
        for _, row in frame.iterrows()
    }


@pytest.mark.parametrize("name", RELEASED_GRIDS)
def test_the_grids_are_those_of_the_released_files(released, name):
    key, method, where = RELEASED_GRIDS[name]
    rows = released[released["sweep"] == name]
    if not len(rows):
        pytest.skip(f"{name} is not at hand")
    if key == "E6":  # no figure shows what its largest file has with β1 = 0
        rows = rows[rows["beta1"] > 0]
    there = released_cells(rows)
    if method == "rmsprop":  # what the file calls a decay of 0 is sign descent
        there = {(*each[:2], each[2] or 0.0, *each[3:]) for each in there}
    assert planned_cells(key, method, where) == there


def test_the_bands_of_decays_and_half_powers_are_the_released_ones():
    """Of files that are seldom at hand: the 410M models', and those of other batch sizes."""
    pairs = {each[1:3] for each in planned_cells("E7", "adam", {})}
    assert pairs == {
        (0.9, 0.8), (0.9, 0.9), (0.9, 0.95),
        (0.95, 0.9), (0.95, 0.95), (0.95, 0.975), (0.95, 0.9875),
        (0.975, 0.95), (0.975, 0.975), (0.975, 0.9875), (0.975, 0.99375),
    }  # fmt: skip
    half = planned_cells("E6", "adam", {"training.batch_size": 512})
    rates = [0.0005, 0.001, 0.0014, 0.002, 0.0028, 0.004, 0.0056, 0.008, 0.0112, 0.016]
    assert sorted({each[0] for each in half}) == rates
    band = {0.6, 0.8, 0.9, 0.95, 0.975}
    assert {each[2] for each in half if each[1] == 0.9} == band
    longer = planned_cells("E9", "adam", {})
    assert {each[1] for each in longer} == {0.9, 0.95, 0.975, 0.9875}
    assert min(each[0] for each in longer) == 0.0005
    assert max(each[0] for each in longer) == 0.032


@pytest.mark.parametrize("scale", SCALES)
def test_every_run_is_valid_at_every_scale(scale):
    for experiment in EXPERIMENTS:
        for study in experiment.studies(SCALES[scale]):
            assert study.methods
            for settings in study.settings():
                run_spec(settings, where=study.name)


@pytest.mark.parametrize("scale", SCALES)
def test_what_experiments_vary_is_all_that_they_change(scale):
    """Of the shared settings, each experiment touches those of its own question alone."""
    touched = {
        "E5": {"data.sequence_length", "training.steps"},
        "E6": {"training.batch_size", "training.steps"},
        "E9": {"training.steps", "data.max_epochs"},
    }
    for key, names in touched.items():
        for study in studies(key, scale):
            base, here = dict(flat(SCALES[scale].run)), dict(flat(study.run))
            differing = {name for name in base.keys() | here if base.get(name) != here.get(name)}
            assert differing <= names


def tokens(settings):
    training = settings["training"]
    return training["steps"] * training["batch_size"] * settings["data"]["sequence_length"]


@pytest.mark.parametrize("scale", SCALES)
def test_shorter_sequences_and_other_batches_have_equal_tokens(scale):
    base = tokens(SCALES[scale].run)
    assert {tokens(each.run) for each in studies("E5", scale)} == {base}
    assert len({tokens(each.run) for each in studies("E6", scale)}) == 1
    assert {each.run["training"]["batch_size"] for each in studies("E6", scale)} == {
        SCALES[scale].run["training"]["batch_size"] * factor for factor in (0.5, 1, 2)
    }
    assert {tokens(each.run) for each in studies("E9", scale)} == {2 * base}


def test_the_papers_budgets():
    base = SCALES["paper"].run
    assert tokens(base) == 3_250_585_600
    assert tokens(studies("E6")[0].run) == 2_516_582_400
    assert tokens(studies("E7")[0].run) == 8_178_892_800
    assert studies("E5")[0].run["training"]["steps"] == 24_800


@pytest.mark.parametrize("scale", SCALES)
def test_equal_runs_of_several_experiments_are_one(scale):
    found = runs_of("all", scale)
    eps, starts = (found[key].runs.keys() for key in ("E2", "E3"))
    assert len(eps & starts) == 3  # Adam as it is, with each of three seeds
    if scale != "paper":  # where the study of batch sizes has Table 1's budget
        main = {run for run in found["E6"].runs if run in found["E1"].runs}
        assert len(main) == len(found["E6"].runs) / 3
    points = sum(each.points for each in found.values())
    distinct = {run for each in found.values() for run in each.runs}
    assert len(distinct) < points


def test_names_and_what_they_ask_for():
    every = {each.name for each in (*EXHIBITS, *COMPUTED)}
    assert {f"fig{n}" for n in range(1, 22)} | {"table1", "table2", "table3"} < every
    known = {each for experiment in (*EXPERIMENTS, *CONTESTS) for each in experiment.exhibits}
    assert known == {each.name for each in EXHIBITS} | {"constant-variance"}
    claims = {each.key for each in CLAIMS if each.judge is not None}
    bearing = {key for experiment in EXPERIMENTS for key in experiment.claims}
    assert bearing == claims


def test_a_figure_asks_for_its_methods_alone():
    asked = wanted("fig02", SCALES["laptop"])
    (part,) = asked.parts
    assert [list(each.methods) for each in part.studies] == [["adam"], ["signum"]]
    assert [each.name for each in asked.exhibits] == ["fig2"]
    assert asked.experiments_of("fig2") == ["E1"]
    assert {part.experiment.key for part in wanted("fig4", SCALES["tiny"]).parts} == {"E3", "E4"}


def test_table_1_is_a_contest_but_at_the_papers_scale():
    assert [each.key for each in wanted("table1", SCALES["laptop"]).contests] == ["table1"]
    paper = wanted("table1", SCALES["paper"])
    assert not paper.contests
    assert [part.experiment.key for part in paper.parts] == ["E1"]
    assert sum(len(study.methods) for study in paper.parts[0].studies) == 7
    assert [each.key for each in wanted("all", SCALES["paper"]).contests] == ["E10"]


def test_a_name_that_nothing_has_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean table3"):
        wanted("table4", SCALES["tiny"])


def test_prices_by_the_papers_own_hours():
    (larger,) = runs_of("E7").values()
    hours = [a100_hours(run) for run in larger.runs.values()]
    assert hours == pytest.approx([4.83 * 8] * 44)
    (main,) = runs_of("fig9").values()  # 4800 of 6200 steps
    assert a100_hours(next(iter(main.runs.values()))) == pytest.approx(5.83 * 4800 / 6200)
    (laptop,) = runs_of("E2", "laptop").values()
    assert a100_hours(next(iter(laptop.runs.values()))) is None
    assert len(runs_of("fig2")["E1"].fresh) == 6
