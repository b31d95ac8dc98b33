"""Instants as texts: RFC 3339 wherever something leaves the house, integer microseconds since the epoch inside."""

from datetime import UTC, datetime, timedelta

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def text(at: int) -> str:
    """Write an instant, to the microsecond, in UTC: `2026-11-21T08:15:00.000001Z`.

    One outside of the years 1 to 9999, which the format cannot hold, is written as the nearest one inside.
    """
    try:
        instant = EPOCH + timedelta(microseconds=at)
    except OverflowError:
        instant = _LAST if at > 0 else _FIRST
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")
