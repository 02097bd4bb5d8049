"""Probes: a run does not feel them, and what they record is what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from oracles.plain_gradient import plain_gradient
from scipy.stats import spearmanr

from descentlab.data.prepare import PreparedData
from descentlab.errors import DataError
from descentlab.runs.records import read_records
from descentlab.runs.store import Store
from descentlab.train import readings
from descentlab.train.blocks import block_of
from descentlab.train.loop import initial_model
from descentlab.train.noise import noise_batches
from descentlab.train.plan import batches_for, resolver
from descentlab.train.readings import Block, comparison, order_statistics, rank_correlation
from descentlab.train.spec import RunSpec
from descentlab.train.work import train_in_store

Make = Callable[..., RunSpec]
Run = Callable[[RunSpec], Any]

METHODS: dict[str, dict[str, Any]] = {
    "adam": {"method": "adam", "beta": 0.9},
    "two decays": {"method": "adam", "beta1": 0.8, "beta2": 0.95},
    "rmsprop": {"method": "rmsprop", "beta": 0.9},
    "signum": {"method": "signum", "beta": 0.9, "clip_norm": "none"},
    "emasign": {"method": "emasign", "beta": 0.9},
    "signsgd": {"method": "signsgd"},
    "sgd": {"method": "sgd", "beta": 0.9, "clip_norm": 0.5},
}
SHADOWS = [{"method": "signum", "lr": 0.02, "beta": 0.9}, {"method": "adam", "lr": 1, "beta": 0.9}]
EVERYTHING = {"every": 2, "noise_batches": 2, "noise_every": 3, "shadows": SHADOWS}
BLOCKS = ["embedding", "attention", "mlp", "norms", "head"]
VARIANCE = {"variance_mean", "variance_median", "snr_q25", "snr_median", "snr_q75", "share_edge"}


def of_kind(trained: Any, kind: str, block: str | None = None) -> list[dict[str, Any]]:
    return [
        each for each in trained.probes if each["kind"] == kind and block in (None, each["block"])
    ]


@pytest.mark.parametrize("micro_batch", [None, 2])
@pytest.mark.parametrize("method", METHODS)
def test_a_run_with_probes_is_the_run_without_to_the_bit(
    method: str, micro_batch: int | None, tiny: Make, run: Run
) -> None:
    common = {
        "optimizer": {"lr": 0.02, **METHODS[method]},
        "execution": {"micro_batch": micro_batch},
        "training": {"evaluate_every": 3},
    }
    without, probed = run(tiny(**common)), run(tiny(**common, probes=EVERYTHING))
    assert without.probes == []
    assert {each["kind"] for each in probed.probes} == {"state", "noise", "shadow"}
    assert probed.steps == without.steps
    assert probed.evaluations == without.evaluations
    pairs = zip(probed.outcome.model.parameters(), without.outcome.model.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_records_come_when_due_one_for_each_block_and_shadow(tiny: Make, run: Run) -> None:
    probed = run(tiny(probes=EVERYTHING))
    places = {
        kind: [(each["step"], each["block"]) for each in of_kind(probed, kind)]
        for kind in ("state", "noise", "shadow")
    }
    assert places["state"] == [(step, block) for step in (2, 4, 6) for block in BLOCKS]
    assert places["noise"] == [(step, block) for step in (3, 6) for block in BLOCKS]
    assert places["shadow"] == [
        (step, block) for step in (2, 4, 6) for _ in SHADOWS for block in BLOCKS
    ]
    names = {each["shadow"] for each in of_kind(probed, "shadow")}
    assert names == {"signum beta=0.9", "adam beta=0.9"}


@pytest.mark.parametrize("method", METHODS)
def test_a_variance_is_recorded_where_the_optimizer_has_one(
    method: str, tiny: Make, run: Run
) -> None:
    probed = run(tiny(optimizer={"lr": 0.02, **METHODS[method]}, probes=EVERYTHING))
    for record in of_kind(probed, "state"):
        assert (set(record) >= VARIANCE) is (method == "adam"), record
        assert bool(set(record) & VARIANCE) is (method == "adam"), record
        assert ("v_minus_m2_negative" in record) is (method in ("two decays", "rmsprop"))
        assert ("m2_mean" in record) is (method in ("adam", "two decays", "signum", "sgd"))
    for record in of_kind(probed, "noise"):
        assert record["measured_mean"] > 0
        assert ("estimated_mean" in record) is (method == "adam")


def test_block_norms_add_up_to_the_global_norm_before_clipping(tiny: Make, run: Run) -> None:
    probed = run(
        tiny(optimizer={**METHODS["adam"], "lr": 0.01, "clip_norm": 0.1}, probes=EVERYTHING)
    )
    for step in (2, 4, 6):
        norms = [r["gradient_norm"] for r in of_kind(probed, "state") if r["step"] == step]
        metrics = probed.steps[step - 1]
        assert metrics["clipped"]
        assert math.hypot(*norms) == pytest.approx(metrics["gradient_norm"], rel=1e-5)


def replay(spec: RunSpec, data: PreparedData, until: int) -> tuple[torch.nn.Module, list[Any]]:
    """The model at a step, and every step's clipped gradients by then, from plain torch."""
    model, read = initial_model(spec), batches_for(spec, data)
    decay = spec.optimizer.weight_decay
    groups = [
        {"params": [p for p in model.parameters() if p.dim() == 2], "weight_decay": decay},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.9))
    gradients = []
    for step in range(1, until + 1):
        model.zero_grad()
        plain_gradient(model, torch.from_numpy(read(step)))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        given = ((name, each.grad) for name, each in model.named_parameters())
        gradients.append({n: g.double().numpy().copy() for n, g in given if g is not None})
        if step < until:
            for group in optimizer.param_groups:
                group["lr"] = spec.schedule.lr(step, steps=spec.training.steps, peak=0.01)
            optimizer.step()
    return model, gradients


