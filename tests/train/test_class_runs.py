"""Runs with somebody's class: the losses of our method, and what is refused when it is planned."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from oracles.planted_optimizers import SOURCE

from descentlab.errors import ConfigError
from descentlab.optim.fingerprint import fingerprint
from descentlab.train.class_check import planned
from descentlab.train.plan import plan_run
from descentlab.train.spec import run_spec


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The name of a module of planted optimizers in the current folder."""
    name = f"planted_{tmp_path.name}"
    Path(tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)
    sys.path[:] = [each for each in sys.path if each != str(tmp_path)]


def of_class(path: str, **more: Any) -> dict[str, Any]:
    return {"method": "class", "class": path, "lr": 0.05, **more}


def test_adam_in_disguise_has_the_losses_of_adam(tiny, run):
    decays = {"weight_decay": 0.1, "clip_norm": 0.5, "beta1": 0.8, "beta2": 0.9}
    ours = run(tiny(optimizer={"method": "adam", "lr": 0.05, "eps": 1e-6, **decays}))
    torchs = of_class("torch.optim:AdamW", arguments={"eps": 1e-6}, **decays)
    theirs = run(tiny(optimizer=torchs))
    assert len(ours.steps) == 6
    for one, other in zip(ours.steps, theirs.steps, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-6)
        assert (one["lr"], one["batch"]) == (other["lr"], other["batch"])
    assert theirs.outcome.validation_loss == pytest.approx(ours.outcome.validation_loss, rel=1e-6)


def test_other_arguments_train_another_run(tiny, run):
    ours = run(tiny(optimizer=of_class("torch.optim:AdamW", beta=0.9)))
    others = run(tiny(optimizer=of_class("torch.optim:AdamW", beta=0.5)))
    assert ours.steps[0]["loss"] == others.steps[0]["loss"]
    assert ours.steps[-1]["loss"] != others.steps[-1]["loss"]


def test_matrices_by_muon_and_the_rest_by_adam_learn(tiny, run):
    trained = run(tiny(optimizer=of_class("torch.optim:Muon", rest={})))
    assert trained.steps[-1]["loss"] < trained.steps[0]["loss"] - 0.3


def test_the_identity_is_of_the_code_and_not_of_its_place(tiny, data, mine, tmp_path):
    first = tiny(optimizer=of_class(f"{mine}:Fine"))
    by_file = tiny(optimizer=of_class(f"{tmp_path}/{mine}.py:Fine"))
    assert first.identity() == by_file.identity()
    assert str(tmp_path) not in str(first.identity())
    file = Path(f"{mine}.py")
    file.write_text(file.read_text().replace("sign()", "sign().mul(2)"))
    sys.modules.pop(mine)
    edited = tiny(optimizer=of_class(f"{mine}:Fine"))
    assert plan_run(edited, data).run_id != plan_run(first, data).run_id


def test_a_file_that_changed_after_planning_is_refused(tiny, data, mine, run):
    planned_run = plan_run(tiny(optimizer=of_class(f"{mine}:Fine")), data)
    file = Path(f"{mine}.py")
    file.write_text(file.read_text() + "\n# edited\n")
    sys.modules.pop(mine)  # as in the process of another worker
    fingerprint.cache_clear()
    with pytest.raises(ConfigError, match="its code has changed since the run was planned"):
        run(run_spec(planned_run.settings, where="a worker"))


def test_a_worker_elsewhere_finds_the_module(tiny, data, mine, run, tmp_path, monkeypatch):
    planned_run = plan_run(tiny(optimizer=of_class(f"{mine}:Fine")), data)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    sys.modules.pop(mine)
    sys.path[:] = [each for each in sys.path if each != str(tmp_path)]
    assert math.isfinite(run(run_spec(planned_run.settings, where="w")).outcome.validation_loss)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Forgetful", "goes on otherwise after a checkpoint"),
        ("Greedy", "needs loss, and a run has gradients alone"),
        ("Missing", "has no class 'Missing'"),
    ],
)
def test_what_cannot_be_trained_with_is_refused_when_it_is_planned(tiny, mine, name, said):
    with pytest.raises(ConfigError, match=said) as refusal:
        tiny(optimizer=of_class(f"{mine}:{name}"))
    assert "optimizer.class" in str(refusal.value)


def test_probes_do_not_look_into_a_class(tiny, mine):
    with pytest.raises(ConfigError, match="probes look into"):
        tiny(optimizer=of_class(f"{mine}:Fine"), probes={"every": 2})
    shadows = [of_class(f"{mine}:Fine")]
    with pytest.raises(ConfigError, match=r"probes\.shadows"):
        tiny(probes={"every": 2, "shadows": shadows})


def test_an_optimizer_with_modes_is_told_when_it_is_judged(tiny, mine, run):
    spec = tiny(optimizer=of_class(f"{mine}:Averaged"), training={"evaluate_every": 3})
    heard = sys.modules[mine].Averaged.heard
    heard.clear()
    trained = run(spec)
    assert heard == ["train", "eval", "train", "eval", "train"]
    uniform = math.log(257)  # zeroed weights know nothing
    assert trained.outcome.validation_loss == pytest.approx(uniform, abs=1e-4)


def test_planning_twice_changes_nothing(tiny, mine):
    method = tiny(optimizer=of_class(f"{mine}:Fine")).optimizer
    assert planned(method) is method
