"""Whether every method of a table was tuned with as many trials."""

from __future__ import annotations

from collections.abc import Iterator

from descentlab.analysis.audit.finding import Finding
from descentlab.analysis.audit.tables import Evidence, listed

CHECK = "unequal-trials"
MUCH = 1.5
"""The ratio of trials from which on it is a warning."""


def unequal_trials(evidence: Evidence) -> Iterator[Finding]:
    """Methods of one table that tried different numbers of settings.

    A setting counts once, whatever its seeds, and also if it diverged or was stopped.
    """
    for table in evidence.tables:
        counts = {
            name: max(len(each.cells) for each in searches)
            for name, searches in table.methods.items()
        }
        most, fewest = max(counts.values()), min(counts.values())
        if most == fewest:
            continue
        by_count = sorted(counts.items(), key=lambda each: -each[1])
        behind = [name for name, count in by_count if count < most]
        yield Finding(
            severity="warning" if most >= MUCH * fewest else "note",
            check=CHECK,
            where=table.name,
            what="settings tried: " + listed([f"{name} {count:,}" for name, count in by_count]),
            why="The best of more trials is better by chance and by a finer grid alone.",
            settle=f"Give {listed(behind)} as many settings as {by_count[0][0]} had, around their "
            f"best; or compare the best of {fewest:,} trials drawn from each (Dodge et al. 2019).",
            runs=tuple(run for name in behind for each in table.methods[name] for run in each.runs),
        )