def test_records_of_adam_against_averages_of_the_gradients_in_numpy(
    tiny: Make, data: PreparedData, run: Run
) -> None:
    spec = tiny(probes={**EVERYTHING, "every": 3})
    model, gradients = replay(spec, data, until=3)
    (state,) = [r for r in of_kind(run(spec), "state", "attention") if r["step"] == 3]
    (noise,) = [r for r in of_kind(run(spec), "noise", "attention") if r["step"] == 3]
    names = [name for name in gradients[0] if ".attention." in name]
    g = np.stack([np.concatenate([step[n].ravel() for n in names]) for step in gradients])
    weights = np.array([0.81, 0.9, 1.0]) / 2.71  # β = 0.9, corrected for the bias
    m = weights @ g
    variance = weights @ (g - m) ** 2
    d = np.abs(m) / (np.sqrt(m**2 + variance) + 1e-8)
    assert state["coordinates"] == g.shape[1] == 4 * 16**2
    quartiles = np.quantile(m**2 / variance, [0.25, 0.5, 0.75], method="lower")
    found = [state["snr_q25"], state["snr_median"], state["snr_q75"]]
    assert found == pytest.approx(quartiles, rel=1e-3)
    assert state["m2_mean"] == pytest.approx((m**2).mean(), rel=1e-3)
    assert state["m2_median"] == pytest.approx(np.quantile(m**2, 0.5, method="lower"), rel=1e-3)
    assert state["variance_mean"] == pytest.approx(variance.mean(), rel=1e-3)
    median = np.quantile(variance, 0.5, method="lower")
    assert state["variance_median"] == pytest.approx(median, rel=1e-3)
    assert state["direction_mean"] == pytest.approx(d.mean(), rel=1e-3)
    assert state["direction_median"] == pytest.approx(np.quantile(d, 0.5, method="lower"), rel=1e-3)
    assert state["direction_max"] == pytest.approx(d.max(), rel=1e-3)
    # Two of 1024 coordinates may round to the other side.
    assert state["share_half"] == pytest.approx((d >= 0.5).mean(), abs=0.002)
    assert state["share_sign"] == pytest.approx((d >= 0.9).mean(), abs=0.002)
    edge = d >= 0.99 * np.abs(m) / np.sqrt(m**2 + variance)
    assert state["share_edge"] == pytest.approx(edge.mean(), abs=0.002)

    measured = []
    for batch in noise_batches(spec, data, 3):
        model.zero_grad()
        plain_gradient(model, batch)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        named = dict(model.named_parameters())
        measured.append(np.concatenate([named[n].grad.double().numpy().ravel() for n in names]))  # pyright: ignore[reportOptionalMemberAccess] just computed
    s2 = np.var(measured, axis=0, ddof=1)
    assert noise["batches"] == len(measured) == 2
    assert noise["measured_mean"] == pytest.approx(s2.mean(), rel=1e-3)
    assert noise["estimated_mean"] == pytest.approx(variance.mean(), rel=1e-3)
    ratio = np.quantile(variance / s2, 0.5, method="lower")
    assert noise["ratio_median"] == pytest.approx(ratio, rel=1e-2)
    rho = spearmanr(variance, s2)[0]
    assert noise["rank_correlation"] == pytest.approx(rho, abs=1e-3)


