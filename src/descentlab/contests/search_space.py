"""What a candidate has to tune: said by its author, or found in its constructor's signature.

An author says it in a class attribute ``search_space``, or in a TOML file that names the class::

    name = "lion"                        # in tables; the class's name if left out
    optimizer = { method = "class", class = "my_optimizer.py:Lion", weight_decay = 0.1 }
    [axes]
    lr = { powers_of_two = [-3, 1], times = 1e-3 }
    beta1 = { halving_one_minus = [0.6, 0.9] }

``optimizer`` has what a run's table of that name may have, and ``axes`` the settings of it that
are tuned, with values as a study writes them. In a class attribute ``method`` and ``class`` are
left out, as they are known. A setting that the table lacks is an argument of the constructor.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from descentlab.config import build, read_toml, shown
from descentlab.errors import ConfigError
from descentlab.optim.class_method import ClassMethod, Rest
from descentlab.sweep.axes import values_of
from descentlab.sweep.tuning import Axis, Decays, Geometric, rounded

Name = Annotated[str, msgspec.Meta(pattern=r"^[\w.+=,() -]{1,40}$")]
ATTRIBUTE = "search_space"
DECAYS = ("betas", "beta", "beta1", "alpha", "momentum")
"""Arguments that hold decays of moving averages; the first that a constructor has is tuned."""
FEW = 12
"""Cells up to which a learning rate alone is tried at ratios of √2, not of its root."""


class SearchSpace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is fixed of a candidate, and what is tuned."""

    name: Name | None = None
    optimizer: dict[str, Any] = {}
    axes: dict[str, Any] = {}
    matrices_only: bool | None = None
    """Whether the class trains the hidden matrices alone; found out if left out."""
    rest: Rest | None = None
    """What trains the other parameters then."""

    def over(self, below: SearchSpace) -> SearchSpace:
        """What is said here, and below where nothing is."""
        said = {name: it for name, it in msgspec.structs.asdict(self).items() if it is not None}
        merged = {**msgspec.structs.asdict(below), **said}
        merged["optimizer"] = _merged(below.optimizer, self.optimizer)
        merged["axes"] = self.axes or below.axes
        return SearchSpace(**merged)


@dataclass(frozen=True)
class Grid:
    """How fine a search is to begin with: the same for every candidate."""

    rates: int
    """Learning rates."""
    decays: tuple[float, ...]

    @property
    def cells(self) -> int:
        return self.rates * len(self.decays)

    def around(self, centre: float, *, alone: bool) -> Geometric:
        """Learning rates that double around a centre; many and closer if nothing else is tuned."""
        count, each = (self.cells, 2 if self.cells <= FEW else 4) if alone else (self.rates, 1)
        first = -(count // 2)
        values = [rounded(centre * 2 ** (place / each)) for place in range(first, first + count)]
        return Geometric("lr", values)


def from_file(path: Path) -> SearchSpace:
    """Read a candidate's TOML file.

    Raises:
        ConfigError: if it cannot be read, or says what is not allowed.
    """
    space = build(SearchSpace, read_toml(path), where=str(path))
    if "method" not in space.optimizer:
        raise ConfigError(
            f'{path}: optimizer.method is missing; write optimizer = {{ method = "class", '
            'class = "file.py:Class" }, or a method of ours'
        )
    return space


def declared(kind: type) -> SearchSpace:
    """What a class says of itself.

    Raises:
        ConfigError: if its attribute says what is not allowed.
    """
    said = getattr(kind, ATTRIBUTE, None)
    if said is None:
        return SearchSpace()
    where = f"{kind.__module__}:{kind.__name__}.{ATTRIBUTE}"
    if not isinstance(said, SearchSpace | Mapping):
        raise ConfigError(f"{where}: got {shown(said)}; give a dict as docs/compare.md shows")
    return said if isinstance(said, SearchSpace) else build(SearchSpace, dict(said), where=where)


def axes_of(said: Mapping[str, Any], kind: type[msgspec.Struct], where: str) -> list[Axis]:
    """The axes that an author gives, the learning rate first if it is among them.

    Args:
        said: values by setting of the table ``optimizer``, or by argument of the constructor.
        kind: the struct of that table.
        where: who says it.

    Raises:
        ConfigError: for values that no axis can have.
    """
    axes = [
        _axis(_setting(name, kind), values_of(each, f"{where}: axes.{name}"), where)
        for name, each in said.items()
    ]
    return sorted(axes, key=lambda axis: axis.name != "lr")


def decay_axis(kind: type, given: Mapping[str, Any], decays: Sequence[float]) -> Axis | None:
    """The axis of the decay that a constructor has, unless its value is given.

    ``betas`` get one value for both, as the paper finds that the best are nearly equal.
    """
    known = inspect.signature(kind.__init__).parameters
    for name in DECAYS:
        default = known[name].default if name in known else None
        if name == "betas" and isinstance(default, tuple | list) and len(default) == 2:
            return None if {"betas", "beta"} & given.keys() else Decays("beta", list(decays))
        if isinstance(default, int | float) and 0 <= default < 1:
            return None if name in given else Decays(f"arguments.{name}", list(decays))
    return None


def default_lr(kind: type) -> float:
    """The learning rate that a constructor has by default; 0.001 where it asks for one."""
    default = inspect.signature(kind.__init__).parameters["lr"].default
    return float(default) if isinstance(default, int | float) and default > 0 else 1e-3


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {**below.get("arguments", {}), **above.get("arguments", {})}
    return {**below, **above, **({"arguments": arguments} if arguments else {})}


def _setting(name: str, kind: type[msgspec.Struct]) -> str:
    """The dotted key of what an axis names."""
    fields = {each.encode_name for each in msgspec.structs.fields(kind)}
    own = name.partition(".")[0] in fields or not issubclass(kind, ClassMethod)
    return name if own else f"arguments.{name}"


def _axis(name: str, values: list[Any], where: str) -> Axis:
    numbers = [float(each) for each in values if isinstance(each, int | float)]
    place = f"{where}: axes.{name.removeprefix('arguments.')}"
    if len(numbers) < len(values) or len(numbers) < 2 or sorted({*numbers}) != numbers:
        raise ConfigError(f"{place}: got {shown(values)}; give two or more numbers in rising order")
    last = name.rpartition(".")[2]
    if last.startswith("beta") or last in DECAYS:
        if not (numbers[0] >= 0 and numbers[-1] < 1):
            raise ConfigError(f"{place}: got {shown(values)}; decays lie in [0, 1)")
        return Decays(name, numbers)
    if numbers[0] <= 0:
        raise ConfigError(
            f"{place}: got {shown(values)}; give numbers above 0, at equal ratios, since the "
            "search goes on beyond an edge by a ratio"
        )
    return Geometric(name, numbers)
