"""A store of finished runs for what the documents show, and the pages that are made from code."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path

import pytest
from oracles.code_blocks import ROOT
from oracles.stored_runs import stored

from descentlab.runs.store import Store

BETAS = (0.8, 0.9, 0.95)
RATES = (5e-4, 1e-3, 2e-3, 4e-3)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Grids of adam and signum over three seeds, in a folder called store."""
    folder = tmp_path_factory.mktemp("finished") / "store"
    store = Store(folder, create=True)
    for seed, lr in itertools.product(range(3), RATES):
        noise = 0.003 * ((seed * 7 + int(lr * 1e4)) % 5)
        for beta1, beta2 in itertools.product(BETAS, BETAS):
            loss = 3.1 + 40 * abs(lr - 2e-3) + abs(beta1 - beta2) + noise
            stored(store, steps=30, lr=lr, seed=seed, loss=loss, beta1=beta1, beta2=beta2)
        for beta in BETAS:
            loss = 3.2 + 60 * abs(lr - 1e-3) + abs(beta - 0.9) + noise
            stored(store, steps=30, method="signum", lr=lr, seed=seed, loss=loss, beta=beta)
    return folder


@pytest.fixture
def folder(finished, tmp_path, monkeypatch):
    """A folder to be in, with that store and the examples, as a reader of the documents is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("store").symlink_to(finished)
    Path("examples").symlink_to(ROOT / "examples")
    Path("docs").mkdir()  # some commands write there
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(scope="session")
def generated():
    """The modules of site_pages by name."""
    found = {}
    for path in sorted((ROOT / "site_pages").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"site_pages_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        found[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found[path.stem])
    return found
