"""The report's other forms: hostile names stay text in Markdown, CSV, JSON and PDF."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser

import markdown as python_markdown
import msgspec
import pytest
from oracles.reported_stores import HOSTILE, hostile

from descentlab.analysis.report.document import Code, Document, Section
from descentlab.analysis.report.figures import write_figures
from descentlab.analysis.report.files import as_json, write_tables
from descentlab.analysis.report.gathering import Extras, gather
from descentlab.analysis.report.markdown import markdown


@pytest.fixture(scope="module")
def document(tmp_path_factory) -> Document:
    store = hostile(tmp_path_factory.mktemp("files") / "hostile")
    fence = Section(key="fence", title="fence", blocks=(Code("a\n```\n<script>\n"),))
    return gather(store, extras=Extras(title=HOSTILE[0], sections=[fence]))


class Elements(HTMLParser):
    """Which elements a text of HTML has, and what they say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.said += data


def test_markdown_renders_to_texts_and_tables_alone(document):
    """Python-Markdown, which knows nothing of us, makes no element of any name."""
    text = markdown(document)
    found = Elements(python_markdown.markdown(text, extensions=["tables", "fenced_code"]))
    blocks = {"h1", "h2", "h3", "p", "ul", "li", "strong", "em", "pre", "code"}
    assert found.tags <= blocks | {"table", "thead", "tbody", "tr", "th", "td"}
    assert "table" in found.tags
    assert "\u202e" not in text
    said = found.said.replace("\\", "")  # it knows fewer escapes than CommonMark, and shows them
    for name in (HOSTILE[0], HOSTILE[1], "evilu202egnp.exe"):
        assert name in said


def test_cells_of_csv_are_no_formulas(document, tmp_path):
    paths = write_tables(document, tmp_path)
    cells = []
    for path in paths:
        with path.open(newline="") as file:
            cells += [cell for row in csv.reader(file) for cell in row]
    assert any(HOSTILE[1] in cell for cell in cells)
    assert not [cell for cell in cells if cell[:1] in ("=", "@")]


def test_a_name_that_begins_as_a_formula_is_kept_a_text(document, tmp_path):
    runs = msgspec.structs.replace(
        document.runs,
        columns={**document.runs.columns, "sweep": ("=cmd()",) * len(document.runs)},
    )
    write_tables(msgspec.structs.replace(document, runs=runs), tmp_path)
    with (tmp_path / "runs.csv").open(newline="") as file:
        assert {row["sweep"] for row in csv.DictReader(file)} == {"'=cmd()"}


def test_json_keeps_names_as_they_are(document):
    found = json.loads(as_json(document))
    assert HOSTILE[1] in {run["reason"] for run in found["runs"]}
    assert found["title"] == HOSTILE[0]


def test_charts_with_hostile_names_are_drawn(document, tmp_path):
    few = dict(list(document.charts.items())[:2])
    assert any(HOSTILE[0] in series.name for series in few["comparison-1-rates"].series)
    for path in write_figures(msgspec.structs.replace(document, charts=few), tmp_path):
        assert path.read_bytes().startswith(b"%PDF")
