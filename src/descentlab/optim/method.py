"""What every method of a run has: a learning rate, weight decay, clipping, one spelling.

Free of torch until ``build`` is called, so that plans stay instant.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from descentlab.config import NonNegative, Positive

if TYPE_CHECKING:
    import torch

Limit = Positive | Literal["none"]
"""A clipping threshold, or none at all."""


class Method(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="method"
):
    """What every method has: a peak learning rate, decoupled weight decay and clipping.

    ``clip_norm`` limits the global norm of the raw gradient, before anything else.
    """

    lr: Positive
    """Peak learning rate; the schedule multiplies it."""
    weight_decay: NonNegative = 0.1
    """λ: weights shrink by lr·λ at each step, norms excepted."""
    clip_norm: Limit = 1.0
    """Largest global norm of the raw gradient; ``"none"`` for no limit."""

    @abstractmethod
    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        """Make the optimizer over parameter groups that carry their own weight decay."""

    def canonical(self) -> Method:
        """Return the one way in which all spellings of this method are stored."""
        return self

    def identity(self) -> dict[str, Any]:
        """The canonical form as plain data: what decides a run's result."""
        found = msgspec.to_builtins(self.canonical())
        # Left out where it is what it always was, so that ids stay as they were.
        if found.get("decay") == "decoupled":
            del found["decay"]
        return found
