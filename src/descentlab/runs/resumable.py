"""Whether a run can go on, and if not, which interrupted run it was likely meant to be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from descentlab.errors import ConfigError, CorruptError
from descentlab.runs.checkpoints import CORRUPT
from descentlab.runs.identity import Run
from descentlab.runs.store import RunFolder, Store

SHOWN = 5
"""Differences that an error lists."""


def require_checkpoint(store: Store, run: Run) -> None:
    """Refuse a run that has neither a result nor a checkpoint to go on from.

    Raises:
        ConfigError: with what differs from the most similar run that has one.
    """
    folder = store.folder(run.run_id)
    if folder.result() is not None or has_checkpoint(folder):
        return
    others = [each for each in store.run_ids() if has_checkpoint(store.folder(each))]
    unfinished = [each for each in others if not store.folder(each).done.exists()]
    changes = {}
    for each in unfinished:
        with suppress(CorruptError):  # it is not asked for; whoever asks for it will be told
            changes[each] = differences(store.folder(each).run(), run)
    start = f"run {run.run_id}: there is no checkpoint of it in {store.root}"
    if not changes:
        raise ConfigError(f"{start}; leave --resume out to begin at the first step")
    nearest = min(changes, key=lambda each: (len(changes[each]), each))
    listed = "; ".join(changes[nearest][:SHOWN])
    more = len(changes[nearest]) - SHOWN
    listed += f"; and {more} more" if more > 0 else ""
    raise ConfigError(
        f"{start}; the nearest, {nearest}, is another run: {listed}; give its settings to go on "
        "with it, or leave --resume out to begin this one"
    )


def has_checkpoint(folder: RunFolder) -> bool:
    """Whether a run has a checkpoint, valid or not."""
    names = (path.name for path in folder.path.glob("attempt-*/checkpoints/*"))
    return any(name.startswith(("step-", CORRUPT)) for name in names)


def differences(one: Run, other: Run) -> list[str]:
    """What decides the result and differs, as ``optimizer.lr is 0.1, not 0.2``."""
    found = []
    if one.data_sha256 != other.data_sha256:
        found.append(f"its tokens are {one.data_sha256[:12]}…, not {other.data_sha256[:12]}…")
    ours, theirs = _flat(one.identity), _flat(other.identity)
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            found.append(f"{key} is {ours.get(key)!r}, not {theirs.get(key)!r}")
    return found


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        key = f"{prefix}{name}"
        flat |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return flat
