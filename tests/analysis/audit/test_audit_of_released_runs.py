"""What the audit finds in the paper's released files, unaided, and the page that says so."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from oracles.pickles import RELEASED, frame

from descentlab.analysis import load
from descentlab.analysis.audit.kit import audited
from descentlab.analysis.audit.report import markdown, text
from descentlab.analysis.imports.importing import import_released
from descentlab.runs.store import Store

PAGE = Path(__file__).parents[3] / "docs" / "paper-audit.md"
TABLE1 = "160M SlimPajama L2048 B256, 3B tokens"

needs_the_files = pytest.mark.skipif(
    not RELEASED.is_dir(), reason="needs the paper's released files, in DESCENTLAB_RELEASED_RUNS"
)


@pytest.fixture(scope="module")
def audit_of_released(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("audited") / "store", create=True)
    import_released(RELEASED, store, lambda _: None)
    return audited(load(store))


@pytest.fixture
def found(audit_of_released):
    def of(check, where=None):
        return [
            each
            for each in audit_of_released[1]
            if each.check == check and where in (None, each.where)
        ]

    return of


@needs_the_files
def test_table_1_has_the_signum_file_of_another_name(audit_of_released):
    evidence, _ = audit_of_released
    methods = {table.name: set(table.methods) for table in evidence.tables}
    expected = {"adam", "signum", "rmsprop", "signsgd", "sgd", "sgd+Gclip", "sgd+Cclip"}
    assert methods[TABLE1] == expected


@needs_the_files
def test_sgd_of_4800_steps_in_a_table_of_6200(found):
    (finding,) = found("unequal-tokens", TABLE1)
    assert finding.severity == "error"
    assert finding.what.startswith("sgd+Gclip and sgd ran 2.52B tokens (4,800 steps), where ")
    assert finding.what.endswith(" ran 3.25B tokens (6,200 steps)")
    assert len(finding.runs) == 20 + 84
    assert "training.steps = 6200" in finding.study


@needs_the_files
def test_the_lone_sgd_survivor_at_the_edge(found):
    (edge,) = found("optimum-on-an-edge", TABLE1)
    assert "of sgd, lr=0.25 beta=0.975 (perplexity 50.68), has the highest lr" in edge.what
    (alone,) = found("isolated-optimum")
    assert "is the only one of 4 with its learning rate that did not diverge" in alone.what
    assert "lower lr diverged, lower beta diverged and higher beta diverged" in alone.what
    assert edge.runs[0] == alone.runs[0]


@needs_the_files
def test_sentinels_and_the_row_that_was_typed(found):
    untrained, absurd, typed = found("sentinel-values")
    assert "of 67 runs is that of the untrained model: 57971.97 in 64 and 58006.63 in 3" in (
        untrained.what)  # fmt: skip
    assert "2.32e+39 in 1 and 5.09e+131 in 1" in absurd.what
    assert "of 1 run is a round number without a curve, typed by hand" in typed.what
    assert typed.what.endswith(": 500; all count as diverged here")
    assert typed.runs == ("Signum_160M_SP_SL2048_2Btok_BS256#64",)


@needs_the_files
def test_the_duplicated_cell(found):
    (finding,) = found("duplicated-cell")
    assert "1 cell is there more than once: adam lr=0.008 β1=0.975 β2=0.6" in finding.what
    assert len(finding.runs) == 2


@needs_the_files
def test_names_that_say_another_budget(found):
    (finding,) = found("budget-name")
    said = re.findall(r"(\w+) says (\d+)B", finding.what)
    assert sorted(said) == [
        ("SGDPlain_160M_SP_SL2048_3Btok_BS256", "3"),
        ("SGD_GClip_160M_SP_SL2048_3Btok_BS256", "3"),
        ("Signum_160M_SP_SL2048_2Btok_BS256", "2"),
    ]


@needs_the_files
def test_single_seeds_in_every_table(found, audit_of_released):
    tables = {table.name for table in audit_of_released[0].tables}
    assert {finding.where for finding in found("few-seeds")} == tables
    (finding,) = found("few-seeds", TABLE1)
    assert "1 seed for" in finding.what
    assert len(finding.runs) == 7


@needs_the_files
def test_clipping_that_changes_nothing_by_algebra(found):
    (finding,) = found("same-method")
    assert finding.what.startswith("sgd+Cclip and sgd+Gclip are one method at 24 settings")
    assert "32.74 at best after 3.25B tokens, against perplexity 37.53 at best" in finding.what


@needs_the_files
def test_banded_grids_and_unequal_trials(found):
    missing = " ".join(finding.what for finding in found("missing-cells"))
    assert "adam has 90 of the 126 cells" in missing
    assert "adam has 150 of the 210 cells" in missing
    assert "signum has 65 of the 70 cells" in missing
    (trials,) = found("unequal-trials", TABLE1)
    assert "adam 200, sgd+Gclip 84, signum 65, rmsprop 42, sgd+Cclip 24, sgd 20" in trials.what


@needs_the_files
def test_it_can_be_read(audit_of_released):
    lines = text(*audit_of_released).splitlines()
    assert len(lines) < 220
    assert max(map(len, lines)) < 180


@needs_the_files
@pytest.mark.skipif(len(list(RELEASED.glob("*.pkl"))) != 10, reason="the page is about ten files")
def test_the_page_is_what_the_command_writes(audit_of_released):
    assert PAGE.read_text(encoding="utf-8") == markdown(*audit_of_released)


def test_the_batch_of_one_device_in_the_file_of_the_larger_model(tmp_path):
    """The 410M file is not at hand; this one says what it says, with made-up losses."""
    lrs, betas = [1e-3, 2e-3, 4e-3] * 2, [0.9] * 3 + [0.95] * 3
    made = frame(6, lr=lrs, beta1=betas, beta2=0.95, bs=[64] * 6, num_steps=[7800] * 6)
    (tmp_path / "Adam_410M_SP_SL2048_8Btok_BS512.pkl").write_bytes(pickle.dumps(made, 5))
    store = Store(tmp_path / "store", create=True)
    import_released(tmp_path, store, lambda _: None)
    runs = load(store)
    assert [each["batch_size"] for each in runs["reported"]] == [64.0] * 6
    _, findings = audited(runs)
    (finding,) = [each for each in findings if each.check == "batch-name"]
    assert "6 of 6 runs say batch 64, the name says 512 and 8B tokens" in finding.what
    assert "7,800 steps of 64 are 1.02B tokens" in finding.what
    assert "of one device of 8, which gives 8.18B tokens" in finding.what
    assert not [each for each in findings if each.check == "budget-name"]
