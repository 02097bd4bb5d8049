"""Findings in words, and the choice of what is audited."""

from __future__ import annotations

import json as json_format
import re
from pathlib import Path

import pytest
from oracles.runs import fair, grid, released, table

from descentlab.analysis.audit import CHECKS
from descentlab.analysis.audit.kit import audited
from descentlab.analysis.audit.report import FORMATS, json, markdown, summary, text
from descentlab.analysis.audit.selection import of_study
from descentlab.errors import ConfigError
from descentlab.runs.studies import Entry

DOCUMENT = Path(__file__).parents[3] / "docs" / "audit.md"


def test_the_document_lists_every_check():
    table = DOCUMENT.read_text().partition("## The checks")[2]
    assert re.findall(r"^\| ([a-z-]+-[a-z-]+) \|", table, re.MULTILINE) == list(CHECKS)


@pytest.fixture
def found():
    return audited(table([*fair(), *grid("adam", lrs=[5e-4, 2.5e-4])]))


def test_a_summary_counts(found):
    assert summary(*found) == "0 errors, 1 warning, 0 notes; 19 checks of 30 runs in 1 table."
    nothing = audited(table(fair()[:1]))
    assert summary(*nothing).endswith("1 run in 1 table. No two settings are there to compare.")


def test_every_format_says_what_why_and_how(found):
    (finding,) = found[1]
    for form in FORMATS.values():
        said = " ".join(form(*found).split())
        for each in (finding.check, finding.what, finding.why, finding.settle):
            assert " ".join(each.split()) in said


def test_only_json_names_every_run(found):
    content = json_format.loads(json(*found))
    assert content["runs"] == 30
    assert content["checks"] == list(CHECKS)
    assert content["tables"] == [{"name": "study", "methods": ["adam", "signum"]}]
    (finding,) = content["findings"]
    assert len(finding["runs"]) == 12
    assert "and 9 more" in text(*found)
    assert finding["runs"][-1] not in text(*found)


def test_one_reason_is_said_once():
    rows = [{**row, "settings": {**row["settings"], "schedule.floor_lr": 1e-5}} for row in fair()]
    other = [
        {**row, "run": f"b-{row['run']}", "loss": row["loss"] + 1, "data": "cd" * 32,
         "entries": (Entry("b", "b", row["method"]),)}
        for row in rows
    ]  # fmt: skip
    found = audited(table([*rows, *other]))
    assert [each.where for each in found[1]] == ["study", "b"]
    for form in (text, markdown):
        assert " ".join(form(*found).split()).count("The schedule has another shape") == 1


def test_markdown_keeps_studies_in_fences():
    rows = [row for row in fair() if row["seed"] == 0]
    said = markdown(*audited(table(rows)))
    assert "  ```toml\n  seeds = [1, 2, 3]\n  [methods]\n  adam.optimizer = {" in said


def test_the_runs_of_a_study_an_experiment_or_an_import():
    stage = (Entry("fair-grid", "fair", "adam"), Entry("other", "other", "adam"))
    rows = [{**row, "entries": stage} for row in grid("adam")]
    imported = released(grid("signum"), "Signum_160M_SP_SL2048_3Btok_BS256")
    runs = table([*rows, *fair()[9:], *imported])
    for name in ("fair-grid", "fair"):
        chosen = of_study(runs, name)
        assert list(chosen["run"]) == [row["run"] for row in rows]
        assert {each.experiment for own in chosen["entries"] for each in own} == {"fair"}
    assert len(of_study(runs, "study")) == len(fair()) - 9
    assert len(of_study(runs, "Signum_160M_SP_SL2048_3Btok_BS256")) == 9
    with pytest.raises(ConfigError, match=r"study 'fare': not in the store; did you mean fair\?"):
        of_study(runs, "fare")
