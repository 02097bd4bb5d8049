"""Which diagnostics a run writes beside its metrics; they change nothing that it computes."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from descentlab.config import NonNegativeInt, PositiveInt
from descentlab.errors import ConfigError
from descentlab.optim.methods import AnyMethod


class ProbeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often to look into the optimizer, and what to compare it with."""

    every: PositiveInt = 20
    """Steps between looks at the optimizer's state and direction; one costs half a step or less."""
    by: Literal["block", "parameter"] = "block"
    """Whether the parameters of a kind are looked at together, or each alone."""
    noise_batches: NonNegativeInt = 0
    """Batches to measure the gradient's variance over, 2 or more; 0 measures nothing."""
    noise_every: PositiveInt = 200
    """Steps between such measurements; each costs as many gradients as it has batches."""
    shadows: tuple[AnyMethod, ...] = ()
    """Methods that see every gradient of the run and never change a weight."""

    def __post_init__(self) -> None:
        if self.noise_batches == 1:
            raise ConfigError("noise_batches: one batch has no variance; give 2 or more, or 0")

    def check_steps(self, steps: int) -> None:
        """Refuse intervals that a run of so many steps never comes to.

        Raises:
            ConfigError: naming the interval.
        """
        used = {"every": self.every}
        if self.noise_batches:
            used["noise_every"] = self.noise_every
        for name, interval in used.items():
            if interval > steps:
                raise ConfigError(
                    f"probes.{name}: step {interval} never comes in a run of {steps} steps; "
                    f"give at most {steps}"
                )

    def canonical(self) -> dict[str, Any]:
        """The settings that decide what is recorded, each shadow in its one spelling.

        >>> ProbeSpec(noise_every=7).canonical()
        {'every': 20, 'noise': None, 'shadows': []}
        """
        noise = {"batches": self.noise_batches, "every": self.noise_every}
        settings = {
            "every": self.every,
            "noise": noise if self.noise_batches else None,
            "shadows": [each.identity() for each in self.shadows],
        }
        # Left out where it is what it always was, so that ids stay as they were.
        return settings | ({"by": self.by} if self.by != "block" else {})
