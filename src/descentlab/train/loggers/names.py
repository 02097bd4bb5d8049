"""The loggers that a spec may name, and the packages that they need. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Literal, get_args

from descentlab.errors import ConfigError

Name = Literal["tensorboard", "wandb"]
NAMES: tuple[Name, ...] = get_args(Name)
PACKAGES: dict[Name, str] = {"tensorboard": "tensorboardX", "wandb": "wandb"}
"""Each comes with the extra of the logger's name."""


def require(names: Iterable[Name]) -> None:
    """Refuse loggers that cannot work here, without importing their packages.

    Raises:
        ConfigError: saying what to install.
    """
    for name in names:
        if find_spec(PACKAGES[name]) is None:
            raise ConfigError(
                f"execution.loggers: {name} needs the package {PACKAGES[name]}; "
                f"pip install 'descentlab[{name}]'"
            )
