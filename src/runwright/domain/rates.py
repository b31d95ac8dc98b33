"""How often the runs of a job may enter their queue: at most so many within any window, in the order of their coming.

What is kept of a job is the instants that were given out last, as bytes: the next one lies a window after the one that
was given out so many before it.
"""

from __future__ import annotations

import struct
from typing import Annotated

import msgspec
from msgspec import Meta

MOST = 1000
DAY_S = 86_400


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `max` runs enter their queue within any `window_secs`; the others are put off to their turn."""

    max: Annotated[int, Meta(ge=1, le=MOST)]
    window_secs: Annotated[int, Meta(ge=1, le=DAY_S)] | Annotated[float, Meta(ge=0.1, le=DAY_S)]


def turn(kept: bytes, rate: Rate, now: int) -> tuple[int, bytes]:
    """Return the instant at which the next run may enter its queue, and what to keep from now on."""
    given = struct.unpack(f">{len(kept) // 8}q", kept)
    at = max(now, given[-1]) if given else now  # nobody overtakes who came before
    if len(given) >= rate.max:
        at = max(at, given[-rate.max] + round(rate.window_secs * 1_000_000))
    left = (*given, at)[-MOST:]
    return at, struct.pack(f">{len(left)}q", *left)
