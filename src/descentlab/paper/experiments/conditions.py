"""E5 to E9: Adam, and Signum beside it, under other conditions (Figures 3, 5 and 12 to 16).

At the paper's scale the grids are those of the released files, the bands of decays included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from descentlab.paper.experiments.experiment import (
    OURS,
    Experiment,
    around,
    band,
    near,
    pairs,
    study,
)
from descentlab.paper.scales import Scale
from descentlab.paper.table1 import METHODS
from descentlab.sweep.axes import powers_of_two
from descentlab.sweep.study import Axes, Method, Study

LRS = "optimizer.lr"
BATCH_LRS = [5e-4, 1e-3, 1.4e-3, 2e-3, 2.8e-3, 4e-3, 5.6e-3, 8e-3, 1.12e-2, 1.6e-2]
"""Half-powers of two, rounded as the released runs have them."""
BANDED = (0.9, 0.95, 0.975)
"""The β1 of studies that try five β2 each, the nearest on the ladder."""
DECAYS = [0.6, 0.8, 0.9, 0.95, 0.975, 0.9875, 0.99375, 0.996875]
LARGER_PAIRS = {
    0.9: [0.8, 0.9, 0.95],
    0.95: [0.9, 0.95, 0.975, 0.9875],
    0.975: [0.95, 0.975, 0.9875, 0.99375],
}
"""Of the 410M models: 11 pairs of decays."""


def _adam(lrs: Sequence[float], group: Axes, **changes: Any) -> dict[str, Method]:
    fixed = {**METHODS["adam"], **changes}
    return {"adam": Method(optimizer=fixed, axes={LRS: list(lrs)}, zip=[group])}


def _signum(lrs: Sequence[float], betas: Sequence[float], **changes: Any) -> dict[str, Method]:
    axes: Axes = {"optimizer.beta": list(betas), LRS: list(lrs)}
    return {"signum": Method(optimizer={**METHODS["signum"], **changes}, axes=axes)}


def _reduced(
    scale: Scale, *, first: tuple[int, int] = (1, 1), second: tuple[int, int] = (1, 2)
) -> tuple[list[float], Axes]:
    """Learning rates and pairs of decays around Adam's best; two and three at tiny."""
    best = scale.best["adam"]
    if scale.name == "tiny":
        return around(best.lr, -1, 0), _product(near(best.beta, 1, 0), near(best.beta, 1, 1))
    lrs = around(best.lr, -1, 0, 1)
    return lrs, _product(near(best.beta, *first), near(best.beta, *second))


def _reduced_signum(scale: Scale) -> tuple[list[float], list[float]]:
    best = scale.best["signum"]
    if scale.name == "tiny":
        return around(best.lr, -1, 0), near(best.beta, 1, 0)
    return around(best.lr, -1, 0, 1), near(best.beta, 1, 1)


def _product(firsts: Sequence[float], seconds: Sequence[float]) -> Axes:
    return pairs(dict.fromkeys(firsts, seconds))


def _shorter(scale: Scale) -> list[Study]:
    if scale.name == "paper":
        betas = [0.8, 0.9, 0.95, 0.975, 0.9875, 0.99375]
        adam = _adam(powers_of_two(0, 5, times=5e-4), pairs({0.95: betas}))
        signum = _signum(powers_of_two(0, 5, times=6.25e-5), [0.8, 0.9, 0.95, 0.975, 0.9875])
    else:
        adam = _adam(*_reduced(scale, first=(0, 0)))
        signum = _signum(*_reduced_signum(scale))
    return [study("E5", scale, {**adam, **signum}, edits=[scale.shorter])]


def _batches(scale: Scale) -> list[Study]:
    found = []
    for word, factor in (("half", 0.5), ("same", 1), ("double", 2)):
        methods = _adam(*_reduced(scale))
        if scale.name == "paper":
            methods = _main_batch() if factor == 1 else _adam(BATCH_LRS, band(BANDED))
        found.append(study(f"E6-{word}", scale, methods, edits=[scale.at_batch(factor)]))
    return found


