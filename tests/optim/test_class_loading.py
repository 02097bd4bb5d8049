"""Optimizers by name."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from descentlab import optim
from descentlab.errors import ConfigError
from descentlab.optim.plugins import load_class, load_factory


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("mine_"):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["Adam", "adam", "SGD", "sgd", "emasign", "SignSGD"])
def test_own_optimizers_have_bare_names_in_any_case(name) -> None:
    found = load_class(name)
    assert found.__name__.lower() == name.lower()
    assert found is getattr(optim, found.__name__)


@pytest.mark.parametrize(
    "path", ["torch.optim:AdamW", "torch.optim.AdamW", "torch.optim.adamw:AdamW"]
)
def test_others_have_module_and_class(path) -> None:
    assert load_class(path) is torch.optim.AdamW


def test_modules_of_the_current_directory_are_found_with_their_neighbours(tmp_path) -> None:
    (tmp_path / "mine_first.py").write_text("from mine_second import Base\nclass Own(Base): pass\n")
    (tmp_path / "mine_second.py").write_text("class Base: pass\n")
    assert load_class("mine_first:Own").__mro__[1].__module__ == "mine_second"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("adm", "did you mean Adam? Allowed are Adam, ConstantVariance, EMASign, RMSprop, SGD,"),
        ("torch.optim:AdmW", "did you mean AdamW?"),
        ("torch.optin.AdamW", "no module is called 'torch.optin'; did you mean torch.optim?"),
        ("json.decoder.inner:X", "no module is called 'json.decoder.inner'"),
        ("json.dumps", "dumps is a function, not a class"),
        ("a b:C", "write pkg.mod:Class"),
        ("torch.optim.", "write pkg.mod:Class"),
        (".Adam", "write pkg.mod:Class"),
        ("", "has no optimizer called ''"),
        ("mine_broken:X", "cannot be imported (ZeroDivisionError: division by zero)"),
        ("mine_needy:X", "needs mine_absent, which is not installed"),
    ],
)
def test_what_is_not_there_is_an_error_with_the_nearest_name(path, said, tmp_path) -> None:
    (tmp_path / "mine_broken.py").write_text("1 / 0")
    (tmp_path / "mine_needy.py").write_text("import mine_absent.inner")
    with pytest.raises(ConfigError) as caught:
        load_class(path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("torch.optim.SGD", {}),
        ("torch.optim.SGD,momentum=0.9", {"momentum": 0.9}),
        ("torch.optim.AdamW,betas=(0.8, 0.9), fused=True", {"betas": (0.8, 0.9), "fused": True}),
        ("torch.optim.AdamW,fused=true,foreach=None", {"fused": True, "foreach": None}),
        ("SGD,momentum=0.5,init=zero", {"momentum": 0.5, "init": "zero"}),
        ("SGD,init='zero'", {"init": "zero"}),
        ("SGD,", {}),
    ],
)
def test_arguments_follow_a_comma(text, arguments) -> None:
    factory = load_factory(text)
    assert factory.func is load_class(text.partition(",")[0])
    assert factory.keywords == arguments


@pytest.mark.parametrize(
    "wrong", ["0.9", "lr", "lr=", "lr=1+x", "lr=f(1)", "lr=1,lr=2", "**{}", ")("]
)
def test_anything_else_behind_the_comma_is_an_error(wrong) -> None:
    with pytest.raises(ConfigError, match=r"after torch\.optim\.SGD stand arguments as in"):
        load_factory(f"torch.optim.SGD,{wrong}")


def test_an_unknown_argument_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'momentm'; did you mean momentum\? Allowed are damp"):
        load_factory("torch.optim.SGD,momentm=0.9")


def test_naming_classes_needs_no_torch() -> None:
    code = "import sys, descentlab.optim.plugins; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
