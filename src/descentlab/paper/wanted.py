"""From the name of a table, figure or experiment to what has to be trained and drawn for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from descentlab.errors import ConfigError, nearest
from descentlab.paper.computed import COMPUTED
from descentlab.paper.exhibit import Computed, Exhibit
from descentlab.paper.exhibits import EXHIBITS
from descentlab.paper.experiments import CONTESTS, EXPERIMENTS, Experiment
from descentlab.paper.reproduction import Part, parts
from descentlab.paper.scales import Scale
from descentlab.paper.table1 import SCALES as TABLE1_SCALES


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What one command asks for."""

    name: str
    parts: Sequence[Part]
    """To train."""
    exhibits: Sequence[Exhibit | Computed]
    """To draw."""
    contests: Sequence[Experiment] = ()
    """To hold."""

    def experiments_of(self, exhibit: str) -> list[str]:
        """The keys of the experiments that an exhibit is drawn from, of those wanted."""
        found = [part.experiment for part in self.parts]
        return [each.key for each in found if exhibit in each.exhibits]


def names() -> list[str]:
    """Everything that can be asked for."""
    exhibits = [each.name for each in (*EXHIBITS, *COMPUTED)]
    return ["all", *exhibits, "constant-variance", *(each.key for each in EXPERIMENTS)]


def wanted(name: str, scale: Scale) -> Wanted:
    """What a name asks for at a scale.

    Table 1 is a contest, tuned fairly and raced, where one can be held; at the paper's scale it
    is E1, the paper's grids.

    Raises:
        ConfigError: for a name that nothing has, with the nearest.
    """
    given, name = name, name.replace("fig0", "fig")
    by_key = {each.key.lower(): each for each in EXPERIMENTS}
    contests = {
        each.contest: each
        for each in CONTESTS
        if each.contest != "table1" or scale.name in TABLE1_SCALES
    }
    if name == "all":
        own = [each for each in EXPERIMENTS if not each.contest]
        drawn = [each for each in (*EXHIBITS, *COMPUTED) if each.name not in contests]
        return Wanted(
            name=name,
            parts=parts(dict.fromkeys(own), scale),
            exhibits=sorted(drawn, key=lambda each: _place(each.name)),
            contests=list(contests.values()),
        )
    if name in contests:
        return Wanted(name=name, parts=(), exhibits=(), contests=[contests[name]])
    if (experiment := by_key.get(name.lower())) is not None:
        return _of_experiment(experiment, scale)
    for computed in COMPUTED:
        if computed.name == name:
            return Wanted(name=name, parts=(), exhibits=[computed])
    for exhibit in EXHIBITS:
        if exhibit.name == name:
            methods = exhibit.selection.methods
            sources = [each for each in EXPERIMENTS if name in each.exhibits]
            return Wanted(
                name=name,
                parts=parts(dict.fromkeys(sources, methods), scale),
                exhibits=[exhibit],
            )
    raise ConfigError(f"{given}: no table, figure or experiment; {nearest(given, names())}")


def _of_experiment(experiment: Experiment, scale: Scale) -> Wanted:
    if experiment.contest:
        return Wanted(name=experiment.contest, parts=(), exhibits=(), contests=[experiment])
    alone = [
        each
        for each in EXHIBITS
        if each.name in experiment.exhibits and not _needs_others(each, experiment)
    ]
    chosen = parts({experiment: None}, scale)
    return Wanted(name=experiment.key, parts=chosen, exhibits=alone)


def _needs_others(exhibit: Exhibit, experiment: Experiment) -> bool:
    return any(exhibit.name in each.exhibits for each in EXPERIMENTS if each is not experiment)


def _place(name: str) -> tuple[str, int]:
    """Tables first, then figures by number."""
    word = name.rstrip("0123456789")
    order = {"table": "a", "fig": "b"}.get(word, "c")
    return order, int(name[len(word) :] or 0)
