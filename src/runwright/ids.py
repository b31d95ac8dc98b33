"""Make and read ids: a prefix that names the kind, and a UUIDv7 that holds the instant of creation.

An id is ``<prefix>_<32 hex digits>``. The digits are a UUID of version 7 (RFC 9562, section 5.7) whose sub-millisecond
fraction stands in ``rand_a`` (section 6.2, method 3), so the instant comes back to the microsecond and sorting by id
sorts by creation. The other 62 bits are random; an id is unique, and it is no secret.
"""

import os
import re
from random import Random, SystemRandom

PREFIXES = (
    "run", "job", "jobv", "org", "proj", "user", "mem", "key", "batch", "req", "wrk", "blob", "move",
    "whs", "whd", "env", "sec", "dep", "sig", "wf", "wfv", "thr", "msg", "per", "route", "prov", "rq", "llm",
    "bud", "apr", "inp",
)  # fmt: skip

_HEADS = {prefix: f"{prefix}_" for prefix in PREFIXES}
_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62
_DIGITS = re.compile("[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")
_LAST_US = (1 << 48) * 1000 - 1

_random = Random(SystemRandom().getrandbits(256))
_random_bits = _random.getrandbits


def _reseed() -> None:
    """Draw a new seed, so that a forked process does not repeat the ids of its parent."""
    _random.seed(SystemRandom().getrandbits(256))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reseed)


def new_id(prefix: str, at_us: int) -> str:
    """Make an id of the instant ``at_us`` (microseconds since the epoch); `time_of` gives the instant back exactly.

    Raises `KeyError` for a prefix that is not in `PREFIXES`. Two ids of one microsecond come in no particular order.
    """
    ms, us = divmod(at_us, 1000)
    return f"{_HEADS[prefix]}{ms << 80 | (us << 12) // 1000 << 64 | _VERSION_AND_VARIANT | _random_bits(62):032x}"


def floor(prefix: str, at_us: int) -> str:
    """Return the smallest id of the instant ``at_us``: every id made earlier sorts before it, no later one does.

    An instant that no id can hold (before 1970, after the year 10889) is taken as the nearest one that can.
    """
    ms, us = divmod(min(max(at_us, 0), _LAST_US), 1000)
    return f"{_HEADS[prefix]}{ms << 80 | (us << 12) // 1000 << 64 | _VERSION_AND_VARIANT:032x}"


def time_of(id: str) -> int:
    """Read the instant (microseconds since the epoch) at which an id was made.

    Raises `ValueError` when ``id`` is not a known prefix, an underscore and the lower-case digits of a UUIDv7.
    """
    prefix, _, digits = id.partition("_")
    if prefix not in _HEADS or _DIGITS.fullmatch(digits) is None:
        raise ValueError("not an id")
    # The fraction was rounded down to 1/4096 ms, which is finer than 1 us: rounding up finds the microsecond again.
    # A foreign UUIDv7 may hold a fraction past the last microsecond; it must not leave its millisecond.
    us = -(-int(digits[13:16], 16) * 1000 >> 12)
    return int(digits[:12], 16) * 1000 + min(us, 999)


def is_id(prefix: str, text: str) -> bool:
    """Tell whether ``text`` has the form of an id with this prefix; says nothing about whether the thing exists."""
    head = _HEADS[prefix]
    return text.startswith(head) and _DIGITS.fullmatch(text, len(head)) is not None
