"""``descent reproduce`` from runs that are there, as a user types it."""

from __future__ import annotations

import pickle

import pytest
from oracles.pickles import frame, hostile
from oracles.stored_runs import stored

from descentlab.cli.main import main
from descentlab.runs.imported import imports
from descentlab.runs.store import Store

ADAM = "Adam_160M_SP_SL2048_3Btok_BS256.pkl"


@pytest.fixture
def released(tmp_path):
    folder = tmp_path / "clone" / "data"
    folder.mkdir(parents=True)
    (folder / ADAM).write_bytes(pickle.dumps(frame(3, ppl_test=[30.25, 57971.97, 31.0]), 5))
    return folder.parent


def test_a_table_of_released_files_leaves_no_store_behind(released, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert main(["reproduce", "table1", "--from-released", "clone", "--out", "out"]) == 0
    text = (tmp_path / "out" / "index.md").read_text()
    captured = capsys.readouterr()
    assert captured.out == text
    assert "30.25" in (tmp_path / "out" / "table1.md").read_text()
    assert "From clone: 3 runs, 1 of them diverged." in text
    assert "written to out" in captured.err
    assert {path.name for path in tmp_path.iterdir()} == {"clone", "out"}


def test_released_files_are_kept_in_a_store_that_is_named(released, tmp_path):
    store = tmp_path / "store"
    command = ["reproduce", "table1", "--from-released", str(released), "--store", str(store)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert [each.runs for each in imports(Store(store))] == [3]
    again = ["reproduce", "table1", "--from-store", str(store), "--out", str(tmp_path / "again")]
    assert main(again) == 0
    same = [(tmp_path / name / "table1.csv").read_bytes() for name in ("out", "again")]
    assert same[0] == same[1]


def test_a_hostile_file_among_them_is_refused_and_the_rest_drawn(released, tmp_path, capsys):
    marker = tmp_path / "marker"
    bad = released / "data" / "Adam_160M_FW_SL2048_3Btok_BS256.pkl"
    bad.write_bytes(hostile(marker)["runs a command in a cell"])
    command = ["reproduce", "table1", "--from-released", str(released)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 3
    assert "names 'os.system'" in capsys.readouterr().err
    assert not marker.exists()
    assert "30.25" in (tmp_path / "out" / "table1.md").read_text()


def test_a_study_of_a_store(tmp_path, capsys):
    store = Store(tmp_path / "store", create=True)
    stored(store, beta=0.9)
    command = ["reproduce", "table1", "--from-store", str(store.root)]
    assert main([*command, "--out", str(tmp_path / "out"), "--study", "none"]) == 2
    assert "none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fgi3"], "fgi3: no table, figure or experiment; did you mean fig3?"),
        (["E11", "--scale", "tiny"], "E11: no table, figure or experiment; did you mean E1?"),
        (["tabel1", "--from-store", "store"], "did you mean table1?"),
        (["constant-variance", "--from-store", "store"], "constant-variance: no table or figure"),
        (["all", "--from-store", "missing"], "missing"),
        (["all", "--from-store", "a", "--from-released", "b"], "give one of them"),
        (["all", "--from-released", "b", "--study", "s"], "--study: belongs to --from-store"),
    ],
)
def test_what_is_not_allowed_is_one_sentence(arguments, told, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Store(tmp_path / "store", create=True)
    assert main(["reproduce", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_folder_without_released_files(tmp_path, capsys):
    assert main(["reproduce", "all", "--from-released", str(tmp_path)]) == 3
    assert "has no released file" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(released, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    command = ["reproduce", "table1", "--from-released", str(released)]
    assert main([*command, "--out", str(tmp_path / "file" / "out")]) == 4
    assert "cannot be written" in capsys.readouterr().err