def test_a_shadow_of_the_run_itself_points_where_it_does(tiny: Make, run: Run) -> None:
    own = {"method": "adam", "lr": 0.01, "beta": 0.9}
    twice = {**own, "lr": 0.02}
    probed = run(tiny(optimizer=own, probes={"every": 3, "shadows": [twice]}))
    records = of_kind(probed, "shadow")
    assert len(records) == 2 * len(BLOCKS)
    for record in records:
        assert record["cosine"] == pytest.approx(1.0, abs=1e-5)
        assert record["sign_agreement"] == pytest.approx(1.0, abs=1e-3)
        assert record["linf_ratio"] == pytest.approx(1.0, rel=1e-4)
        assert record["step_ratio"] == pytest.approx(2.0, rel=1e-4)


def test_unseen_tokens_are_silent_and_not_in_the_quartiles(tiny: Make, run: Run) -> None:
    probed = run(tiny(probes={"every": 6}))
    (record,) = of_kind(probed, "state", "embedding")
    # The text has some 20 different bytes of 257.
    assert 0.8 < record["silent"] < 1
    assert record["direction_median"] == 0
    assert 0 < record["snr_q25"] <= record["snr_median"] <= record["snr_q75"] < math.inf
    (head,) = of_kind(probed, "state", "head")
    assert head["silent"] == 0


def test_epsilon_moves_the_step_off_the_edge_of_its_region(tiny: Make, run: Run) -> None:
    shares = []
    for eps in (1e-30, 1.0):
        method = {"method": "adam", "lr": 1e-3, "beta": 0.9, "eps": eps}
        shares.append(
            [
                each["share_edge"]
                for each in of_kind(run(tiny(optimizer=method, probes={"every": 3})), "state")
            ]
        )
    exact, damped = shares
    assert exact == [1.0] * len(exact)
    assert damped == [0.0] * len(damped)


def test_equal_runs_have_equal_records_however_they_are_spelt(tiny: Make, run: Run) -> None:
    pairs = [
        ({"method": "rmsprop", "beta": 0.9}, {"method": "adam", "beta1": 0.0, "beta2": 0.9}),
        ({"method": "signum", "beta": 0.0}, {"method": "signsgd", "clip_norm": "none"}),
    ]
    for one, other in pairs:
        first, second = (
            run(
                tiny(
                    optimizer={"lr": 0.01, **each},
                    probes={**EVERYTHING, "shadows": [{"lr": 1, **each}]},
                )
            )
            for each in (one, other)
        )
        assert len(first.probes) == len(second.probes) > 0
        for left, right in zip(first.probes, second.probes, strict=True):
            assert left.keys() == right.keys()
            assert [v for v in left.values() if isinstance(v, str)] == [
                v for v in right.values() if isinstance(v, str)
            ]


