"""One optimizer for the hidden matrices and another for everything else, as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

import torch
from torch.optim import Optimizer


class WithRest(Optimizer):
    """Steps two optimizers, the second at its own multiple of the learning rate.

    A learning rate that is set in every group is that of the first. Groups and states are the two
    optimizers' own, the first's first.

    Args:
        first: over some parameters.
        rest: over all others.
        lr_ratio: the second's learning rate over the first's.
    """

    def __init__(self, first: Optimizer, rest: Optimizer, *, lr_ratio: float) -> None:
        super().__init__([*first.param_groups, *rest.param_groups], {})
        self.first, self.rest, self.lr_ratio = first, rest, lr_ratio
        rest.state = first.state  # keyed by parameters, of which none is in both
        self.state = first.state

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient; a closure recomputes the loss first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        rates = [group["lr"] for group in self.rest.param_groups]
        for group, lr in zip(self.rest.param_groups, rates, strict=True):
            group["lr"] = lr * self.lr_ratio
        self.first.step()
        self.rest.step()
        for group, lr in zip(self.rest.param_groups, rates, strict=True):
            group["lr"] = lr
        return loss
