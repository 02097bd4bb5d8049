"""``descent audit`` as a user types it."""

from __future__ import annotations

import json
import pickle

import pytest
from oracles.pickles import frame, texts

from descentlab.cli.main import main
from descentlab.runs.store import Store

ADAM, SGD = "Adam_160M_SP_SL2048_3Btok_BS256", "SGDPlain_160M_SP_SL2048_3Btok_BS256"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two released files with made-up losses, one of which ran fewer steps."""
    folder = tmp_path_factory.mktemp("audit-command")
    for name, optimizer, steps in ((ADAM, "adamw", 6200), (SGD, "sgd", 4800)):
        made = frame(4, seed=steps, optim=texts([optimizer] * 4), num_steps=[steps] * 4,
                     lr=[1e-3, 2e-3, 4e-3, 8e-3],
                     beta1=0.9, beta2=0.95 if optimizer == "adamw" else None)  # fmt: skip
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(made, 5))
    assert main(["import", "secretsauce", str(folder), str(folder / "store")]) == 0
    return folder / "store"


def test_findings_are_a_result(store, capsys):
    assert main(["audit", str(store)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 error, ")
    assert "error: unequal-tokens" in said
    assert "sgd+Gclip ran 2.52B tokens (4,800 steps), where adam ran 3.25B tokens" in " ".join(
        said.split())  # fmt: skip


def test_strict_ends_with_8_where_a_comparison_is_wrong(store, capsys):
    assert main(["audit", str(store), "--strict"]) == 8
    written = capsys.readouterr()
    assert written.out.startswith("1 error, ")
    assert written.err == f"error: {store}: 1 finding says that a comparison is wrong\n"
    assert main(["audit", str(store), "--study", ADAM, "--strict"]) == 0


def test_a_page_and_its_data(store, tmp_path, capsys):
    page = tmp_path / "audit.md"
    assert main(["audit", str(store), "--format", "md", "--out", str(page)]) == 0
    assert capsys.readouterr().out.startswith(f"{page}: 1 error, ")
    assert page.read_text().startswith("# Audit of the paper's released runs\n")
    assert str(tmp_path) not in page.read_text()
    assert main(["audit", str(store), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["findings"][0]["check"] == "unequal-tokens"
    assert main(["audit", str(store), "--out", str(tmp_path / "missing" / "audit.md")]) == 4


def test_one_sentence_where_there_is_nothing_to_compare(tmp_path, capsys):
    empty = tmp_path / "empty"
    Store(empty, create=True)
    assert main(["audit", str(empty)]) == 0
    assert capsys.readouterr().out == f"{empty}: has no runs, so nothing is compared\n"
    assert main(["audit", str(tmp_path / "none")]) == 2


def test_a_study_that_is_not_there(store, capsys):
    assert main(["audit", str(store), "--study", ADAM[:-1]]) == 2
    error = capsys.readouterr().err
    assert f"did you mean {ADAM}?" in error
    assert error.count("\n") == 1


def test_files_that_an_older_version_read_are_named(store, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("descentlab.runs.imported.READING", 99)
    assert main(["audit", str(store)]) == 0
    written = capsys.readouterr()
    assert written.out == f"{store}: has no runs, so nothing is compared\n"
    assert "2 files were imported by an older version and are passed over" in written.err
