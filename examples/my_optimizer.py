"""An optimizer of one's own, with what it has to tune: Lion, for ``descent compare``.

Try it, from this folder:

    descent compare adam torch.optim.Muon my_optimizer.py:Lion --scale tiny
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Lion(torch.optim.Optimizer):
    """Lion (Chen et al. 2023, https://arxiv.org/abs/2302.06675, Algorithm 2).

    With gradient g, momentum m, learning rate η and decoupled weight decay λ,

        w ← w - η·(sign(β1·m + (1 - β1)·g) + λ·w)
        m ← β2·m + (1 - β2)·g

    Args:
        params: parameters, or groups of them.
        lr: η; a third to a tenth of AdamW's.
        betas: β1 of the step and β2 of the momentum.
        weight_decay: λ.
    """

    search_space = {  # noqa: RUF012 read, never written
        "optimizer": {"weight_decay": 0.1},
        "axes": {
            "lr": {"powers_of_two": [-2, 2], "times": 2e-3},
            "beta": [0, {"halving_one_minus": [0.6, 0.9]}, 0.95],
        },
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        if lr < 0:
            raise ValueError(f"lr: got {lr}; allowed are numbers from 0 on")
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"]
                direction = torch.lerp(parameter.grad, momentum, beta1).sign_()
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction, alpha=-group["lr"])
                momentum.lerp_(parameter.grad, 1 - beta2)
        return loss
