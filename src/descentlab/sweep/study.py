"""A study: settings of a run, and axes along which some of them vary, by method if need be."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from descentlab.config import NonNegativeInt, build, set_path, shown
from descentlab.errors import ConfigError, SettingError
from descentlab.sweep.axes import LARGEST, values_of
from descentlab.sweep.racing.names import Name

Axes = dict[str, list[Any]]
"""By dotted key of a setting, the values that it takes."""

SEED = "seed"
NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}"
"""Of a method."""


class Method(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one of a study's methods has of its own."""

    optimizer: dict[str, Any] = {}
    """Fixed settings of that table, on top of the study's."""
    axes: Axes = {}
    """Axes that this method alone has."""
    zip: list[Axes] = []
    """Groups of settings that vary together, for this method alone."""


@dataclass(frozen=True)
class Point:
    """One run of a study: its method, if the study has some, and the settings that vary."""

    method: str | None
    values: Mapping[str, Any]

    @property
    def label(self) -> str:
        """As a person would write it.

        >>> Point("adam", {"optimizer.lr": 0.008, "seed": 1}).label
        'adam lr=0.008 seed=1'
        """
        return " ".join(filter(None, [self.method, label(self.values)]))


class Study(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run's settings, and what varies.

    For each method, its points are the product of the study's axes, the study's groups of
    axes that vary together, the method's own of both, and the seeds; the last varies fastest.

    Raises:
        ConfigError: for an axis without values or with one twice, a setting that varies in two
            places, or too many runs.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """What it is called in the store: letters, digits, dots, dashes and underscores."""
    run: dict[str, Any]
    """Settings that all runs share, in tables as in a spec file."""
    axes: Axes = {}
    """What varies: the values of each setting, by its dotted key."""
    zip: list[Axes] = []
    """Groups of settings that vary together: the first values of all, the second of all, …"""
    methods: dict[str, Method] = {}
    """What is compared; each method has the study's axes and its own."""
    seeds: list[NonNegativeInt] = []
    """Each setting runs with each of them; with the run's own if there are none."""
    racing: Name = "none"
    """Who decides which runs train on; every run is trained to its end if nobody does."""

    def __post_init__(self) -> None:
        count = 0
        for name in self.methods or [None]:
            count += self._check(name)
        if count > LARGEST:
            raise ConfigError(f"axes: ask for {count:,} runs; at most {LARGEST:,} are allowed")

    def points(self) -> list[Point]:
        """Every run, method by method."""
        return [
            Point(name, {key: value for values in chosen for key, value in values.items()})
            for name in self.methods or [None]
            for chosen in itertools.product(*self._choices(name))
        ]

    def settings(self) -> list[dict[str, Any]]:
        """The settings of every run, in the order of ``points``."""
        return [self.settings_of(point) for point in self.points()]

    def settings_of(self, point: Point) -> dict[str, Any]:
        """The settings of one run, in tables."""
        shared = self.run
        if point.method is not None and (own := self.methods[point.method].optimizer):
            common = self.run.get("optimizer", {})
            if isinstance(common, Mapping):  # else it is refused when the run is built
                shared = {**self.run, "optimizer": {**common, **own}}
        return place(shared, point.values)

    def place_of(self, method: str | None, key: str) -> str:
        """Where in the study the setting ``key`` of a method's runs comes from.

        >>> study = Study(name="s", run={"seed": 1}, axes={"optimizer.lr": [0.1]})
        >>> study.place_of(None, "optimizer.lr"), study.place_of(None, "seed")
        ('axes.optimizer.lr', 'run.seed')
        """
        varied = [place for place, name, _ in self._varied(method) if name == key]
        # An axis may also have made the table that is not known.
        varied += [
            place
            for place, name, _ in self._varied(method)
            if name.startswith(f"{key}.") and key not in self.run
        ]
        if varied:
            return varied[0]
        own = self.methods[method].optimizer if method is not None else {}
        if key.startswith("optimizer.") and key.split(".")[1] in own:
            return f"methods.{method}.{key}"
        return f"run.{key}" if key else "run"

    def overridden(self) -> list[str]:
        """Settings that ``run`` fixes and that vary all the same, so that no run has them."""
        keys = {key for name in self.methods or [None] for _, key, _ in self._varied(name)}
        return sorted(key for key in keys if _has(self.run, key))

    def axes_of(self, method: str | None) -> dict[str, list[Any]]:
        """What each setting that varies takes in a method's runs, the seed left out."""
        return {key: values for _, key, values in self._varied(method) if key != SEED}

    def seeds_of(self, method: str | None) -> list[int]:
        """The seeds that each setting of a method runs with."""
        varied = [values for _, key, values in self._varied(method) if key == SEED]
        return varied[0] if varied else [self.run.get(SEED, 0)]

    def _groups(self, name: str | None) -> Iterator[tuple[str, Axes]]:
        """Where the axes of a method stand; those of one group vary together."""
        yield from ((f"axes.{key}", {key: values}) for key, values in self.axes.items())
        yield from ((f"zip[{n}]", group) for n, group in enumerate(self.zip))
        if name is not None:
            method, where = self.methods[name], f"methods.{name}"
            yield from ((f"{where}.axes.{key}", {key: each}) for key, each in method.axes.items())
            yield from ((f"{where}.zip[{n}]", group) for n, group in enumerate(method.zip))
        if self.seeds:
            yield "seeds", {SEED: self.seeds}

    def _varied(self, name: str | None) -> Iterator[tuple[str, str, list[Any]]]:
        """Every setting that varies: where, its key, its values."""
        for where, group in self._groups(name):
            for key, values in group.items():
                yield f"{where}.{key}" if where.endswith("]") else where, key, values

    def _choices(self, name: str | None) -> list[list[dict[str, Any]]]:
        """For each group, the settings to choose one of."""
        return [
            [dict(zip(group, values, strict=True)) for values in zip(*group.values(), strict=True)]
            for _, group in self._groups(name)
        ]

    def _check(self, name: str | None) -> int:
        """Refuse axes that make no sense, and return the number of a method's runs."""
        self._check_places(name)
        for where, group in self._groups(name):
            lengths = {len(values) for values in group.values()}
            if not lengths:
                raise ConfigError(f"{where}: has no settings; give some that vary together")
            if 0 in lengths:
                raise ConfigError(f"{where}: has no values; give at least one")
            if len(lengths) > 1:
                counts = " and ".join(f"{len(each)} of {key}" for key, each in group.items())
                raise ConfigError(f"{where}: has {counts}; give as many values of each")
            _refuse_twice(where, list(zip(*group.values(), strict=True)))
        sizes = [len(next(iter(group.values()))) for _, group in self._groups(name)]
        return math.prod(sizes)

    def _check_places(self, name: str | None) -> None:
        """Refuse a setting that varies in two places, or that a method fixes as well."""
        known: dict[str, str] = {}
        for where, key, _ in self._varied(name):
            if key in known:
                raise ConfigError(f"{where}: {known[key]} varies it too; keep one of them")
            known[key] = where
        for key, where in known.items():
            names = key.split(".")
            for length in range(1, len(names)):
                if (table := known.get(".".join(names[:length]))) is not None:
                    raise ConfigError(f"{where}: {table} varies the whole table; keep one of them")
        if name is not None:
            for key in self.methods[name].optimizer:
                if (where := known.get(f"optimizer.{key}")) is not None:
                    raise ConfigError(
                        f"methods.{name}.optimizer.{key}: {where} varies it; keep one of them"
                    )


def study_from(settings: Mapping[str, Any], *, where: str) -> Study:
    """Build a study from plain settings, as TOML gives them.

    ``seeds`` may be a number n for the seeds 0 to n−1, and axes may be ranges (``axes``).

    Raises:
        ConfigError: naming the place, what was given and what is allowed.
    """
    study = _expanded(settings, f"{where}: ")
    if isinstance(methods := settings.get("methods"), Mapping):
        if not methods:
            raise ConfigError(f"{where}: methods: names no method; give one, or leave it out")
        study["methods"] = {name: _method(method, name, where) for name, method in methods.items()}
    seeds = settings.get("seeds")
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= LARGEST:
            raise ConfigError(
                f"{where}: seeds: got {shown(seeds)}; give how many there are, 1 to {LARGEST:,}, "
                "or a list of them"
            )
        study["seeds"] = list(range(seeds))
    if seeds == []:
        raise ConfigError(f"{where}: seeds: has no values; give at least one")
    return build(Study, study, where=where)


def _method(given: object, name: str, where: str) -> object:
    """A method with its ranges as lists, checked here so that an error says whose it is."""
    place = f"methods.{name}"
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            f"{where}: methods: no method can be called {shown(name)}; a name has up to 100 "
            "letters, digits and . _ + -"
        )
    method = _expanded(given, f"{where}: {place}.") if isinstance(given, Mapping) else given
    try:
        build(Method, method, where=where)
    except SettingError as error:
        key = f"{place}.{error.key}".rstrip(".")
        raise SettingError(where, key, error.problem) from None
    return method


