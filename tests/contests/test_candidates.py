"""Who may enter a comparison, with what to tune; the conformance kit at the door."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from oracles.planted_optimizers import SOURCE

from descentlab.cli.meeting import grid_of, methods_at
from descentlab.contests.admission import admit
from descentlab.contests.candidate import Candidate, read_candidates
from descentlab.contests.scan import FURTHER, Scan
from descentlab.errors import ConfigError, NonConforming

DECLARED = """

class Declared(Fine):
    search_space = {"axes": {"weight": [1, 2], "lr": {"powers_of_two": [0, 2]}},
                    "optimizer": {"weight_decay": 0.0}}

    def __init__(self, params, lr=1.0, weight_decay=0.0, weight=1.0):
        super().__init__(params, lr, weight_decay)
"""

AVERAGING = """

class Averaging(Fine):
    def __init__(self, params, lr=0.1, momentum=0.9, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.scale = 1 / momentum
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    name = f"entering_{tmp_path.name}"
    Path(tmp_path / f"{name}.py").write_text(SOURCE + DECLARED)
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)
    sys.path[:] = [each for each in sys.path if each != str(tmp_path)]


def read(*texts: str) -> list[Candidate]:
    paper = methods_at("laptop")
    return read_candidates(texts, own=paper.entries, grid=grid_of(paper))


def axes(candidate: Candidate) -> dict[str, list[float]]:
    return {axis.name: axis.values for axis in candidate.entry.axes}


def test_our_own_methods_enter_with_the_grids_of_the_scale():
    adam, signsgd = read("adam", "signsgd")
    paper = methods_at("laptop").entries["adam"]
    assert adam.entry == paper
    assert len(axes(signsgd)["lr"]) == 30 == len(axes(adam)["lr"]) * len(axes(adam)["beta"])


@pytest.mark.parametrize(
    ("written", "axis", "centre"),
    [
        ("torch.optim.AdamW", "beta", 1e-3),
        ("torch.optim.RMSprop", "arguments.alpha", 1e-2),
        ("torch.optim.SGD", "arguments.momentum", 1e-3),
        ("torch.optim.AdamW,betas=(0.9,0.95)", None, 1e-3),
    ],
)
def test_the_signature_tells_what_to_tune(written, axis, centre):
    candidate, _ = read(written, "adam")
    assert list(axes(candidate)) == ([axis] if axis else [])
    assert candidate.centre == centre
    grid = grid_of(methods_at("laptop"))
    found = axes(candidate.centred(0.016, grid))
    cells = len(found["lr"]) * (len(found[axis]) if axis else 1)
    assert cells == grid.cells == 30
    middle = len(found["lr"]) // 2
    assert found["lr"][middle] == 0.016
    ratio = found["lr"][middle + 1] / found["lr"][middle]
    assert ratio == pytest.approx(2 if axis else 2**0.25, rel=1e-3)


def test_a_class_for_matrices_gets_adam_for_the_rest_untold():
    muon, _ = read("torch.optim.Muon", "adam")
    assert muon.entry.optimizer["rest"]["beta"] == 0.95
    assert muon.entry.optimizer["arguments"]["adjust_lr_fn"] == "match_rms_adamw"
    assert "hidden matrices" in muon.remarks[0]
    assert list(axes(muon)) == ["arguments.momentum"]


def test_a_class_says_itself_what_to_tune(mine):
    candidate, _ = read(f"{mine}:Declared", "adam")
    assert axes(candidate) == {"lr": [1, 2, 4], "arguments.weight": [1, 2]}
    assert candidate.entry.optimizer["weight_decay"] == 0
    assert candidate.centre is None