def test_a_store_keeps_them_beside_the_metrics_and_only_if_there_are_any(
    settings: dict[str, Any], tiny: Make, run: Run, tmp_path: Any
) -> None:
    store = Store(tmp_path / "store", create=True)
    files = []
    for probes in (None, EVERYTHING):
        planned = resolver()({**settings, **({"probes": probes} if probes else {})}, "test")
        train_in_store(store, store.register(planned).run())
        files.append(store.folder(planned.run_id).attempt(1).probes)
    assert [path.exists() for path in files] == [False, True]
    kept = read_records(files[1])
    assert kept.damaged_at is None
    assert kept.records == run(tiny(probes=EVERYTHING)).probes


def test_noise_that_the_corpus_is_too_small_for_is_refused_before_step_1(
    tiny: Make, run: Run
) -> None:
    spec = tiny(probes={"every": 1, "noise_batches": 1000, "noise_every": 6})
    with pytest.raises(DataError, match="noise_batches=1000 of 5 sequences need 5,000 rows"):
        run(spec)


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlation_and_quantiles_are_scipys_and_numpys(seed: int) -> None:
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=200), draw.integers(0, 20, 200).astype(float)  # with ties
    assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y)[0], abs=1e-12)
    levels = (0.0, 0.1, 0.5, 0.9, 1.0)
    assert order_statistics(x, *levels) == np.quantile(x, levels, method="lower").tolist()


def test_what_is_not_defined_is_not_a_number() -> None:
    nothing, ones = torch.zeros(3), torch.ones(3)
    assert math.isnan(rank_correlation(np.ones(3), np.arange(3.0)))
    assert math.isnan(rank_correlation(np.ones(0), np.ones(0)))
    assert math.isnan(order_statistics(np.ones(0), 0.5)[0])
    compared = comparison(nothing, ones, lr_ratio=1.0)
    assert math.isnan(float(compared["cosine"]))
    assert math.isnan(float(compared["linf_ratio"]))
    assert compared["sign_agreement"] == 0.0
    assert math.isnan(float(comparison(nothing, nothing, lr_ratio=1.0)["sign_agreement"]))


def test_large_blocks_are_sampled_by_seed_and_alike_for_every_tensor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readings, "SAMPLE", 100)
    parameter = torch.nn.Parameter(torch.zeros(30, 40))
    places = torch.arange(1200.0)
    block = Block("head", [parameter], seed=3)
    chosen = block.sample(places)
    assert 80 < len(chosen) <= 100
    assert len(set(chosen)) == len(chosen)
    assert (block.sample(2 * places) == 2 * chosen).all()
    assert (Block("head", [parameter], seed=3).sample(places) == chosen).all()
    assert not np.array_equal(Block("head", [parameter], seed=4).sample(places), chosen)


def test_probes_by_parameter_are_the_blocks_taken_apart(run: Run, tiny: Make) -> None:
    """The mean of σ² over a block is that of its parameters, weighted by their sizes."""
    blocks = run(tiny(probes={"every": 3}))
    alone = run(tiny(probes={"every": 3, "by": "parameter"}))
    assert alone.outcome.validation_loss == blocks.outcome.validation_loss
    names = [name for name, _ in initial_model(tiny()).named_parameters()]
    assert [each["block"] for each in alone.probes[: len(names)]] == names
    for whole in blocks.probes:
        parts = [
            each
            for each in alone.probes
            if each["step"] == whole["step"] and block_of(each["block"]) == whole["block"]
        ]
        assert sum(each["coordinates"] for each in parts) == whole["coordinates"]
        total = sum(each["coordinates"] * each["variance_mean"] for each in parts)
        assert total == pytest.approx(whole["coordinates"] * whole["variance_mean"], rel=1e-12)
