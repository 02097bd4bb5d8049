"""Numbers printed in the paper, to stand beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from descentlab.analysis.claims.seed_noise import SeedNoise, pooled
from descentlab.analysis.comparison import Published
from descentlab.model.spec import SIZES, ModelSpec

TABLE1 = MappingProxyType(
    {
        "adam": Published(21.86, 0.21),
        "signum": Published(23.23, 0.16),
        "rmsprop": Published(27.04, 0.34),
        "sgd+Cclip": Published(33.40, 0.39),
        "emasign": Published(36.78, 0.57),
        "sgd+Gclip": Published(37.76, 0.61),
        "sgd": Published(53.62, 5.14),
    }
)
"""Table 1: validation perplexity of 160M models, mean ± 2σ over three seeds."""

TABLE2 = MappingProxyType(
    {
        1e-3: Published(23.34, 0.31),
        1e-6: Published(21.56, 0.19),
        1e-8: Published(21.86, 0.21),
        1e-10: Published(21.87, 0.04),
        1e-12: Published(21.89, 0.20),
        1e-15: Published(21.91, 0.18),
    }
)
"""Table 2: Adam's ε, at its best setting of Table 1."""

TABLE3 = MappingProxyType(
    {
        "adam ZI+BC": Published(21.86, 0.21),
        "adam ZI−BC": Published(21.89, 0.16),
        "adam GI−BC": Published(22.58, 0.35),
        "signum GI": Published(23.23, 0.16),
        "signum ZI": Published(23.30, 0.25),
    }
)
"""Table 3: moving averages that start at zero or at the first gradient, bias-corrected or not."""

SHARE_OF_GAP = 0.96
"""Of the perplexity from SGD to Adam, what Signum closes (Table 1)."""
SHARE_OF_BUDGET = 0.75
"""Of the tokens, what Adam needs to reach Signum's final perplexity (Figure 1)."""
PRICE_OF_EQUAL_BETAS = 0.3
"""In perplexity: never more, for every β1 at three batch sizes (Figure 3)."""


@dataclass(frozen=True, kw_only=True)
class GpuHours:
    """What one run of the paper took."""

    model: ModelSpec
    sequence_length: int
    tokens: int
    hours: float
    """Of A100s with 80 GB: the hours of the clock times the number of them."""


A100_HOURS = (
    GpuHours(model=SIZES["160M"], sequence_length=2048, tokens=6200 * 256 * 2048, hours=5.83),
    GpuHours(model=SIZES["410M"], sequence_length=2048, tokens=7800 * 512 * 2048, hours=4.83 * 8),
)
"""Section A: 5.83 hours on one for a 160M run, 4.83 hours on eight for one of 410M."""

SEEDS = 3
"""Behind every ±2σ of the three tables."""


def seed_noise() -> dict[str, SeedNoise]:
    """Each method's noise over seeds, from every ±2σ that the tables have of it.

    >>> seed_noise()["adam"].df, round(seed_noise()["adam"].sd, 5)
    (16, 0.00498)
    """
    spreads = {name: [each] for name, each in TABLE1.items()}
    spreads["adam"] += [each for eps, each in TABLE2.items() if eps != 1e-8]
    spreads["adam"] += [TABLE3["adam ZI−BC"], TABLE3["adam GI−BC"]]
    spreads["signum"] += [TABLE3["signum ZI"]]
    return {
        name: pooled([(each.mean, each.two_sigma) for each in found], SEEDS, _source(name, found))
        for name, found in spreads.items()
    }


def _source(method: str, found: Sequence[Published]) -> str:
    rows = "Table 1" if len(found) == 1 else f"{len(found)} rows of Tables 1–3"
    return f"the seed noise of {method} as published (2σ in {rows}, at 160M)"
