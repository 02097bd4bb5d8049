"""What a report says equals what its runs say, reckoned another way."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oracles.reported_stores import (
    BETAS,
    FRESH,
    LRS,
    NOISE,
    OWN,
    adam_loss,
    duel,
    signum_loss,
)
from oracles.runs import grid, judged, run, table
from oracles.stored_runs import stored
from scipy import stats

from descentlab.analysis import load, load_curves
from descentlab.analysis.audit.tables import Evidence
from descentlab.analysis.claims.seed_noise import SeedNoise
from descentlab.analysis.report.comparisons import compared
from descentlab.analysis.report.curves import packed, unpacked
from descentlab.analysis.report.document import Details, Grid, Verdict, blocks_of
from descentlab.analysis.report.equal_betas import heat_map, seed_noise
from descentlab.analysis.report.gathering import best_runs, gather
from descentlab.analysis.report.rankings import pairs_grid, ranking_grid
from descentlab.analysis.report.verdicts import pairs, verdict
from descentlab.analysis.tables.betas import beta_grid
from descentlab.errors import ConfigError
from descentlab.runs.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return duel(tmp_path_factory.mktemp("contents") / "duel")


@pytest.fixture(scope="module")
def document(store):
    return gather(store)


def compare(rows, noise=None):
    (found,) = compared(Evidence(table(rows)), noise or {})
    return found


def grid_of(document, key) -> Grid:
    blocks = blocks_of(document.sections)
    return next(each for each in blocks if isinstance(each, Grid) and each.key == key)


def test_the_verdict_has_the_paired_test_of_the_fresh_seeds(document):
    (said,) = [
        each for each in document.sections[0].blocks if isinstance(each, Verdict) and each.target
    ]
    adam = np.array([adam_loss(2e-3, 0.9, 0.95) + NOISE[seed] for seed in FRESH])
    signum = np.array([signum_loss(1e-3, 0.9) + NOISE[seed] + OWN[seed] for seed in FRESH])
    test = stats.ttest_rel(adam, signum)
    low, high = np.expm1(test.confidence_interval(0.95))
    assert said.badge == "adam wins"
    assert f"lowest perplexity, {np.exp(adam).mean():.2f}" in said.sentence
    assert f"{-math.expm1((adam - signum).mean()):.1%} lower than signum's" in said.sentence
    assert f"95% interval {low:+.1%} to {high:+.1%}".replace("-", "−") in said.sentence
    tested = "n = 6 seeds, paired differences: mean with Student's t interval"
    assert f"{tested}, Holm-corrected p = {test.pvalue:.2g}" in said.sentence
    assert "Tuning: adam 36, signum 12; these budgets are unequal." in said.details
    assert "Diverged: 1 of 61 runs (signum 1)." in said.details


def test_p_values_are_corrected_for_all_pairs():
    """The best is chosen by the same runs: of three methods there are three tests, not two."""
    losses = {"adam": 3.0, "signum": 3.02, "rmsprop": 3.04}
    off = {"adam": (0.0, 0.0, 0.0, 0.0), "signum": (0.02, -0.01, 0.0, 0.015),
           "rmsprop": (0.0, 0.025, -0.02, 0.01)}  # fmt: skip
    rows = []
    for name, loss in losses.items():
        rows += grid(name, floor=loss)
        for seed, more in zip((101, 102, 103, 104), off[name], strict=True):
            rows.append(run(f"{name}{seed}", method=name, seed=seed, loss=loss + more))
    found = pairs(compare(rows))
    by_name = {name: np.array([losses[name] + each for each in off[name]]) for name in losses}
    raw = {
        pair: stats.ttest_rel(by_name[pair[0]], by_name[pair[1]]).pvalue
        for pair in combinations(losses, 2)
    }
    ordered = sorted(raw, key=lambda pair: raw[pair])
    holm, highest = {}, 0.0
    for place, pair in enumerate(ordered):
        highest = max(highest, min(1.0, raw[pair] * (3 - place)))
        holm[pair] = highest
    assert [each.other.name for each in found] == ["signum", "rmsprop"]
    for each in found:
        assert each.p_value == pytest.approx(holm["adam", each.other.name])


def test_too_few_seeds_are_told_with_how_many_more_it_takes():
    """Against a search by simulation-free power: the first n at which a paired t-test has 80%."""
    differences = (0.010, -0.004, 0.012)
    rows = [*grid("adam", floor=3.0), *grid("signum", floor=3.0001)]
    for seed, more in zip((101, 102, 103), differences, strict=True):
        rows.append(run(f"a{seed}", method="adam", seed=seed, loss=3.05))
        rows.append(run(f"s{seed}", method="signum", seed=seed, loss=3.05 + more))
    said = verdict(compare(rows))
    effect, sd = np.mean(differences), np.std(differences, ddof=1)

    def power(n: int) -> float:
        critical, shift = stats.t.ppf(0.975, n - 1), effect * math.sqrt(n) / sd
        tails = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
        return float(tails)

    more = next(n for n in range(2, 1000) if power(n) >= 0.8) - 3
    assert said.badge == "cannot be told"
    assert f"{more} more seeds tell it at a chance of 80%" in said.sentence


def test_single_runs_are_no_evidence_unless_their_noise_is_known():
    rows = [*grid("adam", floor=3.0), *grid("signum", floor=3.2)]
    said = verdict(compare(rows))
    assert said.badge == "cannot be told"
    assert "1 seed gives no interval; run both with 3 fresh seeds or more" in said.sentence
    noise = {name: SeedNoise(sd=0.005, df=16, source="made up") for name in ("adam", "signum")}
    known = compare(rows, {"descentlab": noise})
    assert verdict(known).badge == "adam wins"
    grid_ = pairs_grid(known)
    assert grid_ is not None
    assert "Seed noise: made up." in grid_.caption
    assert grid_.rows[0][-1] == "one run each, seed noise measured elsewhere"


def test_a_verdict_says_what_the_audit_holds_against_it(document, store):
    """Of the duel the audit has warnings on the comparison; each of their checks is named."""
    from descentlab.analysis.audit.kit import audit

    (said,) = [each for each in document.sections[0].blocks
               if isinstance(each, Verdict) and each.target]  # fmt: skip
    warnings = [each for each in audit(load(store)) if each.severity == "warning"]
    assert warnings
    (told,) = [each for each in said.details if each.startswith("Audit: ")]
    assert f"{len(warnings)} warning" in told
    assert all(each.check in told for each in warnings)


def test_seeds_that_chose_the_setting_are_no_fair_judges():
    """Three seeds for every setting of a grid: there is an interval, and what is wrong with it."""
    rows = []
    for name, floor in (("adam", 3.0), ("signum", 3.2)):
        for seed in (0, 1, 2):
            own = grid(name, floor=floor + 0.001 * seed, seed=seed)
            rows += [{**each, "run": f"{each['run']}-{seed}"} for each in own]
    said = verdict(compare(rows))
    assert "n = 3 seeds" in said.sentence
    assert said.details[0] == (
        "adam and signum: judged by the runs that chose the setting, which flatters; "
        "fresh seeds would not."
    )
    fair = [
        *grid("adam"),
        *judged("adam"),
        *grid("signum", floor=3.2),
        *judged("signum", floor=3.2),
    ]
    assert not any("flatters" in each for each in verdict(compare(fair)).details)


def test_a_setting_that_was_not_chosen_is_not_flattered():
    """Two methods with one setting and three seeds each: nothing was tuned."""
    rows = [*judged("adam"), *judged("signum", floor=3.2)]
    found = compare(rows)
    assert "flatters" not in " ".join([*verdict(found).details, ranking_grid(found).caption])
    tuned = compare([*grid("adam"), *grid("signum")])
    assert "which flatters them" in ranking_grid(tuned).caption


def test_one_method_is_compared_with_nothing():
    said = verdict(compare([*grid("adam"), *judged("adam")]))
    assert said.badge == "one method"
    assert "n = 3 seeds" in said.sentence


def test_the_best_of_k_is_that_of_all_subsets(document):
    """The median over every choice of k of signum's settings, counted one by one."""
    losses = [signum_loss(lr, beta) for lr in LRS for beta in BETAS]
    losses[-1] = math.inf
    chart = document.charts["comparison-1-best-of"]
    signum = next(each for each in chart.series if each.name == "signum")
    for k, shown in zip(signum.x, signum.y, strict=True):
        bests = sorted(min(chosen) for chosen in combinations(losses, int(k)))
        assert shown == pytest.approx(math.exp(bests[(len(bests) - 1) // 2])), k
    assert {1, 12} <= set(signum.x)


def test_the_map_of_betas_is_the_lowest_over_rates(document):
    chart = document.charts["comparison-1-adam-betas"]
    assert chart.rows == ("0.95", "0.9", "0.8")
    assert chart.columns == ("0.8", "0.9", "0.95")
    for i, beta1 in enumerate((0.95, 0.9, 0.8)):
        best = [min(math.exp(adam_loss(lr, beta1, beta2)) for lr in LRS) for beta2 in BETAS]
        assert chart.texts[i] == tuple(f"{each:.2f}" for each in best)
        assert chart.values[i] == pytest.approx([each - min(best) for each in best])
    assert sorted(chart.marked) == [(0, 2), (1, 1), (2, 0)]


def test_the_price_of_equal_betas_has_the_noise_of_the_seeds(document, store):
    prices = grid_of(document, "comparison-1-adam-betas-prices")
    (found,) = compared(Evidence(load(store)), {})
    noise = seed_noise(found, "adam")
    assert noise is not None
    values = [adam_loss(2e-3, 0.9, 0.95) + each for each in (0.0, *NOISE.values())]
    assert noise.sd == pytest.approx(np.std(values, ddof=1))
    first = prices.rows[0]
    row = [math.exp(adam_loss(2e-3, 0.8, beta2)) for beta2 in BETAS]
    assert first[:5] == pytest.approx((0.8, 0.95, row[2], row[0], row[0] - row[2]))


def test_the_surface_finds_the_bowl_that_was_put_there(document):
    """The losses are a quadratic in the logarithms, so its fit is exact."""
    chart = document.charts["comparison-1-adam-betas-surface"]
    assert chart.best is not None
    i, j = chart.best
    assert float(chart.rows[i]) == pytest.approx(0.9, abs=0.01)
    assert float(chart.columns[j]) == pytest.approx(0.95, abs=0.001)
    assert chart.values[i][j] == pytest.approx(0.0, abs=1e-4)


def test_pairs_at_which_all_diverged_are_crosses():
    rows = pd.DataFrame(
        {"beta1": [0.9, 0.9], "beta2": [0.9, 0.95], "lr": [1e-3, 1e-3],
         "perplexity": [20.0, math.inf], "diverged": [0, 1], "stopped": [0, 0]}
    )  # fmt: skip
    chart = heat_map(beta_grid(rows), "adam", "here")
    assert chart.texts == (("20.00", "×"),)
    assert chart.values == ((0.0, math.inf),)


def test_curves_come_back_within_a_65534th_of_their_range(store):
    wanted = load(store)["run"][:5]
    curves = load_curves(store, wanted)
    kept = packed(curves)
    for run_id, own in curves[curves["kind"] == "training"].groupby("run"):
        curve = kept.training[str(run_id)]
        losses = own["loss"].to_numpy()
        within = (losses.max() - losses.min()) / 65534
        assert np.abs(unpacked(curve) - losses).max() <= 0.51 * within
        assert np.allclose(kept.grids[curve.grid], own["fraction"], atol=1e-6)
    assert len(kept.grids) == 1


def test_long_curves_are_means_and_losses_that_are_not_finite_stay_so():
    frame = pd.DataFrame(
        {"run": "long", "kind": "training", "fraction": np.linspace(0.001, 1, 1000),
         "loss": [math.inf, math.inf, *np.linspace(9.98, 0.01, 998)]}
    )  # fmt: skip
    kept = packed(frame)
    losses = unpacked(kept.training["long"])
    assert len(losses) == 500
    assert np.isnan(losses[0])
    expected = frame["loss"].to_numpy().reshape(500, 2).mean(axis=1)
    assert np.allclose(losses[1:], expected[1:], atol=2e-4)
    assert kept.notes == ("1 curves were longer than 500 points: each point is a mean of several.",)


def test_every_run_is_listed_with_its_whole_spec(document, store):
    runs, listed = load(store).set_index("run"), document.runs
    assert sorted(listed.columns["run"]) == sorted(runs.index)
    for place, name in enumerate(listed.columns["run"]):
        own = {k: v[at[place]] for k, (v, at) in listed.settings.items() if at[place] >= 0}
        assert own == runs.loc[name, "settings"]
        state = runs["state"].where(~runs["diverged"], "diverged")
        assert listed.columns["state"][place] == state[name]
    finite = [each for each in listed.columns["perplexity"] if isinstance(each, float)]
    assert finite == sorted(finite)
    assert len(best_runs(listed, 7).rows) == 7


def test_an_unfinished_store_says_so(document):
    first = document.sections[0].blocks[0]
    assert isinstance(first, Verdict)
    assert first.badge == "not whole"
    assert first.sentence.startswith("1 of 61 runs without a result (1 pending)")


def test_environments_are_told_once(tmp_path):
    store = Store(tmp_path / "store", create=True)
    for seed in range(3):
        stored(store, seed=seed, beta=0.9)
    kept = gather(store)
    assert kept.runs.environments == ({},)
    assert kept.runs.columns["environment"] == (0, 0, 0)


def test_a_study_alone(store, tmp_path):
    extra = stored(duel(tmp_path / "more"), seed=77, beta=0.9)
    both = gather(Store(tmp_path / "more"))
    assert extra in both.runs.columns["run"]
    alone = gather(Store(tmp_path / "more"), study="duel-grid")
    assert extra not in alone.runs.columns["run"]
    assert len(alone.runs) == len(both.runs) - 1
    with pytest.raises(ConfigError, match="study 'dull': not in the store; did you mean duel"):
        gather(store, study="dull")


def test_a_store_without_runs_is_refused(tmp_path):
    Store(tmp_path / "empty", create=True)
    with pytest.raises(ConfigError, match="has no runs to report on; train or import some"):
        gather(tmp_path / "empty")
    with pytest.raises(ConfigError):
        gather(tmp_path / "missing")


def test_a_damaged_run_is_told_and_the_rest_reported(tmp_path):
    store = duel(tmp_path / "store")
    victim = store.run_ids()[0]
    (Path(store.root) / "runs" / victim / "spec.json").write_text("{")
    kept = gather(store)
    place = kept.runs.columns["run"].index(victim)
    assert kept.runs.columns["state"][place] == "damaged"
    first = kept.sections[0].blocks[0]
    assert isinstance(first, Verdict)
    assert "damaged" in first.sentence


def test_the_audits_findings_are_all_there(document, store):
    from descentlab.analysis.audit.kit import audit

    section = next(each for each in document.sections if each.key == "audit")
    said = [
        inner.heading
        for block in section.blocks
        if isinstance(block, Details)
        for inner in block.blocks
        if isinstance(inner, Verdict)
    ]
    assert sorted(said) == sorted(f"{each.check}: {each.where}" for each in audit(load(store)))
