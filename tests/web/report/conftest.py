"""Reports as the browser gets them: of a duel, and of a store whose names are all hostile."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from oracles.report_reader import opened
from oracles.reported_stores import HOSTILE, duel, hostile
from playwright.sync_api import Page

from descentlab.analysis import load
from descentlab.analysis.report.document import (
    Column,
    Details,
    Grid,
    Paragraph,
    Section,
    Verdict,
)
from descentlab.analysis.report.gathering import Extras
from descentlab.web.report import write_report

CLAIM = {
    "key": "adam-below-signum",
    "statement": f"Adam is below {HOSTILE[0]}",
    "where": "Table 1",
    "needs": "runs",
    "test": "paired t-test",
    "family": "",
    "findings": {
        "laptop": {
            "claim": "", "verdict": "holds", "effect": "90% [80%, 95%]", "value": 0.9, "low": 0.8,
            "high": 0.95, "confidence": 0.95, "p_value": 0.01, "n": 6, "counted": "seeds",
            "method": "mean", "reason": "", "settle": "", "caveats": [HOSTILE[1]],
        }
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def runs(folder) -> pd.DataFrame:
    """The runs of the duel, whose page is ``duel.html``."""
    store = duel(folder / "duel")
    write_report(store, folder / "duel.html", extras=Extras(claims=[CLAIM]))
    return load(store)


@pytest.fixture
def shown(page: Page, runs, folder) -> Page:
    """The page of the duel, open; a request to anywhere else fails the test."""
    return opened(page, folder / "duel.html")


@pytest.fixture(scope="module")
def attacked(folder) -> Path:
    """The page of a store, and of extras, whose names are all hostile."""
    section = Section(
        key="extra",
        title=HOSTILE[0],
        blocks=(
            Paragraph(HOSTILE[1]),
            Details(HOSTILE[2], (Verdict(badge=HOSTILE[0], tone="good", heading=HOSTILE[1],
                                         sentence=HOSTILE[2], details=HOSTILE),)),
            Grid(key="extra", columns=(Column(HOSTILE[0]),), rows=((HOSTILE[1],),),
                 caption=HOSTILE[2]),
        ),
    )  # fmt: skip
    given = Extras(title=HOSTILE[1], claims=[CLAIM], sections=[section])
    write_report(hostile(folder / "hostile"), folder / "hostile.html", extras=given)
    return folder / "hostile.html"
