"""Several tests at once: p-values that keep the chance of any false alarm at a level."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from descentlab.errors import ConfigError


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values ``[m]``, in the order given.

    With p₍₁₎ ≤ … ≤ p₍ₘ₎, the adjusted p₍ᵢ₎ is ``max over j ≤ i of min(1, (m − j + 1)·p₍ⱼ₎)``.
    Rejecting those at most α keeps the chance of one or more false rejections at α, however
    the tests depend on each other (Holm 1979).

    Args:
        p_values: ``[m]``; an undefined one, of a test that could not be made, counts among the m
            and stays undefined.

    Raises:
        ConfigError: for one outside [0, 1].

    >>> holm([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    given = np.asarray(p_values, dtype=np.float64)
    if given.ndim != 1 or (given < 0).any() or (given > 1).any():
        raise ConfigError(f"p-values: got {given.tolist()}; allowed is a list of numbers in [0, 1]")
    filled = np.where(np.isnan(given), 1.0, given)
    order = np.argsort(filled, kind="stable")
    factors = np.arange(len(given), 0, -1)
    stepped = np.minimum(1.0, np.maximum.accumulate(factors * filled[order]))
    adjusted = np.empty_like(stepped)
    adjusted[order] = stepped
    return np.where(np.isnan(given), np.nan, adjusted)
