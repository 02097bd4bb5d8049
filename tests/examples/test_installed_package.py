"""The wheel, installed where there is no checkout: it has every file, and its commands work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from descentlab.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    isolated = [] if find_spec("hatchling") is None else ["--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", ROOT, "--no-deps", "-q", "-w", folder, *isolated],
        check=True,
    )
    (made,) = folder.glob("descentlab-*.whl")
    return made


@pytest.fixture(scope="module")
def descent(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command of an environment of its own, in an empty folder.

    What the package depends on is seen there by path, so that editable installs are not.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    place = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=place))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", folder / "venv/bin/python"]
    only = ["--no-deps", "--no-index", "--force-reinstall", "-q"]
    subprocess.run([*pip, "install", wheel, *only], check=True)
    empty = folder / "empty"
    empty.mkdir()
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import descentlab; print(descentlab.__file__)"
    python = [folder / "venv/bin/python", "-c", code]
    said = subprocess.run(python, env=variables, capture_output=True, text=True, check=True)
    assert said.stdout.startswith(str(folder))

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [folder / "venv/bin/descent", *arguments],
            cwd=empty,
            env=variables,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
        return ended

    return run


def test_every_file_of_the_package_and_every_example_is_in_the_wheel(wheel: Path) -> None:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/descentlab"]
    files = subprocess.run(
        [*listed, "examples"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    wanted = {
        each.removeprefix("src/") if each.startswith("src/") else f"descentlab/{each}"
        for each in files
        if (ROOT / each).exists()
    }
    assert len(wanted) > 200
    assert wanted - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_it_says_what_it_can_do(
    descent: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert descent("--version").stdout.startswith("descentlab 0.")
    listed = re.findall(r"^  (\S+) {2,}\S", descent("--help").stdout, re.MULTILINE)
    assert listed == list(COMMANDS)


def test_an_example_is_printed_trained_and_looked_at(
    descent: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert "train.toml" in descent("examples").stdout
    spec = descent("examples", "train").stdout
    assert spec == (ROOT / "examples/train.toml").read_text()
    descent("examples", "--copy", "mine")
    trained = descent("train", "mine/train.toml", "training.steps=5")
    assert "done, perplexity" in trained.stdout
    assert "1 run" in descent("audit", "store").stdout
    assert "adam" in descent("query", "store", "SELECT method FROM runs").stdout
    assert "0 examples, " in descent("examples", "--copy", "mine").stdout


def test_a_study_is_planned_and_a_figure_drawn(
    descent: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert "36 runs" in descent("plan", "mine/walk_study.toml", "--no-measure").stdout
    descent("filters", "--folder", "figures")
