"""Shadow optimizers: other rules on the gradients of a run, without a say in its weights.

A shadow is an ordinary optimizer over parameters of its own, which are all zero and step
with η=1 and no decay. Set to zero before a step, they hold ``−d`` after it. Its state is
that of an optimizer which was fed the same raw gradients and clips them as it is told to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import torch
from torch import Tensor, nn

from descentlab.optim.methods import Method


class Shadow:
    """One method beside the run's own.

    Args:
        method: its learning rate and weight decay play no part in its direction.
        parameters: of the run; only their shapes and gradients are read.
    """

    def __init__(self, method: Method, parameters: Sequence[nn.Parameter]) -> None:
        self.method = method.canonical()  # equal runs have equal shadows, however spelt
        self._parameters = parameters
        self._own = [torch.zeros_like(each, requires_grad=False) for each in parameters]
        limit = self.method.clip_norm
        self._optimizer = self.method.build(
            [
                {
                    "params": self._own,
                    "lr": 1.0,
                    "weight_decay": 0.0,
                    "clip_norm": None if limit == "none" else limit,
                }
            ]
        )

    def optimizer(
        self, names: Mapping[Tensor, str]
    ) -> tuple[torch.optim.Optimizer, Mapping[Tensor, str]]:
        """The optimizer, and its parameters under the names of the run's."""
        pairs = zip(self._own, self._parameters, strict=True)
        return self._optimizer, {own: names[parameter] for own, parameter in pairs}

    def step(self) -> None:
        """Take in the gradients that the run's parameters hold."""
        for own, parameter in zip(self._own, self._parameters, strict=True):
            own.grad = parameter.grad
        self._optimizer.step()
        self._optimizer.zero_grad()

    def directions(self) -> dict[nn.Parameter, Tensor]:
        """Take in the gradients, and return the direction of that step by parameter.

        Call it instead of ``step``; what it returns lasts until the next call of either.
        """
        for own in self._own:
            own.zero_()
        self.step()
        return {
            parameter: own.neg_()
            for parameter, own in zip(self._parameters, self._own, strict=True)
        }


def labels(methods: Sequence[Method]) -> list[str]:
    """Name methods by their decays, and those that share a name by their place as well.

    >>> from descentlab.optim.methods import AdamMethod, SignSGDMethod
    >>> labels([AdamMethod(lr=1, beta=0.9), SignSGDMethod(lr=1), SignSGDMethod(lr=2)])
    ['adam beta=0.9', 'signsgd', 'signsgd #3']
    """
    names: list[str] = []
    for place, method in enumerate(methods, start=1):
        settings = msgspec.to_builtins(method.canonical())
        decays = {key: settings[key] for key in ("beta", "beta1", "beta2") if key in settings}
        given = {key: decay for key, decay in decays.items() if decay is not None}
        if len(given) == 2 and given["beta1"] == given["beta2"]:
            given = {"beta": given["beta1"]}
        name = " ".join([settings["method"], *(f"{key}={given[key]:g}" for key in given)])
        names.append(f"{name} #{place}" if name in names else name)
    return names
