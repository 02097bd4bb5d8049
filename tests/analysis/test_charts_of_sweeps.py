"""Figures of sweeps: every run is in the data of its mark, and bad ones are marked as such."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree

import altair as alt
import pandas as pd
import pytest

from descentlab.analysis.figures.heat_maps import gap_map
from descentlab.analysis.figures.mollifiers import perplexity_by_constant
from descentlab.analysis.figures.scales import plain
from descentlab.analysis.figures.sweeps import ends, rate_panels
from descentlab.analysis.figures.training import curves_over_tokens
from descentlab.analysis.tables.betas import beta_grid
from descentlab.charts import save

CURVES = pd.DataFrame(
    [
        ("β1 = 0.9", 0.9, 1e-3, 22.0, True),
        ("β1 = 0.9", 0.9, 2e-3, 21.0, True),
        ("β1 = 0.9", 0.95, 1e-3, 22.5, False),
        ("β1 = 0.9", 0.95, 2e-3, 900.0, False),
        ("β1 = 0.95", 0.9, 1e-3, 23.0, False),
        ("β1 = 0.95", 0.9, 2e-3, math.inf, False),
        ("β1 = 0.95", 0.95, 2e-3, 20.0, True),
    ],
    columns=pd.Index(["panel", "series", "lr", "perplexity", "equal"]),
)


def data(chart):
    """The only data of a chart."""
    ((_, rows),) = chart["datasets"].items()
    return rows


def marks(chart):
    """The layers of a chart: the filter of each, its mark and its encoding."""
    return [
        (
            (layer.get("transform") or [{}])[0].get("filter"),
            layer["mark"],
            layer.get("encoding", {}),
        )
        for layer in chart["spec"]["layer"]
    ]


def drawn(**options):
    chart = rate_panels(CURVES, symbol="β2", title=alt.Title("t"), **options)
    return json.loads(chart.to_json())


def test_every_run_is_in_the_data_and_what_is_off_the_axis_is_known():
    rows = data(drawn())
    assert len(rows) == len(CURVES)
    told = {(each["panel"], each["line"], each["lr"]): each for each in rows}
    far = told["β1 = 0.9", "0.95", 2e-3]
    lost = told["β1 = 0.95", "0.9", 2e-3]
    assert (far["off"], far["diverged"], far["perplexity"]) == (True, False, 900.0)
    assert (lost["off"], lost["diverged"], lost["perplexity"]) == (True, True, None)
    low, top = ends(CURVES)
    assert low < 20.0 < 23.0 < top < 900
    for each in (far, lost):
        assert each["shown"] == pytest.approx(top)
        assert each["drawn"] > top
    assert [each["off"] for each in rows].count(True) == 2


def test_marks_within_the_axis_above_it_and_diverged():
    found = {filter_: mark for filter_, mark, _ in marks(drawn())}
    assert found["!datum.off"]["type"] == "point"
    above, diverged = found["datum.off && !datum.diverged"], found["datum.diverged"]
    assert above["shape"] == diverged["shape"] == "triangle-up"
    assert diverged["filled"]
    assert not above.get("filled")
    fields = {filter_: encoding["y"].get("field") for filter_, _, encoding in marks(drawn())}
    assert (fields["datum.equal"], fields["!datum.equal"]) == ("drawn", "drawn")
    assert {fields["!datum.off"], fields["datum.diverged"]} == {"shown"}
    assert found["datum.equal"]["strokeWidth"] > found["!datum.equal"]["strokeWidth"]


def test_the_axes():
    chart = drawn(level=22.0)
    for _, _, encoding in marks(chart):
        if "x" in encoding:
            assert encoding["x"]["scale"]["type"] == "log"
            assert encoding["x"]["axis"]["values"] == [1e-3, 2e-3]
    domains = {tuple(e["y"]["scale"]["domain"]) for _, _, e in marks(chart) if "scale" in e["y"]}
    assert len(domains) == 1  # all panels, lines and marks share it
    assert chart["spec"]["layer"][0]["encoding"]["y"] == {"datum": 22.0}


def test_the_lowest_with_equal_betas_is_dashed_in_each_panel():
    lowest = {each["panel"]: each["tied"] for each in data(drawn())}
    assert lowest == {"β1 = 0.9": 21.0, "β1 = 0.95": 20.0}


def test_panels_and_colours_are_in_order_and_shared_with_other_charts():
    chart = drawn(among=[0.8, 0.95])
    assert chart["facet"]["sort"] == ["β1 = 0.9", "β1 = 0.95"]
    color = next(e["color"] for _, _, e in marks(chart) if "color" in e)
    assert color["scale"]["domain"] == ["0.8", "0.9", "0.95"]
    assert color["legend"]["values"] == ["0.9", "0.95"]


@pytest.mark.parametrize("count", [1, 6, 7, 12])
def test_panels_fill_their_rows(count):
    frame = pd.concat([CURVES[:2].assign(panel=f"panel {n}") for n in range(count)])
    chart = rate_panels(frame, symbol="β", title=alt.Title("t")).to_dict()
    rows = math.ceil(count / chart["columns"])
    assert chart["columns"] <= 6
    assert rows * chart["columns"] - count < rows


def test_nothing_but_divergence_can_be_drawn(tmp_path):
    frame = CURVES.assign(perplexity=math.inf)
    save(rate_panels(frame, symbol="β2", title=alt.Title("t")), tmp_path / "figure")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def cells(rows):
    columns = pd.Index(["beta1", "beta2", "lr", "perplexity"])
    return pd.DataFrame(rows, columns=columns).assign(diverged=0, stopped=0)


GRID = beta_grid(
    cells(
        [
            (0.9, 0.9, 1e-3, 22.0),
            (0.9, 0.9, 2e-3, 21.5),
            (0.9, 0.95, 1e-3, 21.0),
            (0.95, 0.9, 1e-3, math.inf),
            (0.95, 0.95, 1e-3, 1234.5),
            (0.95, 0.99375, 1e-3, math.nan),
        ]
    )
)


def map_of(values):
    chart = gap_map(GRID, values=values, title=alt.Title("t")).to_dict()
    return chart, {(each["row"], each["column"]): each for each in data(chart)}


def test_the_map_has_a_cell_for_each_pair_that_was_trained_to_its_end():
    chart, found = map_of("perplexity")
    assert {pair: each["text"] for pair, each in found.items()} == {
        ("0.9", "0.9"): "21.50",
        ("0.9", "0.95"): "21.00",
        ("0.95", "0.9"): "×",
        ("0.95", "0.95"): "1234",
    }
    assert [pair for pair, each in found.items() if each["equal"]] == [
        ("0.9", "0.9"),
        ("0.95", "0.95"),
    ]
    assert [pair for pair, each in found.items() if each["best"]] == [
        ("0.9", "0.95"),
        ("0.95", "0.95"),
    ]
    assert not found["0.95", "0.9"]["finite"]
    frames = [layer for layer in chart["layer"] if layer["mark"].get("stroke") == "black"]
    assert [layer["transform"] for layer in frames] == [[{"filter": "datum.equal"}]]
    scale = chart["layer"][0]["encoding"]["y"]["scale"]
    assert scale["domain"] == ["0.95", "0.9"]


def test_the_map_of_gaps_is_of_each_row():
    _, found = map_of("gap")
    assert found["0.9", "0.9"]["text"] == "0.500"
    assert found["0.95", "0.95"]["text"] == "0.000"
    assert found["0.9", "0.9"]["gap"] == pytest.approx(0.5)


def test_constants_of_a_softened_signum():
    frame = pd.DataFrame(
        [("a", 1e-8, 20.0), ("a", 1e-6, math.inf), ("b", 1e-7, 21.0)],
        columns=pd.Index(["kind", "constant", "perplexity"]),
    )
    chart = perplexity_by_constant(frame, {"adam": 19.0}, alt.Title("t")).to_dict()
    rows = next(rows for rows in chart["datasets"].values() if "constant" in rows[0])
    assert [each["off"] for each in rows] == [False, True, False]
    assert chart["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    levels = next(rows for rows in chart["datasets"].values() if "level" in rows[0])
    assert levels == [{"name": "adam", "level": 19.0}]


def test_curves_over_tokens_are_cut_far_above_their_ends_and_level_with_a_method():
    frame = pd.DataFrame(
        [("adam", 1e9, 900.0), ("adam", 2e9, 20.0), ("signum", 1e9, 60.0), ("signum", 2e9, 22.0)],
        columns=pd.Index(["method", "tokens", "perplexity"]),
    )
    chart = curves_over_tokens(frame, ["adam", "signum"], level="signum").to_dict()
    line, rule = chart["layer"]
    assert line["encoding"]["x"]["title"] == "billion tokens"
    low, top = line["encoding"]["y"]["scale"]["domain"]
    assert (low < 20.0, top) == (True, 4 * 22.0)
    assert chart["datasets"][rule["data"]["name"]] == [{"level": 22.0}]


@pytest.mark.parametrize("name", ["</svg><script>x</script>", '"onload="x', "a|b\n", "‮abc"])
def test_hostile_names_are_text(name, tmp_path):
    frame = CURVES.assign(panel=name)
    save(rate_panels(frame, symbol="β", title=alt.Title(name, subtitle=name)), tmp_path / "figure")
    root = ElementTree.parse(tmp_path / "figure.svg").getroot()
    assert not [each for each in root.iter() if each.tag.endswith("script")]
    assert not [each for each in root.iter() if "onload" in each.attrib]


def test_betas_are_written_without_the_dust_of_floats():
    assert [plain(each) for each in (1 - 0.1 / 16, 0.1 + 0.2, 1e-15)] == ["0.99375", "0.3", "1e-15"]
