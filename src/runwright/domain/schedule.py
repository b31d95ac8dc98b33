"""When a schedule fires: cron expressions in time zones, and what becomes of fires that nobody was there for.

Five fields, as Debian's cron reads them. Where clocks are set forward, an expression with a fixed minute and hour that
would fall into the missing hour fires once, right after it; where they are set back, once, in the first of the two
hours. An expression whose minute or hour begins with a star goes by elapsed time and fires as often as it matches.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from runwright.domain.instants import HOUR_US, MINUTE_US

CatchUp = Literal["skip", "one", "all"]
"""What becomes of fires that were missed: nothing, the latest of them is made, or all of them are, up to a cap."""

Overlap = Literal["allow", "skip", "cancel"]
"""What a fire does while a run of the schedule is unfinished: start beside it, stay out, or cancel it first."""

FIELDS = 5
_FIRST_SPAN_US = HOUR_US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


class Cron(msgspec.Struct, frozen=True):
    """A cron expression, and the time zone whose clock it reads."""

    expression: str
    timezone: str = "UTC"


class Schedule(msgspec.Struct, frozen=True):
    """Where the schedule of a job stands: which fire comes next, if any does, and the latest that made a run.

    `job_version_id` is the version of the job that says so, so that whoever saw another one notices.
    """

    job_id: str
    org_id: str
    project_id: str
    job_version_id: str
    next_fire_at: int | None
    last_fired_at: int | None = None
    last_run_id: str | None = None


class Due(msgspec.Struct, frozen=True):
    """What a look at a schedule comes to: fires to make, oldest first, how many were dropped, and the next one."""

    fires: list[int]
    dropped: int
    next_fire_at: int | None


def cron_problem(expression: str) -> str | None:
    """Return what is wrong with an expression; one that never matches is wrong, too."""
    if len(expression.split()) != FIELDS:
        return "must have five fields: minute hour day-of-month month day-of-week"
    try:
        found = next(CronSim(expression, _EPOCH.replace(year=2024)), None)
    except CronSimError as wrong:
        return f"is no cron expression: {wrong}"
    except (AssertionError, TypeError, ValueError):  # the library trips over some of what it does not know
        return "is no cron expression"
    return None if found is not None else "never matches"


def timezone_problem(name: str) -> str | None:
    """Return what is wrong with the name of a time zone."""
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):
        return "is no time zone of the IANA database, like Europe/Berlin"
    return None


def fires(cron: Cron, after: int) -> Iterator[int]:
    """Yield the instants (µs) at which an expression fires, beyond `after`, earliest first."""
    begin = (_EPOCH + after * _US).astimezone(_zone(cron.timezone))
    for fire in CronSim(cron.expression, begin):
        at = (fire - _EPOCH) // _US
        if at > after:
            yield at


def next_fire(cron: Cron, after: int) -> int | None:
    """Return the first instant beyond `after`; None when there is none in our time."""
    return next(fires(cron, after), None)


def inside(cron: Cron, at: int) -> int:
    """Return `at` if its minute matches an expression, else the beginning of the next minute that does."""
    minute = at - at % MINUTE_US
    begins = next_fire(cron, minute - 1)
    return at if begins is None or begins == minute else begins


def due(cron: Cron, next_at: int, now: int, catch_up: CatchUp, *, most: int, late_us: int) -> Due:
    """Return what is to be done at `now`, when `next_at` is the earliest fire that nobody has seen to.

    `one` makes the latest fire and `all` the `most` latest; `skip` makes those that are no later than `late_us`: what
    is later was missed. Of the others at most `most` are counted as dropped.
    """
    if next_at > now:
        return Due([], 0, next_at)
    wanted = 1 if catch_up == "one" else most
    earliest = now - late_us if catch_up == "skip" else next_at
    missed = _latest(cron, next_at, now, wanted + most)
    made = [at for at in missed if at >= earliest][-wanted:]
    return Due(made, min(len(missed) - len(made), most), next_fire(cron, now))


def _latest(cron: Cron, first: int, last: int, count: int) -> list[int]:
    """Return the latest fires from `first` to `last`, at least `count` of them if there are so many.

    Looks back further and further: what was missed may be years of minutes. And reads forwards from there, for only
    so does an instant in the doubled hour have the one fire that it has.
    """
    span = _FIRST_SPAN_US
    while True:
        begin = max(first, last - span)
        found = list(takewhile(lambda at: at <= last, fires(cron, begin - 1)))
        if begin == first or len(found) >= count:
            return found
        span *= 4


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
