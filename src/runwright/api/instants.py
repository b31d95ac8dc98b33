"""Write and read instants as the wire does: RFC 3339 outside, integer microseconds since the epoch inside."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""An instant in a request's body or query; `micros` makes it one of ours."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    """Return the microseconds since the epoch of an instant with a time zone."""
    return (instant - _EPOCH) // _MICROSECOND


def parse(text: str) -> int:
    """Read an RFC 3339 instant out of a query string; anything else is a `ValueError`."""
    return micros(msgspec.convert(queried(text), Instant))


def queried(text: str) -> str:
    """Return an instant of a query string as it was meant: a `+` that is written plainly arrives as a space."""
    return f"{text[:-6]}+{text[-5:]}" if len(text) > 19 and text[-6] == " " else text


def text(at: int) -> str:
    """Write an instant, to the microsecond, in UTC: `2026-11-21T08:15:00.000001Z`.

    One outside of the years 1 to 9999, which the format cannot hold, is written as the nearest one inside.
    """
    try:
        instant = _EPOCH + timedelta(microseconds=at)
    except OverflowError:
        instant = _LAST if at > 0 else _FIRST
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")
