"""The batched computation against slow loops, exact expectations and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from oracles import quadratic_loop
from oracles.quadratic_expectation import expected_losses

from descentlab.errors import ConfigError
from descentlab.optim.constant_variance import constant_variance
from descentlab.quadratic import losses as losses_module
from descentlab.quadratic import native
from descentlab.quadratic.descent import Groups, drawn
from descentlab.quadratic.hessian import hessians
from descentlab.quadratic.losses import losses
from descentlab.quadratic.methods import METHODS, Trials, grid
from descentlab.quadratic.panel import variance_path
from descentlab.quadratic.sampling import gaussian_noise, sampled_rows
from descentlab.quadratic.spectrum import HETEROGENEOUS, HOMOGENEOUS, Spectrum

LRS = {"sgd": (3e-5, 1e-4)}
CONSTANTS = {"signum": (0.0, 0.5), "constant_variance": (0.25, 100.0)}
SMALL = Spectrum(name="small", blocks=((1.0, 3.0), (40.0, 0.0)))


needs_a_compiler = pytest.mark.skipif(not native.available(), reason="no C compiler here")


def all_methods() -> list[Trials]:
    return [
        grid(name, LRS.get(name, (0.003, 0.03)), (0.0, 0.9), CONSTANTS.get(name, (0.0,)))
        for name in METHODS
    ]


@pytest.mark.parametrize(
    "implementation", [pytest.param("compiled", marks=needs_a_compiler), "reference"]
)
@pytest.mark.parametrize("root", ["eigenvectors", "symmetric"])
def test_every_configuration_equals_a_slow_loop(root, implementation) -> None:
    steps, batch, noise, warmup, seeds = 40, 3, 0.1, 0.1, [3, 8]
    sampling = {"steps": steps, "batch": batch, "noise": noise, "warmup": warmup, "root": root}
    rows_KGb = sampled_rows(seeds, steps=steps, rows=9, batch=batch)
    noise_KGD = gaussian_noise(seeds, steps=steps, dimensions=9, scale=noise)
    groups = drawn(HOMOGENEOUS, seeds, **sampling)
    trials = all_methods()
    results = losses(groups, trials, range(steps + 1), implementation=implementation)
    for each, found_TCG in zip(trials, results, strict=True):
        for c, g in itertools.product(range(len(each)), range(len(seeds))):
            expected = quadratic_loop.losses(
                each.method,
                hessian=groups.H_GDD[g].tolist(),
                rows_seen=rows_KGb[:, g].tolist(),
                noise=noise_KGD[:, g].tolist(),
                lr=each.lrs[c],
                beta=each.betas[c],
                constant=each.constants[c],
                warmup=warmup,
                root=root,
            )
            assert found_TCG[:, c, g].tolist() == pytest.approx(expected, rel=1e-12), (each, c, g)


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_sgd_has_the_exact_expected_loss(beta) -> None:
    seeds, steps = range(4000), 30
    sampling = {"steps": steps, "batch": 2, "noise": 0.5, "warmup": 0.2}
    H_GDD = hessians(SMALL, [0]).expand(len(seeds), -1, -1)
    groups = Groups(H_GDD=H_GDD, seeds=tuple(seeds), **sampling)
    found_TG = losses(groups, [grid("sgd", [0.02], [beta])], range(steps + 1))[0][:, 0]
    expected = expected_losses(
        H_GDD[0].numpy(), lr=0.02, beta=beta, root="eigenvectors", **sampling
    )
    assert float(found_TG[0].mean()) == pytest.approx(expected[0], rel=1e-12)
    standard_error = found_TG[1:].std(1) / len(seeds) ** 0.5
    far = (found_TG[1:].mean(1) - torch.tensor(expected[1:])).abs() / standard_error
    assert far.max() < 4.5, f"seeds {seeds}: {far}"
    assert expected[-1] < 0.5 * expected[0]  # the comparison is of losses that move


def test_the_full_batch_has_the_closed_form() -> None:
    """Without momentum ``w_K = Π(1 − η_k H) w_0``, eigenvector by eigenvector."""
    groups = drawn(HETEROGENEOUS, [5], steps=20, batch=9)
    found = losses(groups, [grid("sgd", [3e-4], [0.0])])[0][-1, 0, 0]
    values, vectors = np.linalg.eigh(groups.H_GDD[0].numpy())
    start = vectors.T @ np.ones(9)
    rates = [3e-4 * quadratic_loop.factor(k, 20, 0.05) for k in range(1, 21)]
    end = start * np.prod([1 - rate * values for rate in rates], axis=0)
    assert float(found) == pytest.approx(0.5 * float(values @ end**2), rel=1e-10)


def test_pieces_of_any_size_give_the_same(monkeypatch) -> None:
    groups, trials = drawn(HOMOGENEOUS, range(5), steps=12, noise=0.1), all_methods()
    whole = losses(groups, trials, [0, 3, 12], implementation="reference")
    for piece, buffer in ((1, 1), (200, 10_000), (1000, 50)):
        monkeypatch.setattr(losses_module, "PIECE", piece)
        monkeypatch.setattr(losses_module, "BUFFER", buffer)
        parts = losses(groups, trials, [0, 3, 12], implementation="reference")
        for one, other in zip(whole, parts, strict=True):
            assert torch.allclose(one, other, rtol=1e-11)


@needs_a_compiler
def test_compiled_descents_are_the_tensors_for_any_piece_and_threads(monkeypatch) -> None:
    groups, trials = drawn(HETEROGENEOUS, range(7), steps=100, noise=0.1), all_methods()
    expected = losses(groups, trials, [0, 40, 100], implementation="reference")
    for laid_out, serial in ((losses_module.LAID_OUT, native.SERIAL), (1, 1), (2000, 1)):
        monkeypatch.setattr(losses_module, "LAID_OUT", laid_out)
        monkeypatch.setattr(native, "SERIAL", serial)
        found = losses(groups, trials, [0, 40, 100], implementation="compiled")
        for one, other in zip(expected, found, strict=True):
            assert torch.allclose(one, other, rtol=1e-9)


def test_without_a_compiler_tensors_do(monkeypatch) -> None:
    groups, trials = drawn(HOMOGENEOUS, [1], steps=10), [grid("adam", [0.01])]
    expected = losses(groups, trials, implementation="reference")[0]
    monkeypatch.setattr(native, "available", lambda: False)
    assert torch.equal(losses(groups, trials)[0], expected)
    with pytest.raises(ConfigError, match="needs a C compiler"):
        losses(groups, trials, implementation="compiled")
    with pytest.raises(ConfigError, match="did you mean compiled"):
        losses(groups, trials, implementation="compile")  # pyright: ignore[reportArgumentType] meant to be wrong


def test_large_problems_go_by_tensors() -> None:
    """65 equal eigenvalues at full batch: SGD shrinks w by Π(1 − η_k) whatever the rotation."""
    groups = drawn(Spectrum(name="ball", blocks=((1.0,) * 65,)), [0], steps=4, batch=65)
    rates = [0.5 * quadratic_loop.factor(k, 4, 0.05) for k in range(1, 5)]
    found = losses(groups, [grid("sgd", [0.5], [0.0])])[0].item()
    assert found == pytest.approx(65 / 2 * float(np.prod([1 - rate for rate in rates])) ** 2)


def test_a_result_depends_on_its_own_seed_and_setting_alone() -> None:
    alone = losses(drawn(HETEROGENEOUS, [7], steps=30), [grid("adam", [0.01])])[0][0, 0, 0]
    groups, trials = (
        drawn(HETEROGENEOUS, [2, 7, 9], steps=30),
        grid("adam", [0.3, 0.01], [0.5, 0.95]),
    )
    among = losses(groups, [grid("sgd", [1e-4]), trials])[1][0, 3, 1]
    assert float(among) == pytest.approx(float(alone), rel=1e-12)
    again = losses(groups, [grid("sgd", [1e-4]), trials])[1][0, 3, 1]
    assert float(again) == float(among)


def test_diverged_runs_are_infinite_and_stay() -> None:
    groups = drawn(HETEROGENEOUS, range(3), steps=200)
    found = losses(groups, [grid("sgd", [1e-4, 1.0], [0.0]), grid("signum", [1e5])])
    assert found[0].isfinite()[0].tolist() == [[True] * 3, [False] * 3]
    assert found[0][0, 1].tolist() == [float("inf")] * 3
    assert found[1].isfinite().any() == 0  # far away, though not beyond the numbers


def test_the_constant_variance_is_between_signum_and_sgd() -> None:
    g = torch.tensor([3.0, -1e-3, 0.0], dtype=torch.float64)
    d, state = constant_variance(g, None, beta=0.5, variance=0.0, bias_correction=False)
    assert d.tolist() == [1.0, -1.0, 0.0]
    assert state.m.tolist() == (0.5 * g).tolist()
    d, _ = constant_variance(g, state, beta=0.5, variance=1e12, bias_correction=False)
    assert torch.allclose(1e6 * d, 0.75 * g, rtol=1e-10)


def test_the_variance_is_the_average_of_squared_surprises() -> None:
    """By an explicit loop over the recursion, and by v − m² (Proposition 1)."""
    steps, beta, lr = 25, 0.8, 0.02
    groups = drawn(HOMOGENEOUS, [4], steps=steps)
    path_TD = variance_path(groups, lr, beta, range(1, steps + 1))[:, 0]
    rows = quadratic_loop.design_rows(groups.H_GDD[0].tolist(), "eigenvectors")
    seen = sampled_rows([4], steps=steps, rows=9, batch=3)[:, 0].tolist()
    w, m, v, surprise = np.ones(9), np.zeros(9), np.zeros(9), np.zeros(9)
    for k in range(1, steps + 1):
        g = np.array(quadratic_loop.gradient(rows, seen[k - 1], w.tolist()))
        surprise = beta * surprise + (1 - beta) * (m - g) ** 2
        m, v = beta * m + (1 - beta) * g, beta * v + (1 - beta) * g**2
        assert path_TD[k - 1].tolist() == pytest.approx(surprise.tolist(), rel=1e-9)
        assert beta * surprise == pytest.approx(v - m**2, rel=1e-9, abs=1e-12 * float(v.max()))
        w = w - lr * quadratic_loop.factor(k, steps, 0.05) * m / (np.sqrt(v) + 1e-8)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "adm"}, "did you mean adam"),
        ({"betas": (1.0,)}, r"beta: got 1.0; allowed are \[0, 1\)"),
        ({"betas": (-0.1,)}, "beta: got -0.1"),
        ({"betas": (float("nan"),)}, "beta: got nan"),
        ({"lrs": (0.0,)}, "lr: got 0.0"),
        ({"lrs": (float("inf"),)}, "lr: got inf"),
        ({"constants": (-1.0,)}, "constant: got -1.0"),
        ({"lrs": (0.1, 0.2)}, "as many of each"),
        ({"lrs": (), "betas": ()}, "at least one"),
    ],
)
def test_trials_out_of_range_are_refused(changes, said) -> None:
    with pytest.raises(ConfigError, match=said):
        Trials(**{"method": "adam", "lrs": (0.1,), "betas": (0.9,), **changes})


def test_groups_and_steps_out_of_range_are_refused() -> None:
    H = torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    with pytest.raises(ConfigError, match="2 Hessians and 1 seeds"):
        Groups(H_GDD=H, seeds=(0,))
    with pytest.raises(ConfigError, match="not symmetric"):
        Groups(H_GDD=torch.tensor([[[1.0, 2.0], [0.0, 1.0]]]), seeds=(0,))
    with pytest.raises(ConfigError, match="seeds: got none"):
        drawn(SMALL, [])
    trials = [grid("sgd", [0.1])]
    with pytest.raises(ConfigError, match="batch: got 5"):
        losses(drawn(SMALL, [0], batch=5), trials)
    with pytest.raises(ConfigError, match="steps: got 0"):
        losses(drawn(SMALL, [0], steps=0), trials)
    for at in ([], [3, 2], [-1], [501]):
        with pytest.raises(ConfigError, match="at: got"):
            losses(drawn(SMALL, [0], steps=500), trials, at)
    with pytest.raises(ConfigError, match="beta: got 0"):
        variance_path(drawn(SMALL, [0]), 0.1, 0.0, [1])
