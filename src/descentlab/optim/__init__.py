"""Update rules, one file each, and their optimizers for anyone's training.

>>> import torch
>>> from descentlab.optim import Adam
>>> model = torch.nn.Linear(8, 8)
>>> optimizer = Adam(model.parameters(), lr=8e-3, beta=0.95)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from descentlab.optim.adam import Adam
    from descentlab.optim.constant_variance import ConstantVariance
    from descentlab.optim.emasign import EMASign
    from descentlab.optim.groups import GroupRule, parameter_groups
    from descentlab.optim.rmsprop import RMSprop
    from descentlab.optim.sgd import SGD
    from descentlab.optim.signsgd import SignSGD
    from descentlab.optim.signum import Signum

__all__ = [
    "SGD",
    "Adam",
    "ConstantVariance",
    "EMASign",
    "GroupRule",
    "RMSprop",
    "SignSGD",
    "Signum",
    "parameter_groups",
]


FOR_GROUPS = ("GroupRule", "parameter_groups")
"""Names that are no optimizers."""

_FILES = {"ConstantVariance": "constant_variance", **dict.fromkeys(FOR_GROUPS, "groups")}
"""Where a name is not that of its file."""


def __getattr__(name: str) -> object:
    """Load what is asked for when it is first asked for, so that torch is not before."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    file = _FILES.get(name, name.lower())
    return getattr(importlib.import_module(f"{__name__}.{file}"), name)
