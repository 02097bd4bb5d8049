"""The schedulers by the names that a study and the command line use."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from descentlab.errors import ConfigError, nearest
from descentlab.sweep.racing.asha import ASHA
from descentlab.sweep.racing.full_grid import FullGrid
from descentlab.sweep.racing.median import Median
from descentlab.sweep.racing.racing import Racing
from descentlab.sweep.racing.random_search import RandomSearch
from descentlab.sweep.racing.scheduler import Scheduler
from descentlab.sweep.racing.successive_halving import SuccessiveHalving

SCHEDULERS: Mapping[str, type[Scheduler]] = MappingProxyType(
    {each.name: each for each in (Racing, SuccessiveHalving, ASHA, Median, RandomSearch, FullGrid)}
)


def scheduler_named(name: str) -> type[Scheduler]:
    """The class of a scheduler.

    Raises:
        ConfigError: for a name that none has.

    >>> scheduler_named("racing").__name__
    'Racing'
    """
    if name not in SCHEDULERS:
        raise ConfigError(f"no racing is called {name!r}; {nearest(name, SCHEDULERS)}")
    return SCHEDULERS[name]
