"""Write and read instants as the wire does: RFC 3339 outside, integer microseconds since the epoch inside."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from runwright.domain.instants import EPOCH, text

__all__ = ["Instant", "micros", "parse", "queried", "text"]

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""An instant in a request's body or query; `micros` makes it one of ours."""

_MICROSECOND = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    """Return the microseconds since the epoch of an instant with a time zone."""
    return (instant - EPOCH) // _MICROSECOND


def parse(text: str) -> int:
    """Read an RFC 3339 instant out of a query string; anything else is a `ValueError`."""
    return micros(msgspec.convert(queried(text), Instant))


def queried(text: str) -> str:
    """Return an instant of a query string as it was meant: a `+` that is written plainly arrives as a space."""
    return f"{text[:-6]}+{text[-5:]}" if len(text) > 19 and text[-6] == " " else text
