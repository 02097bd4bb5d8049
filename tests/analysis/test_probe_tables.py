"""Probes read from a store, and what their charts draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from descentlab.analysis.figures import probes as probe_figures
from descentlab.analysis.probes import exact_ratio, probe_tables
from descentlab.errors import ConfigError, CorruptError
from descentlab.runs.identity import Run, make_run
from descentlab.runs.store import Store

RECORDS: list[dict[str, Any]] = [
    {"kind": "state", "step": 2, "block": "mlp", "snr_median": 0.5},
    {"kind": "shadow", "step": 2, "block": "mlp", "shadow": "signsgd", "cosine": 0.5},
    {"kind": "state", "step": 4, "block": "mlp", "snr_median": math.inf},
    {"kind": "noise", "step": 4, "block": "mlp", "batches": 4, "measured_mean": 1.0},
]


def stored(
    root: Path, records: Sequence[Mapping[str, Any]] | None, **settings: Any
) -> tuple[Store, Run]:
    """A store with one run; without records, nobody has begun it."""
    store = Store(root, create=True)
    run = make_run(identity={}, settings=settings, data_sha256="0" * 64)
    store.register(run)
    if records is not None:
        attempt = store.claim(run.run_id)
        attempt.begin({})
        with attempt.open_probes() as probes:
            for record in records:
                probes.write(record)
    return store, run


def test_each_kind_is_a_table(tmp_path: Path) -> None:
    tables = probe_tables(*stored(tmp_path, RECORDS, probes={"every": 2}))
    assert tables.damaged_at is None
    assert tables.state.to_dict("records") == [
        {"step": 2, "block": "mlp", "snr_median": 0.5},
        {"step": 4, "block": "mlp", "snr_median": math.inf},
    ]
    assert tables.noise["batches"].tolist() == [4]
    assert tables.shadows[["shadow", "cosine"]].values.tolist() == [["signsgd", 0.5]]


def test_kinds_without_records_are_empty_tables(tmp_path: Path) -> None:
    tables = probe_tables(*stored(tmp_path, RECORDS[:1], probes={"every": 2}))
    assert (len(tables.state), len(tables.noise), len(tables.shadows)) == (1, 0, 0)


@pytest.mark.parametrize("probes", [None, {}])
def test_a_run_that_was_not_probed_is_told_so(tmp_path: Path, probes: Any) -> None:
    settings = {} if probes is None else {"probes": None}
    with pytest.raises(ConfigError, match=r"was trained without probes; add a table \[probes\]"):
        probe_tables(*stored(tmp_path, [], **settings))


@pytest.mark.parametrize("records", [None, []], ids=["not begun", "not there yet"])
def test_a_run_that_has_none_yet_is_told_when(tmp_path: Path, records: Any) -> None:
    with pytest.raises(ConfigError, match="has no probes yet; the first come at step 7"):
        probe_tables(*stored(tmp_path, records, probes={"every": 7}))


def test_damage_keeps_what_is_before_it_unless_nothing_is(tmp_path: Path) -> None:
    store, run = stored(tmp_path, RECORDS, probes={"every": 2})
    path = store.folder(run.run_id).attempt(1).probes
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])
    tables = probe_tables(store, run)
    assert (tables.damaged_at, len(tables.noise)) == (whole.rindex(b"{"), 0)
    path.write_bytes(whole[2:])
    with pytest.raises(CorruptError, match="damaged from its first record on"):
        probe_tables(store, run)


@pytest.mark.parametrize("batches", [2, 4, 9])
def test_ratio_of_an_exact_estimate_is_that_of_simulated_batches(batches: int) -> None:
    draws = np.random.default_rng(0).normal(size=(batches, 200_000))
    simulated = np.median(1 / draws.var(axis=0, ddof=1))
    assert exact_ratio(batches) == pytest.approx(simulated, rel=0.02)


def drawn(chart: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    return list(chart["datasets"].values())


def test_ratios_that_no_logarithmic_axis_has_are_not_drawn() -> None:
    state = pd.DataFrame(
        [
            (1, "mlp", 0.1, 1.0, 2.0),
            (2, "mlp", 0.0, 1.0, 2.0),
            (3, "mlp", 1.0, 2.0, math.inf),
            (4, "mlp", math.nan, math.nan, math.nan),
        ],
        columns=pd.Index(["step", "block", "snr_q25", "snr_median", "snr_q75"]),
    )
    (rows,) = drawn(probe_figures.signal_to_noise(state, "run").to_dict())
    assert [row["step"] for row in rows] == [1]


def test_estimates_are_drawn_against_measurements_with_a_diagonal_and_references() -> None:
    noise = pd.DataFrame(
        [(2, "mlp", 1.0, 4.0, 1.5, 0.5), (4, "head", 2.0, 2.0, 1.0, 0.9)],
        columns=pd.Index(
            ["step", "block", "measured_mean", "estimated_mean", "ratio_median", "rank_correlation"]
        ),
    )
    chart = probe_figures.variance_estimates(noise, 1.25, "run").to_dict()
    assert sorted(map(len, drawn(chart))) == [2, 2]  # the diagonal's ends and the points
    text = str(chart)
    assert "{'datum': 1.25}" in text
    assert "median ratio 1.25" in text


def test_directions_that_have_no_angle_are_not_drawn() -> None:
    shadows = pd.DataFrame(
        [(2, "mlp", "signsgd", 0.5), (4, "mlp", "signsgd", math.nan), (4, "mlp", "sgd", -0.1)],
        columns=pd.Index(["step", "block", "shadow", "cosine"]),
    )
    chart = probe_figures.shadow_cosines(shadows, "run").to_dict()
    (rows,) = drawn(chart)
    assert [row["cosine"] for row in rows] == [0.5, -0.1]
    assert "'domain': [-1.0, 1.0]" in str(chart)
