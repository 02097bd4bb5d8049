"""Jobs that a driver left in Slurm's queue, by being killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from descentlab.runs.heartbeats import TTL
from descentlab.sweep.executors.base import Task
from descentlab.sweep.executors.handover import Handover
from descentlab.sweep.executors.slurm_queue import PREFIX

WATCH_SECONDS = 0.25


def left_behind(
    folder: Path, ours: Callable[[Task], bool], tell: Callable[[str], None]
) -> list[Handover]:
    """Take over the handovers of drivers that are gone and left tasks of ours.

    Waits for a sign of life of a driver on another host, at most for the TTL of heartbeats.

    Args:
        folder: where the handovers of all drivers lie.
        ours: whether a task is one that this process wants done.
        tell: told in one line what is waited for, if anything is.

    Raises:
        StorageError: if the disk refuses.
    """
    open_ones = [Handover(path) for path in sorted(folder.glob(f"{PREFIX}*"))]
    watched = {
        each: each.driver.beats()
        for each in open_ones
        if any(ours(task) for bundle in each.bundles() for task in each.tasks(bundle))
    }
    taken: list[Handover] = []
    told = False
    while True:
        for each, first in list(watched.items()):
            holder = each.driver.holder()
            if each.driver.free():
                each.create()
                taken += [each] if each.driver.take() else []
                del watched[each]
            elif (holder is not None and holder.visible()) or each.driver.beats() != first:
                del watched[each]  # its driver lives, and waits for them
        if not watched:
            return taken
        if not told:
            told = True
            (each, _), *_ = watched.items()
            holder = each.driver.holder()
            who = f"process {holder.pid} on {holder.host}" if holder else "another driver"
            tell(
                f"{who} has jobs in Slurm's queue; waiting for a sign of life of it, at most "
                f"{TTL:,.0f} s"
            )
        time.sleep(WATCH_SECONDS)
