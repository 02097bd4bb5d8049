"""``descent import`` as a user types it."""

from __future__ import annotations

import pickle

from oracles.pickles import frame, hostile

from descentlab.cli.main import main

NAME = "Adam_160M_SP_SL2048_3Btok_BS256.pkl"


def test_import_then_list(tmp_path, capsys):
    raw = pickle.dumps(frame(3, ppl_test=[30.25, 57971.97, 31.0]), 5)
    (tmp_path / NAME).write_bytes(raw)
    store = str(tmp_path / "store")
    assert main(["import", "secretsauce", str(tmp_path), store]) == 0
    expected = f"{NAME}: 3 runs of adam, 1 diverged, best perplexity 30.250\n"
    assert capsys.readouterr().out == expected
    assert main(["import", "secretsauce", str(tmp_path), store]) == 0
    assert capsys.readouterr().out == f"{NAME}: 3 runs, imported before\n"
    assert main(["import", "list", store]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith(expected)
    assert "1 of 3 runs: diverged: ppl_test=57971.97 is that of the untrained model" in listed
    assert main(["runs", store]) == 0  # they are no runs of our own
    assert "no runs" in capsys.readouterr().out


def test_a_hostile_file_is_one_sentence_and_code_3(tmp_path, capsys):
    marker = tmp_path / "marker"
    (tmp_path / NAME).write_bytes(hostile(marker)["runs a command in a cell"])
    before = sorted(tmp_path.rglob("*"))
    store = tmp_path / "store"
    assert main(["import", "secretsauce", str(tmp_path), str(store)]) == 3
    assert capsys.readouterr().err == (
        f"error: {tmp_path / NAME}: not imported: it names 'os.system', which no table of numbers "
        "needs\n"
    )
    after = [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert [path for path in after if store not in path.parents] == before
    assert not list(store.rglob("*.jsonl"))


def test_a_folder_without_them(tmp_path, capsys):
    assert main(["import", "secretsauce", str(tmp_path), str(tmp_path / "store")]) == 3
    assert "has no released file" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
    assert main(["import", "list", str(tmp_path / "missing")]) == 2