def _main_batch() -> dict[str, Method]:
    """Six β1 with eight β2 and five learning rates; at β1 = 0.8 one rate more: 248 runs."""
    cells = [
        (lr, beta1, beta2)
        for beta1 in (0.6, 0.8, 0.9, 0.95, 0.975, 0.9875)
        for beta2 in DECAYS
        for lr in ([5e-4] if beta1 == 0.8 else []) + powers_of_two(0, 4, times=1e-3)
    ]
    lrs, firsts, seconds = (list(each) for each in zip(*cells, strict=True))
    group: Axes = {LRS: lrs, "optimizer.beta1": firsts, "optimizer.beta2": seconds}
    return {"adam": Method(optimizer=dict(METHODS["adam"]), zip=[group])}


def _larger(scale: Scale) -> list[Study]:
    methods = _adam(*_reduced(scale, first=(0, 1), second=(1, 1)))
    if scale.name == "paper":
        methods = _adam(powers_of_two(0, 3, times=2e-3), pairs(LARGER_PAIRS))
    return [study("E7", scale, methods, edits=[scale.larger])]


def _other_text(scale: Scale) -> list[Study]:
    none: Mapping[str, Any] = {"weight_decay": 0.0}
    if scale.name == "paper":
        adam = _adam(powers_of_two(0, 5, times=1e-3), band(BANDED), **none)
        signum = _signum(powers_of_two(0, 5, times=1.25e-4), BANDED, **none)
    else:
        adam = _adam(*_reduced(scale, second=(1, 1)), **none)
        signum = _signum(*_reduced_signum(scale), **none)
    return [study("E8", scale, {**adam, **signum}, edits=[scale.other_text])]


def _longer(scale: Scale) -> list[Study]:
    methods = _adam(*_reduced(scale, first=(0, 1), second=(1, 1)))
    if scale.name == "paper":
        betas = [0.8, 0.9, 0.95, 0.975, 0.9875, 0.99375]
        firsts = [0.9, 0.95, 0.975, 0.9875]
        methods = _adam(powers_of_two(0, 6, times=5e-4), _product(firsts, betas))
    return [study("E9", scale, methods, edits=[scale.longer])]


E5 = Experiment(
    key="E5",
    title="Shorter sequences",
    shows="Whether Adam's lead over Signum is there with a quarter of the context.",
    studies=_shorter,
    judged=OURS,
    exhibits=("fig12",),
    claims=("adam-leads-at-short-sequences", "equal-betas-short-sequences"),
    beside=("E1",),
)

E6 = Experiment(
    key="E6",
    title="Batch sizes",
    shows="Whether equal betas are near-optimal at half, one and two times the batch size.",
    studies=_batches,
    judged=OURS,
    exhibits=("fig3", "fig13", "fig14", "fig15"),
    claims=("equal-betas-batch-128", "equal-betas-batch-256", "equal-betas-batch-512"),
    beside=("E1",),
)
"""548 runs at the paper's scale, 2.5 billion tokens each. The released file of batch 256 also has
54 runs with β1 = 0, RMSprop and sign descent, which no figure shows, and one cell twice."""

E7 = Experiment(
    key="E7",
    title="A larger model",
    shows="Which betas are best for another model, and whether (0.9, 0.95) is.",
    studies=_larger,
    judged=OURS,
    exhibits=("fig5",),
    claims=("conventional-betas-410m",),
)
"""Figure 5 of the first edition; its text speaks of Figure 4."""

E8 = Experiment(
    key="E8",
    title="Another text, without weight decay",
    shows="Whether Adam's lead, and equal betas, are there on another text.",
    studies=_other_text,
    judged=OURS,
    exhibits=("fig16",),
    claims=("adam-leads-on-other-text", "equal-betas-other-text"),
    beside=("E1",),
)

E9 = Experiment(
    key="E9",
    title="Twice the tokens",
    shows="Whether the best betas move with the budget.",
    studies=_longer,
    judged=OURS,
    exhibits=("longer",),
    claims=("equal-betas", "one-beta-is-enough", "best-beta2-grows"),
)
"""In the released data only; the paper's second edition draws it."""
