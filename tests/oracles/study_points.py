"""The points of a study by nested loops over what its file says, after ranges."""

from __future__ import annotations

import copy
from typing import Any


def settings_of_all(study: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings of every run of a study given as plain tables, in order."""
    found = []
    for method in study.get("methods", {"": {}}).values():
        partial: list[list[tuple[str, Any]]] = [[]]
        for part in (study, method):
            for key, values in part.get("axes", {}).items():
                partial = [[*begun, (key, value)] for begun in partial for value in values]
            for group in part.get("zip", []):
                count = len(next(iter(group.values())))
                partial = [
                    [*begun, *((key, values[place]) for key, values in group.items())]
                    for begun in partial
                    for place in range(count)
                ]
        if "seeds" in study:
            partial = [[*begun, ("seed", seed)] for begun in partial for seed in study["seeds"]]
        for assignments in partial:
            run = copy.deepcopy(study["run"])
            if method.get("optimizer"):
                run.setdefault("optimizer", {}).update(method["optimizer"])
            for key, value in assignments:
                *tables, last = key.split(".")
                place = run
                for table in tables:
                    place = place.setdefault(table, {})
                place[last] = value
            found.append(run)
    return found
