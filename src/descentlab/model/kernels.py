"""How the costly parts of a transformer are computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from descentlab.model.attention import Attend, fused
from descentlab.model.projection import Project, plain


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """The functions that a forward pass calls, and what it keeps for the backward pass."""

    project: Project = plain
    """``x · Wᵀ``."""
    attend: Attend = fused
    states: torch.dtype | None = None
    """Type of the residual stream, to which weights are cast where they are used; the
    weights' own if None."""
    checkpoint: bool = False
    """Keep only what goes into each block, and compute the rest again in the backward pass."""


PLAIN = Kernels()
"""Torch's own, and everything kept."""
