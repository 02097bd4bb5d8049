"""Statistics of the paper's released runs, where they are at hand, against known numbers."""

from __future__ import annotations

import math

import pytest
from oracles.pickles import RELEASED

from descentlab.analysis import load, load_curves
from descentlab.analysis.imports.importing import import_released
from descentlab.analysis.statistics.budget_to_match import budget_to_match
from descentlab.analysis.statistics.near_optimality import family_regret
from descentlab.analysis.statistics.response_surface import equal_betas_regret, fit_surface
from descentlab.analysis.statistics.speed_up import share_between_budgets, share_within_curve
from descentlab.runs.store import Store

pytestmark = pytest.mark.skipif(
    not RELEASED.is_dir(), reason="needs the paper's released files, in DESCENTLAB_RELEASED_RUNS"
)
NOISE = 0.1 / 21.86
"""Of a final loss in nats: 2σ is about 0.2 of perplexity."""
FILES = ("Adam_160M_SP_SL2048_3Btok_BS256", "Adam_160M_SP_SL2048_2Btok_BS256",
         "Adam_160M_FW_SL2048_3Btok_BS256", "Signum_160M_SP_SL2048_2Btok_BS256",
         "Signum_160M_FW_SL2048_3Btok_BS256")  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    clone = folder / "clone"
    clone.mkdir()
    for name in FILES:
        (clone / f"{name}.pkl").write_bytes((RELEASED / f"{name}.pkl").read_bytes())
    opened = Store(folder / "store", create=True)
    import_released(clone, opened, lambda _: None)
    return opened


@pytest.fixture(scope="module")
def runs(store):
    return load(store)


def best(runs, sweep, **settings):
    chosen = runs[runs["sweep"] == sweep]
    for name, value in settings.items():
        chosen = chosen[chosen[name] == value]
    return chosen.sort_values("loss").iloc[0]


def test_the_budget_that_adam_needs_for_signums_loss(runs):
    long, short, signum = (best(runs, FILES[i]) for i in (0, 1, 3))
    for target, share in ((signum["loss"], 0.73), (math.log(23.23), 0.75)):
        found = share_between_budgets(
            [short["tokens"], long["tokens"]], [[short["loss"]], [long["loss"]]], [target],
            reference=signum["tokens"], noise=NOISE)  # fmt: skip
        assert found.value == pytest.approx(share, abs=0.005)
        assert found.low < found.value < found.high < 1


def test_within_one_curve_it_needs_more(runs, store):
    adam = best(runs, FILES[0])
    curve = load_curves(store, [adam["run"]])
    for clip in (math.inf, 1.0):
        gap = best(runs, FILES[3], clip_norm=clip)["loss"] - adam["loss"]
        found = share_within_curve(curve["fraction"], curve["loss"], [gap], noise=NOISE,
                                   drawn_positions=True)  # fmt: skip
        assert 0.79 <= found.value <= 0.83
        assert found.low < 0.75 < found.high < 1


def test_from_the_table_itself(runs, store):
    table = budget_to_match(runs, load_curves(store), noise=NOISE).set_index("dataset")
    assert table.loc["SlimPajama", "source"] == "between budgets"
    assert table.loc["SlimPajama", "share"] == pytest.approx(0.7295, abs=5e-4)
    assert table.loc["FineWeb", "source"] == "within one curve"
    assert (table["high"] < 1).all()
    without = budget_to_match(runs).set_index("dataset")
    assert without.loc["SlimPajama", "reason"] == "single seeds, and no seed noise was declared"
    assert without.loc["FineWeb", "source"] == "none"


@pytest.mark.parametrize(
    ("sweep", "gaps"),
    [
        (FILES[0], {0.8: 0, 0.9: 0.114, 0.95: 0, 0.975: 0.023, 0.9875: 0.222}),
        (FILES[2], {0.9: 0.438, 0.95: 0.055, 0.975: 0.062}),
    ],
)
def test_equal_betas_in_every_row(runs, sweep, gaps):
    """Each β₂ after tuning the learning rate is one pick; two gaps are more than luck alone."""
    for beta, gap in gaps.items():
        row = runs[(runs["sweep"] == sweep) & (runs["beta1"] == beta)]
        tuned = row.groupby("beta2")["perplexity"].min()
        found = family_regret(tuned[[beta]], tuned.drop(beta), noise=0.1)
        assert found.value == pytest.approx(gap, abs=5e-4)
        assert (found.p_value < 0.05) == (gap > 0.4)
        assert found.low <= gap <= found.high or found.high < gap


def test_equal_betas_on_a_surface(runs):
    """A whole grid is no quadratic; near the best of FineWeb it is, and equal betas are as good."""
    sweep = runs[runs["sweep"] == FILES[2]]
    settings = sweep["lr"], sweep["beta1"], sweep["beta2"], sweep["loss"]
    assert "R² is only 0.77" in fit_surface(*settings, noise=NOISE).doubts
    near = fit_surface(*settings, within=0.05, noise=NOISE)
    assert near.doubts == ()
    assert math.exp(near.optimum.loss) == pytest.approx(25.401, abs=0.05), "the best cell"
    regret = equal_betas_regret(near)
    assert regret.low == 0
    assert 25.401 * regret.high < 0.3, "the paper's bound"
