from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest

from descentlab.analysis.curves import smoothed_mean, training_curve
from descentlab.analysis.figures.learning_rates import perplexity_by_learning_rate
from descentlab.charts import save
from descentlab.runs.identity import make_run
from descentlab.runs.store import Store

TRIALS = pd.DataFrame(
    [
        ("adam", 0.01, 0.8, 20.0),
        ("adam", 0.01, 0.9, 22.0),
        ("adam", 0.02, 0.8, 25.0),
        ("sgd", 1.0, 0.8, 40.0),
        ("sgd", 2.0, 0.8, math.inf),
    ],
    columns=pd.Index(["method", "lr", "beta", "perplexity"]),
)


def test_each_trial_is_drawn_once_and_diverged_ones_as_triangles():
    chart = perplexity_by_learning_rate(TRIALS, ["adam", "sgd"]).to_dict()
    points, off, lines, _ = (chart["datasets"][layer["data"]["name"]] for layer in chart["layer"])
    assert (len(points), len(off)) == (4, 1)
    assert off[0]["lr"] == 2.0
    assert chart["layer"][2]["encoding"]["y"]["field"] == "drawn"
    top = chart["layer"][0]["encoding"]["y"]["scale"]["domain"][1]
    drawn = {(each["method"], each["lr"]): each["drawn"] for each in lines}
    assert drawn.pop(("sgd", 2.0)) > top  # the line leaves the figure, and does not pass it over
    assert drawn == {("adam", 0.01): 20.0, ("adam", 0.02): 25.0, ("sgd", 1.0): 40.0}


def test_a_trial_that_racing_stopped_is_a_tick_and_no_point():
    stopped = [("sgd", 4.0, 0.8, math.nan), ("sgd", 4.0, 0.9, math.nan), ("adam", 0.01, 0.0, None)]
    more = pd.DataFrame(stopped, columns=TRIALS.columns)
    with_stopped = pd.concat([TRIALS, more.astype({"perplexity": float})], ignore_index=True)
    without = perplexity_by_learning_rate(TRIALS, ["adam", "sgd"]).to_dict()
    chart = perplexity_by_learning_rate(with_stopped, ["adam", "sgd"]).to_dict()

    def data(whole):
        return [whole["datasets"][layer["data"]["name"]] for layer in whole["layer"]]

    *drawn, below, above = data(chart)
    assert drawn == data(without)
    assert [below, above] == [[{"method": "sgd", "lr": 4.0}], [{"method": "adam", "lr": 0.01}]]
    assert "stopped by racing" in chart["title"]["subtitle"]
    assert "stopped" not in without["title"]["subtitle"]


def test_svg_and_png_are_written_with_the_methods_named(tmp_path):
    chart = perplexity_by_learning_rate(TRIALS, ["adam", "sgd"])
    save(chart, tmp_path / "figure")
    root = ElementTree.parse(tmp_path / "figure.svg").getroot()
    words = {element.text for element in root.iter() if element.text}
    assert {"adam", "sgd", "learning rate", "held-out perplexity"} <= words
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_of_nothing_but_divergence_can_be_drawn(tmp_path):
    frame = TRIALS.assign(perplexity=math.inf)
    save(perplexity_by_learning_rate(frame, ["adam", "sgd"]), tmp_path / "figure")
    assert (tmp_path / "figure.svg").exists()


def test_curves_are_averaged_over_seeds_and_then_smoothed():
    curves = [
        pd.DataFrame({"step": [1, 2, 3], "loss": [2.0, 4.0, 6.0]}),
        pd.DataFrame({"step": [1, 2], "loss": [4.0, 6.0]}),
    ]
    smooth = smoothed_mean(curves, half_life=1.0)
    assert smooth["step"].tolist() == [1, 2]
    assert smooth["loss"].tolist() == [3.0, pytest.approx((3.0 / 2 + 5.0) / 1.5)]


def test_damaged_metrics_are_told_with_their_place_and_used_up_to_there(tmp_path):
    store = Store(tmp_path / "store", create=True)
    run = make_run(identity={}, settings={}, data_sha256="0" * 64)
    store.register(run)
    attempt = store.claim(run.run_id)
    attempt.begin({})
    with attempt.open_metrics() as metrics:
        for step in (1, 2):
            metrics.write({"step": step, "loss": 2.0, "lr": 0.1})
    whole = attempt.metrics.read_bytes()
    attempt.metrics.write_bytes(whole[:-3])
    told: list[str] = []
    assert training_curve(store, run.run_id, told.append)["step"].tolist() == [1]
    (line,) = told
    assert f"metrics.jsonl: damaged from byte {whole.rindex(b'{')}" in line
