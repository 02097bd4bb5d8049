"""What an ablation switches, and what it says of a ranking, on losses made up for it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from oracles.made_up_runs import MadeUpRuns

from descentlab.config import flat
from descentlab.contests.ablation import SWITCHES, Ablation, Switched, ablate
from descentlab.contests.ablation_report import write
from descentlab.contests.contest import Design, Entry
from descentlab.paper.table1 import SCALES
from descentlab.sweep.tuning import Decays, Geometric

LEVEL = {"adam": 3.0, "signum": 3.1, "sgd": 3.2}
ENTRIES: dict[str, dict[str, Any]] = {
    "adam": {"method": "adam"},
    "signum": {"method": "signum", "init": "gradient"},
    "sgd": {"method": "sgd", "clip_norm": 1.0},
}


def made_up_loss(settings: dict[str, Any]) -> float:
    """Lowest at lr=0.2, β=0.8; 0.4 without clipping.

    A coupled decay puts adam behind signum, and bfloat16 makes signum a matter of luck.
    """
    optimizer = settings["optimizer"]
    method, seed = optimizer["method"], settings["seed"]
    best = 0.4 if optimizer.get("clip_norm") == "none" else 0.2
    loss = LEVEL[method] + 0.1 * math.log2(optimizer["lr"] / best) ** 2
    loss += math.log2((1 - optimizer["beta"]) / 0.2) ** 2
    loss += 1e-3 * math.sin(seed * (1 + len(method)))
    if optimizer.get("decay") == "coupled" and method == "adam":
        loss += 0.2
    if settings.get("precision") == "bfloat16" and method == "signum":
        loss += 0.3 * math.sin(seed**2)
    return loss


def held(tmp_path, *, retune: bool) -> tuple[Ablation, MadeUpRuns]:
    entries = {
        name: Entry(
            optimizer=optimizer,
            axes=(Geometric("lr", [0.1, 0.2, 0.4]), Decays("beta", [0.6, 0.8, 0.9])),
        )
        for name, optimizer in ENTRIES.items()
    }
    runs = MadeUpRuns(made_up_loss)
    design = Design(name="made-up", run=SCALES["tiny"].run, entries=entries)
    laboratory = runs.laboratory(tmp_path, print, 4)
    return ablate(design, laboratory, retune=retune), runs


def named(found: Ablation, name: str) -> Switched:
    return next(each for each in found.switched if each.switch.name == name)


@pytest.fixture(scope="module")
def ablation(tmp_path_factory) -> Ablation:
    return held(tmp_path_factory.mktemp("fixed"), retune=False)[0]


def test_every_switch_is_tried_where_a_method_has_it(ablation):
    assert [each.switch for each in ablation.switched] == list(SWITCHES)
    has = {each.switch.name: {one.method for one in each.effects} for each in ablation.switched}
    everyone = {"adam", "signum", "sgd"}
    assert has == {
        "start": everyone,
        "bias correction": {"adam"},
        "lr floor": everyone,
        "clip none": everyone,
        "clip coordinates": {"sgd"},
        "decay coupling": {"adam", "signum"},
        "bfloat16-autocast": everyone,
        "bfloat16": everyone,
    }


TOUCHED = {
    "start": {"optimizer.init", "optimizer.bias_correction"},
    "bias correction": {"optimizer.bias_correction"},
    "lr floor": {"schedule.floor_lr"},
    "clip none": {"optimizer.clip_norm"},
    "clip coordinates": {"optimizer.clip_norm", "optimizer.coordinate_clip"},
    "decay coupling": {"optimizer.decay"},
    "bfloat16-autocast": {"precision"},
    "bfloat16": {"precision"},
}


def test_a_switch_changes_its_setting_and_nothing_else(tmp_path):
    _, runs = held(tmp_path, retune=False)
    stages = {each.name: each for each in runs.stages}
    base = {
        (run.settings["optimizer"]["method"], run.settings["seed"]): dict(flat(run.identity))
        for run in stages["seeds"].runs
    }
    for run in stages["switches"].runs:
        method, switch, _ = stages["switches"].labels[run.run_id].split(", ")
        now = dict(flat(run.identity))
        before = base[method, now["seed"]]
        touched = {key for key in {*now, *before} if now.get(key) != before.get(key)}
        assert touched
        assert touched <= TOUCHED[switch]


def test_the_change_is_that_of_the_losses(ablation):
    effect = next(e for e in named(ablation, "decay coupling").effects if e.method == "adam")
    assert effect.percent.value == pytest.approx(100 * math.expm1(0.2))
    assert effect.percent.low == pytest.approx(effect.percent.high)
    idle = next(e for e in named(ablation, "lr floor").effects if e.method == "adam")
    assert idle.percent.value == pytest.approx(0, abs=1e-9)


def test_the_verdict_is_the_weakest_of_the_pairs(ablation):
    verdicts = {each.switch.name: each.survival for each in ablation.switched}
    assert verdicts["lr floor"] == "survives"
    assert verdicts["decay coupling"] == "does not"
    assert verdicts["bfloat16"] == "cannot be told"
    coupled = named(ablation, "decay coupling")
    assert coupled.ranking == ["signum", "adam", "sgd"]
    assert coupled.reason == "adam below signum"


def test_retuning_finds_the_learning_rate_under_the_switch(tmp_path, ablation):
    found, _ = held(tmp_path, retune=True)
    rates = {
        each.switch.name: {effect.method: effect.lr for effect in each.effects}
        for each in found.switched
    }
    assert rates["clip none"] == {"adam": 0.4, "signum": 0.4, "sgd": 0.4}
    assert rates["bfloat16-autocast"] == {"adam": 0.2, "signum": 0.2, "sgd": 0.2}
    before = next(e for e in named(ablation, "clip none").effects if e.method == "sgd")
    after = next(e for e in named(found, "clip none").effects if e.method == "sgd")
    assert before.percent.value == pytest.approx(100 * math.expm1(0.1), rel=0.05)
    assert after.percent.value == pytest.approx(0, abs=0.05)


def test_the_result_is_written_for_people_and_programs(ablation, tmp_path):
    text = write(ablation, title="Made up", purpose="To be read.", out=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"ablation.{suffix}" for suffix in ("md", "csv", "json", "svg", "png")
    }
    row = next(line for line in text.splitlines() if line.startswith("| decay coupling"))
    assert "+22.1% [+22.1%, +22.1%]" in row
    assert "does not (adam below signum)" in row
