"""Where runs were computed: the distinct environments of a store, and which run has which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from descentlab.config import canonical_json
from descentlab.errors import DescentError
from descentlab.runs.imported import imports
from descentlab.runs.store import Store

Environment = Mapping[str, Any]
NOT_ON_RECORD: Environment = {"environment": "not on record"}


def environments(store: Store, runs: Iterable[str]) -> tuple[list[Environment], dict[str, int]]:
    """The environments of the last attempts of runs, and of each run its place among them.

    Args:
        store: to look into.
        runs: ids of runs that were trained there.
    """
    known: dict[bytes, int] = {}
    found: list[Environment] = []
    places: dict[str, int] = {}
    for run_id in runs:
        environment = _environment(store, run_id)
        if environment is None:
            continue
        key = canonical_json(dict(environment))
        if key not in known:
            known[key] = len(found)
            found.append(environment)
        places[run_id] = known[key]
    return found, places


def sources(store: Store) -> list[dict[str, Any]]:
    """The imported files of a store: name, kind, hash, how many runs, and what was noted."""
    return [
        {
            "file": each.source.name,
            "kind": each.source.kind,
            "sha256": each.source.sha256,
            "runs": each.runs,
            "notes": list(each.notes),
        }
        for each in imports(store)
    ]


def _environment(store: Store, run_id: str) -> Environment | None:
    try:
        attempt = store.latest_attempt(run_id)
        if attempt is None:
            return None
        return msgspec.json.decode(attempt.environment.read_bytes(), type=dict[str, Any])
    except (DescentError, OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return NOT_ON_RECORD
