"""E10: Adam with its variance σ² replaced by the best constant, against Adam itself.

Adam with β1=β2 steps along m/√(m² + σ²) (eq. 9). If the online estimate σ² matters, then no
constant in its place does as well. Two are tried, each tuned together with learning rate
and β: one c for all coordinates; and one for each tensor, in proportion to the mean of σ²
over that tensor's coordinates and over the steps of the best run of Adam. Signum is the
constant 0. All methods get the same number of trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from descentlab.analysis.claims.contenders import lower_perplexity, share_of_gap
from descentlab.analysis.claims.finding import Finding
from descentlab.analysis.probes import probe_tables
from descentlab.contests.contest import Contest, Design, Entry, Laboratory, Stage, Standing
from descentlab.contests.report import Report
from descentlab.paper.scales import SCALES
from descentlab.paper.table1 import METHODS, powers_of_two
from descentlab.sweep.tuning import Axis, Decays, Geometric

GLOBAL, PER_TENSOR = "constant σ²", "constant σ² per tensor"

Grid = tuple[list[float], list[float], list[float]]
"""Learning rates, decays, constants; the last may be empty."""

TINY_DECAYS = [0.0, 0.2, 0.6]
LARGE_DECAYS = [0.8, 0.9, 0.95, 0.975]
LARGE: Mapping[str, Grid] = {
    "adam": (powers_of_two(0.032, 6), [*LARGE_DECAYS, 0.9875, 0.99375], []),
    "signum": (powers_of_two(0.004, 6), [*LARGE_DECAYS, 0.9875, 0.99375], []),
    GLOBAL: (powers_of_two(0.002, 4), LARGE_DECAYS[:3], [1e-13, 1e-12, 1e-11]),
    PER_TENSOR: (powers_of_two(0.004, 4), LARGE_DECAYS[:3], [0.1, 1.0, 10.0]),
}
"""Of the two larger scales, about the paper's best settings. Constants are decades below the
mean square of an entry of a gradient that is clipped to norm 1: 6e-9 for the paper's models."""
GRIDS: Mapping[str, Mapping[str, Grid]] = MappingProxyType(
    {
        "paper": LARGE,
        "workstation": LARGE,
        "laptop": {
            "adam": (powers_of_two(0.064, 6), [0.0, 0.2, 0.6, 0.8, 0.9, 0.95, 0.975, 0.9875], []),
            "signum": (powers_of_two(0.032, 6), [0.0, 0.2, 0.6, 0.8, 0.9, 0.95, 0.975, 0.9875], []),
            GLOBAL: (powers_of_two(0.016, 4), [0.6, 0.8, 0.9], [1e-10, 1e-9, 1e-8, 1e-7]),
            PER_TENSOR: (powers_of_two(0.032, 4), [0.6, 0.8, 0.9], [0.01, 0.1, 1.0, 10.0]),
        },
        "tiny": {
            "adam": (powers_of_two(0.128, 9), TINY_DECAYS, []),
            "signum": (powers_of_two(0.128, 9), TINY_DECAYS, []),
            GLOBAL: (powers_of_two(0.064, 3), [0.2, 0.6, 0.8], [1e-5, 1e-4, 1e-3]),
            PER_TENSOR: (powers_of_two(0.064, 3), [0.2, 0.6, 0.8], [1.0, 10.0, 100.0]),
        },
    }
)


def run(scale: str, laboratory: Laboratory) -> Report:
    """Tune Adam, measure its σ² in every tensor, and hold the contest."""
    adam_alone = _design(scale, {"adam": METHODS["adam"]})
    settings = Contest(adam_alone, laboratory).tune()["adam"]
    relative = _variances(settings, scale, laboratory)
    constant = {"method": "constant_variance", "weight_decay": 0.1, "clip_norm": 1.0}
    methods = {
        "adam": METHODS["adam"],
        "signum": METHODS["signum"],
        GLOBAL: constant,
        PER_TENSOR: {**constant, "relative": relative},
    }
    standing = Contest(_design(scale, methods), laboratory).run()
    return Report(
        name="constant-variance",
        title=f"Adam's variance replaced by a constant, at scale {scale}",
        purpose=SCALES[scale].purpose,
        standing=standing,
        findings=findings(standing),
        remarks=[_remark(relative)],
    )


def findings(standing: Standing) -> list[Finding]:
    """Whether the estimate is worth more than the best constant, and how much of it is left."""
    adam, signum = standing.contender("adam"), standing.contender("signum")
    constant, per_tensor = standing.contender(GLOBAL), standing.contender(PER_TENSOR)
    found = [
        lower_perplexity("adam below the best constant for all", adam, constant),
        lower_perplexity("adam below the best constants per tensor", adam, per_tensor),
        lower_perplexity("a constant per tensor below one for all", per_tensor, constant),
        lower_perplexity("the best constant below signum", constant, signum),
    ]
    gap = "the best constants per tensor close most of the gap from signum to adam"
    closed = share_of_gap(gap, closes=per_tensor, worst=signum, best=adam, at_least=0.5)
    return [*found, closed]


def design(scale: str) -> Design:
    """The contest at a scale, before the variances of tensors are known."""
    constant = {"method": "constant_variance", "weight_decay": 0.1, "clip_norm": 1.0}
    methods = {"adam": METHODS["adam"], "signum": METHODS["signum"]}
    return _design(scale, {**methods, GLOBAL: constant, PER_TENSOR: constant})


def _design(scale: str, methods: Mapping[str, Mapping[str, Any]]) -> Design:
    grids = GRIDS[scale]
    entries = {
        name: Entry(optimizer=method, axes=_axes(*grids[name])) for name, method in methods.items()
    }
    return Design(name=f"constant-variance-{scale}", run=SCALES[scale].run, entries=entries)


def _axes(lrs: list[float], betas: list[float], constants: list[float]) -> list[Axis]:
    axes: list[Axis] = [Geometric("lr", list(lrs)), Decays("beta", list(betas))]
    return [*axes, Geometric("variance", list(constants))] if constants else axes


def _variances(settings: Mapping[str, Any], scale: str, laboratory: Laboratory) -> dict[str, float]:
    """The mean of σ² by tensor, over the coordinates and over all the steps of one run."""
    steps = SCALES[scale].run["training"]["steps"]
    probes = {"every": max(1, steps // 16), "by": "parameter"}
    name = f"constant-variance-{scale}"
    run = laboratory.resolve({**settings, "probes": probes}, name)
    labels = {run.run_id: "adam, its variance measured"}
    laboratory.execute(Stage(name="variance", runs=[run], labels=labels))
    state = probe_tables(laboratory.store, run).state
    means = state.groupby("block", sort=True)["variance_mean"].mean()
    return {str(name): float(f"{value:.4g}") for name, value in means.items()}


def _remark(relative: Mapping[str, float]) -> str:
    smallest, largest = (pick(relative, key=relative.__getitem__) for pick in (min, max))
    return (
        f"c of `{GLOBAL}` is in squared units of the clipped gradient; c of `{PER_TENSOR}` "
        f"multiplies each tensor's own mean of σ² in Adam's best run, which spans "
        f"{relative[smallest]:.2g} ({smallest}) to {relative[largest]:.2g} ({largest})."
    )
