"""What the audit log says of records of usage that retention removed: those of runs that ended before an instant."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

ACTION = "usage.forgotten"
ACTOR = "system:pruner"
LEAST_DAYS = 31
"""Reports reach back 30 days where nothing else is said: so long every record is kept."""


class Forgotten(msgspec.Struct, frozen=True):
    """Whose ends lie before this instant (µs) may have no records any more."""

    ended_before: int


def forgotten(entries: Iterable[tuple[str, bytes]]) -> dict[str, int]:
    """Return, by organization, before which end (µs) runs may have no records, by the entries of the audit log."""
    latest: dict[str, int] = {}
    for org_id, data in entries:
        told = msgspec.json.decode(data, type=Forgotten).ended_before
        latest[org_id] = max(told, latest.get(org_id, 0))
    return latest
