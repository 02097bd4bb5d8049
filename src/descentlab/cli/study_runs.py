"""A study's runs, as ``descent sweep`` trains and ``descent plan`` prices them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from descentlab.errors import ConfigError, DataError, SettingError
from descentlab.runs.identity import Run
from descentlab.sweep.study import Point, Study
from descentlab.train.plan import Resolver


@dataclass(frozen=True)
class StudyRuns:
    """A study with the run of each of its points; several points may be one run."""

    study: Study
    points: list[Point]
    of_points: list[Run]
    """In the order of ``points``."""

    @cached_property
    def runs(self) -> dict[str, Run]:
        """The distinct runs by id."""
        return {run.run_id: run for run in self.of_points}

    @cached_property
    def labels(self) -> dict[str, str]:
        """By run id, the first point that it is."""
        labels: dict[str, str] = {}
        for point, run in zip(self.points, self.of_points, strict=True):
            labels.setdefault(run.run_id, point.label or self.study.name)
        return labels

    @property
    def record(self) -> dict[str, Any]:
        """What a store keeps of the study. How runs are computed is no part of it."""
        study = self.study
        base = {name: table for name, table in study.run.items() if name != "execution"}
        own = {"zip": study.zip, "methods": study.methods, "seeds": study.seeds}
        more: dict[str, Any] = {name: value for name, value in own.items() if value}
        if study.racing != "none":
            more["racing"] = study.racing
        return {"axes": study.axes, "run": base, **more, "runs": list(self.runs)}

    def remarks(self) -> list[str]:
        """What whoever asked for the study may not have meant, a sentence each."""
        said = [
            f"run.{key} is what no run has, since the study varies it"
            for key in self.study.overridden()
        ]
        if len(self.runs) < len(self.points):
            said.append(f"{len(self.points):,} points are {len(self.runs):,} distinct runs")
        counts = Counter(point.method for point in self.points)
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            said.append(f"methods have different numbers of runs: {listed}")
        return said


def study_runs(study: Study, resolve: Resolver, *, where: str, threads: int = 1) -> StudyRuns:
    """Resolve every point of a study.

    Args:
        study: which runs.
        resolve: turns settings into runs.
        where: the file that it came from, to begin an error with.
        threads: of each run, unless the study says otherwise; the other cores go to other runs.

    Raises:
        ConfigError: naming the place in the study, what was given and what is allowed.
        DataError: if the tokens do not suit a run.
    """
    points = study.points()
    runs = [_resolved(study, each, resolve, where, threads) for each in points]
    return StudyRuns(study, points, runs)


def _resolved(study: Study, point: Point, resolve: Resolver, where: str, threads: int) -> Run:
    having = f" (with {point.label})" if point.label else ""
    try:
        return resolve(_with_threads(study.settings_of(point), threads), where)
    except SettingError as error:
        place = study.place_of(point.method, error.key)
        raise SettingError(where, place, error.problem + having) from None
    except ConfigError as error:
        said = str(error)
        start = "" if said.startswith(where) else f"{where}: "
        raise ConfigError(f"{start}{said}{having}") from None
    except DataError as error:
        raise DataError(f"{error}{having}") from None


def _with_threads(settings: Mapping[str, Any], threads: int) -> dict[str, Any]:
    execution = settings.get("execution", {})
    if not isinstance(execution, Mapping):  # it is refused when the run is built
        return dict(settings)
    return {**settings, "execution": {"threads": threads, **execution}}
