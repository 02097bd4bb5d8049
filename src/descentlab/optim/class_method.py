"""Anybody's optimizer class as the settings of a method; ``any_class`` makes it.

Free of torch until ``build`` or ``canonical`` is called, so that plans stay instant.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from descentlab.config import Decay, Positive
from descentlab.errors import ConfigError
from descentlab.optim.method import Method

if TYPE_CHECKING:
    import torch


class Rest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Adam with one β, for the parameters that a class for matrices is not to train."""

    lr_ratio: Positive = 1.0
    """Its learning rate over that of the class."""
    beta: Decay = 0.95
    """Decay of both its averages."""
    names: tuple[str, ...] = ("embedding.*", "head.*")
    """Patterns of matrices that it trains, beside every parameter that is none."""


class ClassMethod(Method, frozen=True, kw_only=True, tag="class"):
    """Anybody's ``torch.optim.Optimizer``, by the name of its class.

    One ``beta`` gives the constructor ``betas=(β, β)``, ``beta1`` and ``beta2`` give it the two.
    """

    path: str = msgspec.field(name="class")
    """``pkg.mod:Class``, or ``file.py:Class``."""
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    """For its constructor."""
    beta: Decay | None = None
    """For both of the constructor's ``betas``."""
    beta1: Decay | None = None
    """For the first of its ``betas``, with ``beta2``."""
    beta2: Decay | None = None
    """For the second."""
    rest: Rest | None = None
    """Given, the class trains the hidden matrices alone; left out, it trains everything."""
    code: str | None = None
    """What its code was when the run was planned: ``fingerprint`` says it, nobody writes it."""
    folder: str | None = None
    """Where its module lies, if that is no installed one; found when the run is planned."""

    def __post_init__(self) -> None:
        own = {"lr", "weight_decay", "params"} & self.arguments.keys()
        if own:
            name = min(own)
            raise ConfigError(f"arguments.{name}: belongs into the table above, as {name}")
        decays = (self.beta, self.beta1, self.beta2)
        if decays != (None, None, None):
            pair = None not in decays[1:] if self.beta is None else decays[1:] == (None, None)
            if not pair or "betas" in self.arguments:
                raise ConfigError("give beta, or both beta1 and beta2, or arguments.betas")

    @property
    def keywords(self) -> dict[str, Any]:
        """The constructor's arguments but for the learning rate, lists as tuples."""
        given = {
            name: tuple(each) if isinstance(each, list) else each
            for name, each in sorted(self.arguments.items())
        }
        if self.beta is not None:
            given["betas"] = (self.beta, self.beta)
        elif self.beta1 is not None:
            given["betas"] = (self.beta1, self.beta2)
        return given

    def build(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        from descentlab.optim.any_class import build

        return build(self, groups)

    def canonical(self) -> Method:
        from descentlab.optim.fingerprint import fingerprint
        from descentlab.optim.plugins import load_class, module_path

        code = self.code or fingerprint(load_class(self.path, folder=self.folder))
        return replace(
            self,
            path=module_path(self.path),
            arguments=self.keywords,
            beta=None,
            beta1=None,
            beta2=None,
            code=code,
            folder=None,
        )
