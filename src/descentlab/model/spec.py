"""What a transformer is made of, its named sizes, and how many parameters that makes.

Free of torch, so that plans and listings can count parameters at once.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import ClassVar

import msgspec

from descentlab.config import Fraction, NonNegative, Positive, PositiveInt
from descentlab.errors import ConfigError, nearest


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decoder-only transformer of the paper (Section A).

    Raises:
        ConfigError: if the width does not divide into heads, or the heads are too
            narrow for the rotated fraction.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("size",)
    """Keys of a spec file that stand for settings of this table."""

    layers: PositiveInt
    """Blocks of attention and gated unit."""
    heads: PositiveInt
    """Heads of attention in each block; they have to divide the width."""
    width: PositiveInt
    """Size of the residual stream."""
    vocabulary: PositiveInt = 50_280
    """Rows of the embedding and of the head: at least as many as the tokenizer has ids."""
    hidden_multiple: PositiveInt = 256
    """The hidden size of the gated unit, 8/3 of the width, is rounded up to a multiple of this."""
    rope_fraction: Fraction = 1.0
    """Share of each head that rotates: 1 in the public trainer, 0.25 in the paper's text."""
    rope_base: Positive = 500_000.0
    """θ of the rotary positions: pair i of d rotates by position·θ^(−2i/d)."""
    norm_eps: NonNegative = 1e-6
    """Added to the mean square under the root of every norm."""
    init_std: Positive = 0.02
    """Standard deviation of every weight matrix; output projections divide it by sqrt(2·layers)."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(
                f"width: got {self.width}, which {self.heads} heads do not divide; "
                f"allowed are multiples of {self.heads}"
            )
        if self.rotated % 2:
            raise ConfigError(
                f"rope_fraction: {self.rope_fraction} of a head of {self.head_width} "
                f"rotates {self.rotated} dimensions, which do not form pairs; "
                "choose a fraction that gives an even number"
            )

    @property
    def head_width(self) -> int:
        """Dimensions of each head."""
        return self.width // self.heads

    @property
    def rotated(self) -> int:
        """How many dimensions of each head rotate."""
        return int(self.rope_fraction * self.head_width)

    @property
    def hidden(self) -> int:
        """Hidden size of the gated linear unit: 2048 at width 768, 2816 at width 1024."""
        multiple = self.hidden_multiple
        return multiple * math.ceil(int(8 / 3 * self.width) / multiple)

    @property
    def parameters_without_embeddings(self) -> int:
        """Weights of the blocks and norms: neither the embedding nor the head."""
        attention = 4 * self.width**2
        gated_unit = 3 * self.width * self.hidden
        norms = 2 * self.width
        return self.layers * (attention + gated_unit + norms) + self.width

    @property
    def parameters(self) -> int:
        """All weights; embedding and head are untied."""
        return self.parameters_without_embeddings + 2 * self.vocabulary * self.width

    def training_flops(self, length: int) -> int:
        """Floating-point operations to train on one token of a sequence of ``length``.

            6·N + 12·layers·width·length

        Two for each weight in the forward pass and four in the backward pass (Kaplan et al.
        2020, Section 2.1), where N leaves out the embedding, which is looked up; and the
        products of attention over all pairs of positions, causal or not (Chowdhery et al.
        2022, PaLM, Appendix B).
        """
        weights = self.parameters - self.vocabulary * self.width
        return 6 * weights + 12 * self.layers * self.width * length

    @property
    def expected_first_loss(self) -> float:
        """Cross-entropy before training, in nats: ``ln V + width·init_std²/2``.

        The last norm gives the head unit-variance inputs, so logits are normal with
        variance ``width·init_std²``, whose log-sum-exp exceeds the mean by half of it.
        """
        return math.log(self.vocabulary) + self.width * self.init_std**2 / 2


SIZES = MappingProxyType(
    {
        "tiny": ModelSpec(layers=1, heads=2, width=32, vocabulary=257, hidden_multiple=32),
        "laptop": ModelSpec(layers=2, heads=2, width=48, vocabulary=1024, hidden_multiple=32),
        "14M": ModelSpec(layers=6, heads=6, width=384, vocabulary=4096, hidden_multiple=64),
        "53M": ModelSpec(layers=12, heads=9, width=576, vocabulary=4096, hidden_multiple=64),
        "160M": ModelSpec(layers=12, heads=12, width=768),
        "410M": ModelSpec(layers=24, heads=16, width=1024),
    }
)
"""Models by name, from a laptop's test to the paper's two."""


def named(size: str) -> ModelSpec:
    """Return the model called ``size``.

    Raises:
        ConfigError: if there is none of that name.

    >>> named("160M").parameters
    162183936
    """
    if size not in SIZES:
        raise ConfigError(f"model.size: no size is called {size!r}; {nearest(size, SIZES)}")
    return SIZES[size]
