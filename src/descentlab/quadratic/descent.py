"""All configurations on all problems and seeds as one computation that loops over steps only.

A group is one problem with one seed: a Hessian and the rows that its steps see. C
configurations run on each of G groups; w has the shape ``[C, G, D]``, and a step is

    g = (1/b)·X_Sᵀ X_S w + σξ          d, state = rule(g, state)          w ← w − η_k·d

for all of them at once, each method by its own rule of ``descentlab.optim``.

Shapes: T recorded steps, K steps, C configurations, G groups, D dimensions, b sampled rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from descentlab.errors import ConfigError
from descentlab.quadratic.hessian import Root, check_hessians, design, hessians
from descentlab.quadratic.methods import Trials
from descentlab.quadratic.sampling import gaussian_noise, sampled_rows
from descentlab.quadratic.schedule import warmup_cosine
from descentlab.quadratic.spectrum import Spectrum

BLOCK = 1 << 18
"""Numbers in the sampled rows that are laid out ahead of the steps that use them."""

Observe = Callable[[int, Sequence[Tensor], Sequence[Any]], None]
"""Called with the step k and each method's w ``[C, G, D]`` and state, after w_0 and each step."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """G problems with their seeds, and how gradients are sampled on them.

    Attributes:
        H_GDD: Hessians ``[G, D, D]``.
        seeds: G seeds of the rows and the noise; groups may share one.
        steps: how many.
        batch: rows per gradient, of D.
        noise: standard deviation of Gaussian noise on every coordinate of the gradient.
        warmup: the share of the steps over which the learning rate rises.
        root: which root of the Hessian the rows are taken from.

    Raises:
        ConfigError: for matrices that are no Hessians, or settings out of range.
    """

    H_GDD: Tensor
    seeds: tuple[int, ...]
    steps: int = 500
    batch: int = 3
    noise: float = 0.0
    warmup: float = 0.05
    root: Root = "eigenvectors"

    def __post_init__(self) -> None:
        check_hessians(self.H_GDD)
        if len(self.H_GDD) != len(self.seeds):
            raise ConfigError(
                f"got {len(self.H_GDD)} Hessians and {len(self.seeds)} seeds; give one of each"
            )

    def __len__(self) -> int:
        return len(self.seeds)

    def part(self, place: slice) -> Groups:
        """Some of the groups, by their place."""
        return replace(self, H_GDD=self.H_GDD[place], seeds=self.seeds[place])


def drawn(spectrum: Spectrum, seeds: Sequence[int], **sampling: Any) -> Groups:
    """Return one group for each seed, which draws the rotations, the rows and the noise.

    Args:
        spectrum: the eigenvalues of all.
        seeds: G seeds.
        **sampling: steps, batch, noise, warmup and root, as ``Groups`` has them.

    Raises:
        ConfigError: without seeds, or as ``Groups`` does.
    """
    if not seeds:
        raise ConfigError("seeds: got none; give 1 or more")
    return Groups(H_GDD=hessians(spectrum, seeds), seeds=tuple(seeds), **sampling)


def descend(groups: Groups, trials: Sequence[Trials], observe: Observe) -> None:
    """Run every configuration on every group from ``w_0 = 1``, showing each step to ``observe``.

    All is float64; on such small tensors float32 is hardly faster.

    Raises:
        ConfigError: for Hessians that are none, or settings out of range.
    """
    with one_thread():
        _descend(groups, trials, observe)


def _descend(groups: Groups, trials: Sequence[Trials], observe: Observe) -> None:
    count, dimensions = len(groups), groups.H_GDD.shape[-1]
    factors = warmup_cosine(groups.steps, groups.warmup)
    batches = _batches(groups)
    bounds = [0]
    for each in trials:
        bounds.append(bounds[-1] + len(each))
    # Memory runs over groups first, so that one product serves all configurations of a group.
    w_GCD = torch.ones(count, bounds[-1], dimensions, dtype=torch.float64)
    g_GCD = torch.empty_like(w_GCD)
    z_GCb = torch.empty(count, bounds[-1], groups.batch, dtype=torch.float64)
    spans = [slice(*pair) for pair in itertools.pairwise(bounds)]
    ws_CGD = [w_GCD[:, span].transpose(0, 1) for span in spans]
    gs_CGD = [g_GCD[:, span].transpose(0, 1) for span in spans]
    rules = [each.rule() for each in trials]
    peaks_C11 = [torch.tensor(each.lrs, dtype=torch.float64).view(-1, 1, 1) for each in trials]
    states: list[Any] = [None] * len(trials)
    observe(0, ws_CGD, states)
    for k, (factor, (X_GbD, noise_GD)) in enumerate(zip(factors, batches, strict=True), start=1):
        torch.bmm(w_GCD, X_GbD.mT, out=z_GCb)
        torch.bmm(z_GCb, X_GbD, out=g_GCD)
        if noise_GD is not None:
            g_GCD += noise_GD.unsqueeze(1)
        for i, rule in enumerate(rules):
            d_CGD, states[i] = rule.function(gs_CGD[i], states[i], **rule.hypers)
            ws_CGD[i].addcmul_(d_CGD, peaks_C11[i], value=-factor)
        observe(k, ws_CGD, states)


def layout(groups: Groups) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return what the steps read, for all of them.

    Returns:
        The design matrices over √b ``[G, D, D]``, the rows that each step sees ``[K, G, b]``, and
        the noise ``[K, G, D]``, None where there is none.
    """
    X_GDD = design(groups.H_GDD, groups.root) / groups.batch**0.5
    steps, dimensions = groups.steps, X_GDD.shape[-1]
    rows_KGb = sampled_rows(groups.seeds, steps=steps, rows=dimensions, batch=groups.batch)
    if groups.noise == 0:
        return X_GDD, rows_KGb, None
    noise_KGD = gaussian_noise(groups.seeds, steps=steps, dimensions=dimensions, scale=groups.noise)
    return X_GDD, rows_KGb, noise_KGD


def _batches(groups: Groups) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The sampled rows over √b ``[G, b, D]`` of each step, and its noise ``[G, D]`` if any."""
    X_GDD, rows_KGb, noise_KGD = layout(groups)
    count = len(groups)
    ahead = max(1, BLOCK // (count * groups.batch * X_GDD.shape[-1]))
    each_G1 = torch.arange(count).unsqueeze(1)
    for start in range(0, groups.steps, ahead):
        X_kGbD = X_GDD[each_G1, rows_KGb[start : start + ahead]]
        for k, X_GbD in enumerate(X_kGbD, start=start):
            yield X_GbD, None if noise_KGD is None else noise_KGD[k]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: to wake others takes longer than operations as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
