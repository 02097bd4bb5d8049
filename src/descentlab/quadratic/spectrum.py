"""Which quadratic: the eigenvalues of its Hessian, block by block.

The paper's two problems (Section 5) have the same nine eigenvalues. The heterogeneous one
keeps alike eigenvalues in one block, so that blocks differ; the homogeneous one spreads them,
so that all blocks look alike.
"""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec

from descentlab.config import build, read_toml, shown
from descentlab.errors import ConfigError, nearest


class Spectrum(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Eigenvalues of the diagonal blocks of a Hessian.

    Raises:
        ConfigError: without blocks, for a block without eigenvalues, for an eigenvalue that is
            negative or not finite, or if none is positive.

    >>> Spectrum(name="plane", blocks=((1.0,), (2.0, 3.0))).dimensions
    3
    """

    name: str
    blocks: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if not self.blocks or not all(self.blocks):
            raise ConfigError(
                f"blocks: got {shown(self.blocks)}; give at least one block, "
                "each with at least one eigenvalue"
            )
        for value in (each for block in self.blocks for each in block):
            if not 0 <= value < 1e12:  # also refuses nan
                raise ConfigError(f"blocks: got the eigenvalue {value}; allowed are [0, 1e12)")
        if not any(value > 0 for block in self.blocks for value in block):
            raise ConfigError("blocks: all eigenvalues are zero; at least one must be positive")

    @property
    def dimensions(self) -> int:
        """D, the number of eigenvalues."""
        return sum(map(len, self.blocks))


HETEROGENEOUS = Spectrum(
    name="heterogeneous", blocks=((1, 2, 3), (99, 100, 101), (4998, 4999, 5000))
)
HOMOGENEOUS = Spectrum(name="homogeneous", blocks=((1, 99, 4998), (2, 100, 4999), (3, 101, 5000)))

PRESETS = {each.name: each for each in (HETEROGENEOUS, HOMOGENEOUS)}


def spectrum_from(text: str) -> Spectrum:
    """Read a problem: a preset's name, a TOML file with ``blocks``, or blocks as a list of lists.

    Args:
        text: ``heterogeneous``, ``problem.toml`` or ``[[1, 2], [100, 200]]``.

    Raises:
        ConfigError: if it is none of them, with the nearest preset, or not allowed.

    >>> spectrum_from("[[1, 2], [100]]").blocks
    ((1.0, 2.0), (100.0,))
    """
    if text in PRESETS:
        return PRESETS[text]
    if text.endswith(".toml"):
        return build(Spectrum, {"name": Path(text).stem, **read_toml(Path(text))}, where=text)
    if not text.startswith("["):
        hint = nearest(text, PRESETS)
        raise ConfigError(
            f"problem: got {text!r}; {hint}; or a TOML file, or eigenvalues as in [[1,2],[100,200]]"
        )
    try:
        blocks = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise ConfigError(
            f"problem: got {shown(text)}; write eigenvalues by block, as in [[1,2],[100,200]]"
        ) from None
    return build(Spectrum, {"name": text.replace(" ", ""), "blocks": blocks}, where="problem")