def _expanded(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A study, or a method, with lists in place of ranges."""
    result = dict(part)
    if isinstance(axes := part.get("axes"), Mapping):
        result["axes"] = _lists(axes, f"{where}axes")
    if isinstance(groups := part.get("zip"), list):
        result["zip"] = [
            _lists(each, f"{where}zip[{n}]") if isinstance(each, Mapping) else each
            for n, each in enumerate(groups)
        ]
    return result


def _lists(axes: Mapping[str, Any], where: str) -> Axes:
    for key in axes:
        if not all(key.split(".")):
            raise ConfigError(f'{where}: {key!r} is no setting; write one as in "optimizer.lr"')
    return {key: values_of(given, f"{where}.{key}") for key, given in axes.items()}


def _refuse_twice(where: str, rows: list[tuple[Any, ...]]) -> None:
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        known = tuple(each if type(each) in (int, float, str) else repr(each) for each in row)
        if known in seen:
            value = row[0] if len(row) == 1 else list(row)
            raise ConfigError(f"{where}: gives a value twice: {shown(value)}")
        seen.add(known)


def _has(settings: Mapping[str, Any], key: str) -> bool:
    """Whether a dotted key has a value in the settings."""
    place: object = settings
    for name in key.split("."):
        if not isinstance(place, Mapping) or name not in place:
            return False
        place = place[name]
    return True


def place(settings: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with a point's values put in.

    >>> place({"optimizer": {"lr": 1}, "seed": 0}, {"optimizer.lr": 2})
    {'optimizer': {'lr': 2}, 'seed': 0}
    """
    result = dict(settings)
    for key, value in point.items():
        set_path(result, key, value)
    return result


def label(point: Mapping[str, Any]) -> str:
    """Write a point as a person would.

    >>> label({"optimizer.lr": 0.008, "seed": 1})
    'lr=0.008 seed=1'
    """
    return " ".join(f"{key.rpartition('.')[2]}={_short(value)}" for key, value in point.items())


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
