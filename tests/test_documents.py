"""What the documents and examples say must be true of the repository."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from descentlab.config import read_toml
from descentlab.sweep.axes import values_of
from descentlab.sweep.study_file import read_study
from descentlab.train.spec import run_spec

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_and_pictures_exist(document):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    targets += re.findall(r'src(?:set)?="([^"]+)"', document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert missing == []


def test_the_architecture_names_every_room_and_no_other():
    table = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"^\| `(\w+)/?` \|", table, flags=re.MULTILINE))
    package = ROOT / "src" / "descentlab"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    rooms |= {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    assert named == rooms


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.toml")), ids=lambda path: path.name)
def test_every_example_is_valid(path):
    settings = read_toml(path)
    if "run" not in settings:
        run_spec(settings, where=path.name)
        return
    for each in read_study(path).settings():
        run_spec(each, where=path.name)


@pytest.mark.parametrize("name", ["study", "longer"])
def test_the_example_in_python_is_valid(name):
    study = read_study(ROOT / f"examples/equal_tokens.py:{name}")
    specs = [run_spec(each, where=name) for each in study.settings()]
    assert len({each.training.batch_size * each.data.sequence_length for each in specs}) == 1
    assert len(specs) == 4 * 3 * 3


def test_make_targets_in_the_documents_exist():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "".join(document.read_text() for document in DOCUMENTS)
    assert set(re.findall(r"`make ([a-z0-9-]+)`", text)) <= targets


STUDIES = (ROOT / "docs" / "studies.md").read_text()


@pytest.mark.parametrize(
    ("written", "values"), re.findall(r"^\| `([\[{].*)` \| (.*) \|$", STUDIES, re.MULTILINE)
)
def test_ranges_give_the_values_that_their_document_says(written, values):
    given = tomllib.loads(f"x = {written}")["x"]
    assert values_of(given, "x") == [float(each) for each in values.split(", ")]


def test_the_studies_in_their_document_are_studies(tmp_path):
    whole, zipped, methods = re.findall(r"```toml\n(.*?)```", STUDIES, re.DOTALL)
    (python,) = re.findall(r"```python\n(.*?)```", STUDIES, re.DOTALL)
    lr = '[axes]\n"optimizer.lr" = { powers_of_two = [0, 2], times = 4e-3 }\n'
    assert lr in whole
    fixed = whole.replace(lr, "")
    compared = methods.replace("[run.optimizer]", "[other]").partition("[methods.adam]")[2]
    without = re.sub(r"optimizer = .*\n", "", fixed)
    counts = {
        whole: 9,
        whole + zipped: 27,
        without + "[methods.adam]" + compared: 2 * 4 * 4 * 3,
        python: 2 * 4 * 4 * 3,
    }
    for text, count in counts.items():
        path = tmp_path / ("study.py" if text == python else "study.toml")
        path.write_text(text)
        settings = read_study(path).settings()
        assert len(settings) == count
        for each in settings:
            run_spec(each, where="studies.md")
