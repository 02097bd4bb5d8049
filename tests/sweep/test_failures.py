from __future__ import annotations

import pytest

from descentlab.runs.folder import Status
from descentlab.sweep.failures import Failure, by_exit_code, on_record, summary


@pytest.mark.parametrize(
    ("code", "reason", "passing"),
    [
        (-9, "its process was ended by signal 9, probably for want of memory", True),
        (137, "its process was ended by signal 9, probably for want of memory", True),
        (-15, "its process was ended by signal 15", True),
        (143, "its process was ended by signal 15", True),
        (255, "its process was lost", True),
        (4, "the disk was full, read-only or denied, even for its record", True),
        (0, "its process ended with code 0 and no result", False),
        (1, "its process ended with code 1 and no result", False),
        (2, "its process ended with code 2 and no result", False),
        (3, "its process ended with code 3 and no result", False),
        (5, "its process ended with code 5 and no result", False),
    ],
)
def test_what_an_exit_code_tells(code, reason, passing):
    assert by_exit_code(code) == Failure(reason, passing)


@pytest.mark.parametrize("passing", [True, False])
def test_what_is_on_record_is_believed(passing):
    status = Status("failed", reason="hung", passing=passing)
    assert on_record(status) == Failure("hung", passing)


def test_the_most_frequent_reasons_come_first_and_the_rest_are_counted():
    reasons = ["a", "b", "b", "c", "d", "e"]
    said = summary({f"run{number}": reason for number, reason in enumerate(reasons)}, 10)
    assert said == (
        "6 of 10 runs failed: 2 (run1 is one) with: b; 1 (run0) with: a; 1 (run3) with: c; "
        "2 other reasons, which descent runs lists"
    )
