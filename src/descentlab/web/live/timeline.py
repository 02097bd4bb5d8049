"""What races decided, as a page tells it: one entry for all that was decided at once."""

from __future__ import annotations

from collections.abc import Iterable, Set

import msgspec

from descentlab.runs.races import Decision, RaceRecord


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The decisions of one race at one rung, by one rule."""

    race: str
    rule: str
    fraction: float
    """Of the rung."""
    kept: int
    stopped: list[tuple[str, float | None, float | None]]
    """The runs that go no further for now, each with what was compared in nats, None if it
    diverged, and with the most that would have kept it, None where the rule has no such number."""
    dropped: bool = False
    """Whether the stopped ones are never asked for again."""
    at: float | None = None
    """When, in seconds since 1970."""


def timeline(record: RaceRecord) -> list[Entry]:
    """All that races decided, the oldest first where times are on record."""
    entries = []
    for race, decisions in record.decisions.items():
        times = record.times.get(race, [])
        batches: dict[tuple[float, str, float | None], list[Decision]] = {}
        for place, decision in enumerate(decisions):
            at = times[place] if place < len(times) else None
            batches.setdefault((decision.fraction, decision.rule, at), []).append(decision)
        entries += [_entry(race, *key, batch) for key, batch in batches.items()]
    return sorted(entries, key=lambda entry: entry.at or 0.0)


def _entry(
    race: str, fraction: float, rule: str, at: float | None, decisions: list[Decision]
) -> Entry:
    stopped = [each for each in decisions if each.verdict != "kept"]
    return Entry(
        race=race,
        rule=rule,
        fraction=fraction,
        kept=len(decisions) - len(stopped),
        stopped=[(each.cell, _rounded(each.score), _rounded(each.threshold)) for each in stopped],
        dropped=any(each.verdict == "dropped" for each in stopped),
        at=at,
    )


def _rounded(nats: float | None) -> float | None:
    return None if nats is None else round(nats, 4)


def stopped_runs(records: Iterable[RaceRecord]) -> Set[str]:
    """The runs of which the last decision was not to train them on, for now or for good."""
    stopped: set[str] = set()
    kept: set[str] = set()
    for record in records:
        for decisions in record.decisions.values():
            latest = {each.cell: each.verdict for each in decisions}
            kept |= {cell for cell, verdict in latest.items() if verdict == "kept"}
            stopped |= latest.keys()
    return stopped - kept
