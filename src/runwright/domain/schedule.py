"""When a schedule fires: cron expressions in time zones, and what becomes of fires that nobody was there for.

Five fields, as Debian's cron reads them. Where clocks are set forward, an expression with a fixed minute and hour that
would fall into the missing hour fires once, right after it; where they are set back, once, in the first of the two
hours. An expression whose minute or hour begins with a star goes by elapsed time and fires as often as it matches.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

CatchUp = Literal["skip", "one", "all"]
"""What becomes of fires that were missed: nothing, the last of them, or all of them, up to a cap."""

Overlap = Literal["allow", "skip", "cancel"]
"""What a fire does while a run of the schedule is unfinished: start beside it, stay out, or cancel it first."""

FIELDS = 5
LATE_US = 60_000_000
"""A fire that is later than this was missed: whoever should have seen to it was not there."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


class Schedule(msgspec.Struct, frozen=True):
    """A cron expression, and the time zone whose clock it reads."""

    cron: str
    timezone: str = "UTC"


def cron_problem(cron: str) -> str | None:
    """Return what is wrong with an expression; one that never matches is wrong, too."""
    if len(cron.split()) != FIELDS:
        return "must have five fields: minute hour day-of-month month day-of-week"
    try:
        found = next(CronSim(cron, _EPOCH.replace(year=2024)), None)
    except CronSimError as wrong:
        return f"is no cron expression: {wrong}"
    return None if found is not None else "never matches"


def timezone_problem(name: str) -> str | None:
    """Return what is wrong with the name of a time zone."""
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):
        return "is no time zone of the IANA database, like Europe/Berlin"
    return None


def fires(schedule: Schedule, after: int) -> Iterator[int]:
    """Yield the instants (µs) at which a schedule fires, beyond `after`, earliest first."""
    begin = (_EPOCH + after * _US).astimezone(_zone(schedule.timezone))
    for fire in CronSim(schedule.cron, begin):
        at = (fire - _EPOCH) // _US
        if at > after:
            yield at


def next_fire(schedule: Schedule, after: int) -> int | None:
    """Return the first instant beyond `after`; None when there is none in our time."""
    return next(fires(schedule, after), None)


def due(schedule: Schedule, next_at: int, now: int, catch_up: CatchUp, most: int) -> tuple[list[int], int | None]:
    """Return the fires to make now, oldest first, and when to look again.

    `next_at` is the earliest fire that nobody has made; of those up to `now` at most `most` are made, the last ones.
    """
    if next_at > now:
        return [], next_at
    # Backwards from now: what was missed may be years of minutes.
    begin = (_EPOCH + (now + 1) * _US).astimezone(_zone(schedule.timezone))
    wanted = {"skip": most, "one": 1, "all": most}[catch_up]
    earliest = max(next_at, now - LATE_US) if catch_up == "skip" else next_at
    found = []
    for fire in islice(CronSim(schedule.cron, begin, reverse=True), wanted):
        at = (fire - _EPOCH) // _US
        if at < earliest:
            break
        found.append(at)
    return found[::-1], next_fire(schedule, now)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
