"""Anybody's optimizer class as a method: what its code is, and what is refused."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

from descentlab.errors import ConfigError
from descentlab.optim import Adam
from descentlab.optim.class_method import ClassMethod, Rest
from descentlab.optim.fingerprint import fingerprint, source_folder
from descentlab.optim.plugins import load_class

PLAIN = """
import torch
from {neighbour} import step_size

class Plain(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {{"lr": lr}})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(step_size(group["lr"]) * p.grad)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of one's own with a neighbour; names are new in each test."""
    name, neighbour = f"own_{tmp_path.name}", f"near_{tmp_path.name}"
    (tmp_path / f"{neighbour}.py").write_text("def step_size(lr):\n    return lr\n")
    (tmp_path / f"{name}.py").write_text(PLAIN.format(neighbour=neighbour))
    monkeypatch.chdir(tmp_path)
    yield name, neighbour
    for each in (name, neighbour):
        sys.modules.pop(each, None)
    sys.path[:] = [each for each in sys.path if each != str(tmp_path)]


def seen(name: str, *, reload: tuple[str, ...] = ()) -> str:
    """The fingerprint that a new process would see."""
    for each in reload:
        sys.modules.pop(each, None)
    importlib.invalidate_caches()
    fingerprint.cache_clear()
    return fingerprint(load_class(f"{name}:Plain"))


def test_the_fingerprint_follows_the_source_and_that_of_what_it_imports(module):
    name, neighbour = module
    first = seen(name)
    assert first.startswith("sha256 ")
    assert seen(name, reload=module) == first
    for changed in (name, neighbour):
        file = Path(f"{changed}.py")
        file.write_text(file.read_text() + "\n# changed\n")
        now = seen(name, reload=module)
        assert now != first
        first = now
    Path("unrelated.py").write_text("x = 1\n")
    assert seen(name, reload=module) == first


def test_an_installed_class_is_its_distribution():
    assert fingerprint(torch.optim.AdamW) == f"torch {torch.__version__}"
    assert source_folder(torch.optim.AdamW) is None


def test_a_class_of_a_file_is_that_of_its_module(module, tmp_path):
    name, _ = module
    (tmp_path / "elsewhere").mkdir()
    found = load_class(f"{tmp_path}/{name}.py:Plain")
    assert found is load_class(f"{name}:Plain")
    assert source_folder(found) == str(tmp_path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nothing.py:Plain", "there is no file nothing.py"),
        ("two words.py:Plain", "rename the file"),
        ("random.py:Plain", "module random has no class 'Plain'"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused(tmp_path, monkeypatch, path, said):
    monkeypatch.chdir(tmp_path)
    for name in ("two words.py", "random.py"):
        Path(name).write_text("x = 1\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ConfigError, match=said):
        load_class(path)


def test_a_file_with_the_name_of_another_module_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("random.py").write_text("class Random:\n    pass\n")
    with pytest.raises(ConfigError, match="another module is called random"):
        load_class("random.py:Random")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"path": "torch.nn:Linear"}, "not derived from torch.optim.Optimizer"),
        ({"path": "torch.optim:Adamm"}, "did you mean Adam"),
        ({"path": "torch.optim:AdamW", "arguments": {"esp": 1}}, "did you mean eps"),
        ({"path": "torch.optim:Muon"}, "takes matrices alone"),
        ({"path": "torch.optim:Rprop"}, "set it to 0"),
        ({"path": "torch.optim:AdamW", "code": "torch 1.0"}, "its code has changed"),
    ],
)
def test_what_no_run_can_train_with_is_refused(settings, said):
    method = ClassMethod(**{"lr": 0.1, **settings})
    groups = [{"params": [torch.ones(3, requires_grad=True)], "param_names": ["bias"]}]
    with pytest.raises(ConfigError, match=said):
        method.build(groups)


@pytest.mark.parametrize(
    "wrong",
    [
        {"beta": 0.9, "beta1": 0.8},
        {"beta1": 0.9},
        {"beta": 0.9, "arguments": {"betas": [0.9, 0.9]}},
        {"arguments": {"lr": 1.0}},
    ],
)
def test_settings_that_contradict_one_another_are_refused(wrong):
    with pytest.raises(ConfigError):
        ClassMethod(**{"lr": 0.1, "path": "torch.optim:AdamW", **wrong})


def test_every_spelling_of_a_class_is_one_method():
    spellings = [
        ClassMethod(lr=0.1, path="torch.optim.AdamW", beta=0.9),
        ClassMethod(lr=0.1, path="torch.optim:AdamW", beta1=0.9, beta2=0.9, folder="/tmp"),
        ClassMethod(lr=0.1, path="torch.optim:AdamW", arguments={"betas": [0.9, 0.9]}),
    ]
    assert len({str(each.canonical()) for each in spellings}) == 1


def test_matrices_and_the_rest_step_as_two_optimizers():
    def parameters() -> list[torch.nn.Parameter]:
        generator = torch.Generator().manual_seed(3)
        return [
            torch.nn.Parameter(torch.randn(*shape, generator=generator))
            for shape in ((4, 3), (3, 5), (3,))
        ]

    names = ["embedding.weight", "blocks.0.weight", "norm.weight"]
    mine, theirs = parameters(), parameters()
    method = ClassMethod(
        lr=0.1, path="torch.optim:Muon", rest=Rest(lr_ratio=0.25, beta=0.8), weight_decay=0.3
    )
    groups = [{"params": mine, "param_names": names, "weight_decay": 0.3}]
    optimizer = method.build(groups)
    muon = torch.optim.Muon([theirs[1]], lr=0.1, weight_decay=0.3)
    adam = Adam([theirs[0], theirs[2]], lr=0.1, betas=(0.8, 0.8), weight_decay=0.3)
    for step in range(4):
        lr = 0.1 / (1 + step)
        for group in optimizer.param_groups:
            group["lr"] = lr
        muon.param_groups[0]["lr"], adam.param_groups[0]["lr"] = lr, 0.25 * lr
        for one, other in zip(mine, theirs, strict=True):
            gradient = torch.sin(one.detach() * (step + 1))
            one.grad, other.grad = gradient.clone(), gradient.clone()
        for each in (optimizer, muon, adam):
            each.step()
        assert {group["lr"] for group in optimizer.param_groups} == {lr}
    assert all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=True))
