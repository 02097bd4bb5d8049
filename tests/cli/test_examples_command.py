"""``descent examples``: what stands in examples/, for those who have no checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from descentlab.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_listed_in_one_line(capsys):
    assert main(["examples"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(path.name for path in files())
    assert all(20 < len(line) < 200 for line in lines)
    assert any(line.endswith("One run") for line in lines)


def files() -> list[Path]:
    return [path for path in EXAMPLES.iterdir() if path.is_file()]


@pytest.mark.parametrize("name", ["train", "train.toml"])
def test_one_is_printed_to_the_letter(name, capsys):
    assert main(["examples", name]) == 0
    assert capsys.readouterr().out == (EXAMPLES / "train.toml").read_text()


def test_all_are_copied_and_none_is_overwritten(tmp_path, capsys):
    (tmp_path / "train.toml").write_text("mine")
    assert main(["examples", "--copy", str(tmp_path)]) == 0
    assert f"{len(files()) - 1} examples, 1 were there" in capsys.readouterr().out
    assert (tmp_path / "train.toml").read_text() == "mine"
    for path in files():
        if path.name != "train.toml":
            assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_wrong_uses_end_in_one_sentence(tmp_path, capsys):
    assert main(["examples", "trian"]) == 2
    assert "no example is called 'trian'; did you mean train.toml?" in capsys.readouterr().err
    assert main(["examples", "train", "--copy", str(tmp_path)]) == 2
    assert "leave train out" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["examples", "--copy", str(tmp_path / "file")]) == 4
