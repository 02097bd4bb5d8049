"""Which runs a table or figure takes, and what they are compared with."""

from __future__ import annotations

import pytest
from oracles.grid_frames import frame, run

from descentlab.analysis.selection import Selection, Setting, reference, select

MAIN = Setting(
    model="160M", dataset="SlimPajama", sequence_length=2048, batch_size=256, tokens=3_250_585_600
)


def taken(rows, selection, to=MAIN):
    """The places of the rows that are selected."""
    return [int(str(name)[4:]) for name in select(frame(rows), selection, to)["run"]]


def test_the_reference_is_the_preferred_setting_wherever_there_are_runs_of_it():
    rows = [run("adam", batch_size=8), run("signum", batch_size=8), run("adam")]
    assert reference(frame(rows), MAIN) == MAIN
    assert reference(frame(rows[:2]), MAIN) != MAIN


def test_else_it_has_the_most_methods_then_runs_at_the_budget_with_the_most_methods():
    rows = [
        *[run("adam", model="small", steps=10) for _ in range(9)],
        *[run("adam", model="large", steps=10) for _ in range(3)],
        run("signum", model="large", steps=20),
        run("adam", model="large", steps=20),
    ]
    found = reference(frame(rows))
    assert found is not None
    assert (found.model, found.tokens) == ("large", 20 * 256 * 2048)
    assert reference(frame([])) is None


def test_equal_budgets_go_to_the_larger():
    rows = [run("adam", steps=10), run("signum", steps=20)]
    found = reference(frame(rows))
    assert found is not None
    assert found.tokens == 20 * 256 * 2048


@pytest.mark.parametrize(
    ("changes", "selection", "expected"),
    [
        ({"model": "410M"}, Selection(model="other"), [1]),
        ({"dataset": "FineWeb"}, Selection(dataset="other"), [1]),
        ({"dataset": None}, Selection(dataset="other"), [1]),
        ({"sequence_length": 512, "steps": 24800}, Selection(sequence_length="smaller"), [1]),
        ({"sequence_length": 4096, "steps": 3100}, Selection(sequence_length="larger"), [1]),
        ({"batch_size": 128, "steps": 12400}, Selection(batch_size="smaller"), [1]),
        ({"batch_size": 128, "steps": 12400}, Selection(batch_size="any"), [0, 1]),
        ({"batch_size": 128, "steps": 12400}, Selection(), [0]),
        ({"steps": 4800}, Selection(), [0]),
        ({"steps": 4800}, Selection(tokens="any"), [0, 1]),
        ({"model": None}, Selection(), [0]),
    ],
)
def test_relations(changes, selection, expected):
    assert taken([run(), run(**changes)], selection) == expected


def test_methods():
    rows = [run("adam"), run("signum"), run("sgd+Gclip")]
    assert taken(rows, Selection(methods=("sgd+Gclip", "adam"))) == [0, 2]
    assert taken(rows, Selection()) == [0, 1, 2]


def test_the_nearest_budget_is_each_methods_own():
    rows = [run("adam"), run("adam", steps=4800), run("sgd", steps=4800), run("sgd", steps=2400)]
    assert taken(rows, Selection(tokens="nearest")) == [0, 2]


def test_the_shared_budget_has_the_most_batch_sizes():
    rows = [
        *[run() for _ in range(5)],
        run(steps=4800),
        run(steps=9600, batch_size=128),
        run(steps=100, batch_size=128),
    ]
    assert taken(rows, Selection(batch_size="any", tokens="shared")) == [5, 6]


def test_of_several_other_settings_the_one_with_the_most_runs_is_taken():
    rows = [run(dataset="a"), run(dataset="b"), run(dataset="b"), run()]
    assert taken(rows, Selection(dataset="other")) == [1, 2]


def test_runs_on_other_tokens_of_the_same_corpus_are_another_setting():
    rows = [run() | {"data": "aa"}, run() | {"data": "bb"}, run() | {"data": "bb"}]
    found = reference(frame(rows))
    assert found is not None
    assert taken(rows, Selection(), found) == [1, 2]


def test_without_runs_nothing_is_taken():
    for budget in ("same", "nearest", "shared", "any"):
        assert taken([], Selection(tokens=budget)) == []
        assert taken([run()], Selection(model="other", tokens=budget)) == []
