"""``descent plan`` of tables, figures and experiments by name."""

from __future__ import annotations

import re

import pytest

from descentlab.cli.main import main


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(output: str) -> dict[str, list[str]]:
    rows = [line.split("|")[1:-1] for line in output.splitlines() if line.startswith("|")]
    return {
        name.partition(":")[0].strip(): [each.strip() for each in cells] for name, *cells in rows
    }


def test_everything_at_the_papers_scale_without_its_text(capsys, tmp_path):
    assert main(["plan", "all", "--scale", "paper"]) == 0
    shown = capsys.readouterr().out
    rows = table(shown)
    points = {key: rows[key][:3] for key in ("E1", "E2", "E3", "E6", "E7", "E8", "E9")}
    assert points == {
        "E1": ["511", "476", "476"],
        "E2": ["18", "18", "18"],
        "E3": ["15", "15", "12"],  # Adam as it is, three seeds, is in E2
        "E6": ["548", "548", "548"],
        "E7": ["44", "44", "44"],
        "E8": ["108", "108", "108"],
        "E9": ["168", "168", "168"],
    }
    assert "data/fineweb and data/slimpajama: not there yet; prepare with: descent data" in shown
    assert not list(tmp_path.iterdir())


def test_the_larger_model_at_the_papers_hours(capsys):
    assert main(["plan", "E7", "--scale", "paper"]) == 0
    assert "about 1,700 A100-hours" in capsys.readouterr().out  # 44 · 8 · 4.83


def test_the_table_at_the_papers_hours(capsys):
    assert main(["plan", "fig10", "--scale", "paper"]) == 0
    shown = capsys.readouterr().out
    assert "to train: 51 runs" in shown  # 48, and the best one with three seeds
    (hours,) = re.findall(r"about (\d+) A100-hours", shown)
    assert int(hours) == round(51 * 5.83)


def test_figures_without_runs_cost_nothing(capsys):
    assert main(["plan", "fig20"]) == 0
    assert "computed in seconds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fgi2"], "did you mean fig2"),
        (["fgi2"], "nor is there a file fgi2"),
        (["missing.toml"], "missing.toml"),
        (["missing.toml", "--scale", "tiny"], "--scale: missing.toml has settings of its own"),
    ],
)
def test_what_is_not_allowed_is_one_sentence(arguments, told, capsys):
    assert main(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
