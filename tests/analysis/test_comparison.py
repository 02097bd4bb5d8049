from __future__ import annotations

import dataclasses
import math

import pytest

from descentlab.analysis.comparison import Contender, Published, markdown, ranked, table

ADAM = Contender(
    name="adam",
    best={"lr": 0.008, "beta": 0.9},
    losses=[math.log(20.0), math.log(21.0), math.log(22.0)],
    trials=12,
    diverged=1,
    runs=15,
    edges=[],
)
SGD = dataclasses.replace(
    ADAM, name="sgd", losses=[math.log(20.0), math.inf, 3.0], edges=["low lr"]
)
TWIN = dataclasses.replace(ADAM, name="twin", losses=[9.0, 9.0, 9.0], same_as="adam")
PAPER = {"adam": Published(21.86, 0.21)}


def test_two_sigma_is_twice_the_sample_deviation():
    assert (ADAM.mean, ADAM.two_sigma) == (pytest.approx(21.0), pytest.approx(2.0))


def test_a_diverged_seed_ranks_its_method_last():
    assert [each.name for each in ranked([SGD, TWIN, ADAM])] == ["adam", "twin", "sgd"]


def test_the_frame_keeps_every_number_and_the_published_one():
    row = table([SGD, ADAM], PAPER).iloc[0]
    assert (row["method"], row["trials"], row["diverged"], row["runs"]) == ("adam", 12, 1, 15)
    assert row["paper_perplexity"] == 21.86
    assert math.isnan(table([SGD], PAPER).iloc[0]["paper_perplexity"])


def test_the_table_for_people():
    assert markdown([SGD, TWIN, ADAM], PAPER) == (
        "| method | best lr | best β | perplexity ± 2σ | n | trials | diverged | paper        |\n"
        "| ------ | ------- | ------ | --------------- | - | ------ | -------- | ------------ |\n"
        "| adam   | 0.008   | 0.9    | 21.00 ± 2.00    | 3 | 12     | 1/15     | 21.86 ± 0.21 |\n"
        "| twin   | 0.008   | 0.9    | 8103.08 ± 0.00  | 3 | 12     | 1/15     |              |\n"
        "| sgd*   | 0.008   | 0.9    | diverged        | 3 | 12     | 1/15     |              |\n"
        "\n"
        "twin and adam are the same runs, trained once.\n"
        "\n"
        "\\* The best setting lies on an edge of what was tried."
    )
