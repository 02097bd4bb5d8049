"""Numbers printed in the paper, to stand beside ours."""

from __future__ import annotations

from types import MappingProxyType

from descentlab.analysis.comparison import Published

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
        1e-12: Published(21.89, 0.2),
        1e-15: Published(21.91, 0.18),
    }
)
"""Table 2: validation perplexity of adam by its ε, at the best learning rate and β."""

TABLE3 = MappingProxyType(
    {
        ("adam", "zero", True): Published(21.86, 0.21),
        ("adam", "zero", False): Published(21.89, 0.16),
        ("adam", "gradient", False): Published(22.58, 0.35),
        ("signum", "gradient", False): Published(23.23, 0.16),
        ("signum", "zero", False): Published(23.30, 0.25),
    }
)
"""Table 3: by method, start of its averages, and whether their bias is corrected."""

SHARE_OF_GAP = 0.96
"""Of the perplexity from SGD to Adam, what Signum closes (Table 1)."""
SHARE_OF_BUDGET = 0.75
"""Of the tokens, what Adam needs to reach Signum's final perplexity (Figure 1)."""
PRICE_OF_EQUAL_BETAS = 0.3
"""In perplexity: never more, for every β1 at three batch sizes (Figure 3)."""