def test_a_file_says_what_a_class_does_not(mine):
    Path("half.toml").write_text(
        f'name = "half"\noptimizer = {{ method = "class", class = "{mine}.py:Fine" }}\n'
        "[axes]\nlr = { log = [1e-3, 1e-1], count = 3 }\n"
    )
    Path("ours.toml").write_text(
        'optimizer = { method = "signum", init = "zero" }\n'
        "[axes]\nlr = [1e-3, 2e-3]\nbeta = [0, 0.5]"
    )
    half, ours = read("half.toml", "ours.toml")
    assert half.name == "half"
    assert axes(half) == {"lr": [1e-3, 1e-2, 1e-1]}
    assert ours.name == "ours"
    assert ours.entry.optimizer["init"] == "zero"
    assert axes(ours) == {"lr": [1e-3, 2e-3], "beta": [0, 0.5]}


def test_names_are_short_and_no_two_are_equal(mine):
    candidates = read(
        f"{mine}:Fine", "torch.optim:AdamW", "torch.optim:AdamW,eps=1e-6", "torch.optim.Adam"
    )
    assert [each.name for each in candidates] == ["Fine", "AdamW", "AdamW eps=1e-6", "Adam"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (("adm", "sgd"), "did you mean adam"),
        (("adam",), "name two or more"),
        (("adam", "adam"), "adam is named twice"),
        (("adam", "torch.optim:AdamW,lr=1e-3"), "lr is tuned"),
        (("adam", "nothing.toml"), "cannot be read"),
        (("adam", "torch.optim:LBFGS"), "cannot be made"),
        (("adam", "torch.optim:SparseAdam"), "fails on plain gradients"),
    ],
)
def test_what_cannot_enter_is_refused(written, said):
    with pytest.raises(ConfigError, match=said):
        read(*written)


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ("lr = [2, 1]", "rising order"),
        ("lr = [0, 1]", "above 0"),
        ("beta = [0.5, 1.0]", r"lie in \[0, 1\)"),
        ("lr = { log = [1, 2] }", "needs a count"),
    ],
)
def test_an_axis_that_cannot_be_searched_is_refused(mine, axis, said):
    Path("wrong.toml").write_text(
        'optimizer = { method = "class", class = "torch.optim:AdamW" }\n[axes]\n' + axis
    )
    with pytest.raises(ConfigError, match=said):
        read("wrong.toml", "adam")


@pytest.mark.parametrize(("name", "check"), [("Still", "convergence"), ("Deaf", "lr-change")])
def test_a_planted_fault_is_refused_by_the_name_of_its_check(mine, name, check):
    candidates = read(f"{mine}:{name}", f"{mine}:Fine", "adam")
    said: list[str] = []
    with pytest.raises(NonConforming, match=f"{name} fails .*{check}") as refusal:
        admit(candidates, despite_failures=False, say=said.append)
    assert any(line.startswith(f"{name} fails {check}:") for line in said)
    assert "Fine" not in str(refusal.value)
    outcomes = admit(candidates, despite_failures=True, say=said.append)
    assert set(outcomes) == {name, "Fine"}


def test_a_class_that_fails_without_an_average_is_not_tried_so(mine):
    file = Path(f"{mine}.py")
    file.write_text(file.read_text() + AVERAGING)
    (candidate, _) = read(f"{mine}:Averaging", "adam")
    (axis,) = candidate.entry.axes
    assert axis.values == [0.2, 0.6, 0.8, 0.9, 0.95]
    assert axis.ends_at(0.2)
    assert axis.beyond(up=False) == axis.shifted(0.2, -3) == 0.2
    assert "fails with a momentum of 0" in " ".join(candidate.remarks)


@pytest.mark.parametrize("best", [1e-3, 0.25, 1e-6])
def test_a_scan_goes_on_until_the_best_lies_inside(best):
    scan = Scan(1e-3)
    tried = 0
    while steps := scan.ask():
        scan.losses |= {step: abs(scan.lr(step) / best - 1) for step in steps}
        tried += len(steps)
    assert abs(scan.best / best - 1) <= min(scan.losses.values())
    assert min(scan.losses) < next(s for s in scan.losses if scan.lr(s) == scan.best)
    assert tried <= 5 + FURTHER
