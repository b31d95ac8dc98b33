"""Limit how often somebody may ask: GCRA (ATM Forum TM 4.0, 4.4.3), one number for each of them, in this process.

Each has `burst` requests, of which `per_s` come back every second. What is left is told in `RateLimit` and
`RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11).
"""

import ipaddress
import math

from runwright.clock import Clock
from runwright.errors import RateLimited


class Rates:
    """Count the requests of each key or address; a rate of 0 counts nothing. At most `most` of them are remembered."""

    __slots__ = ("_burst_s", "_each_s", "_most", "_name", "_now", "_per_s", "_until", "policy", "spent")

    def __init__(self, name: str, per_s: float, burst: int, most: int, clock: Clock) -> None:
        self._name = name.encode()
        self._per_s = per_s
        self._each_s = 1 / per_s if per_s else 0.0
        self._burst_s = burst * self._each_s
        self._most = most
        self._now = clock.monotonic
        self._until: dict[str, float] = {}
        self.spent = b'"%s";r=0;t=%d' % (self._name, math.ceil(self._burst_s))
        self.policy = b'"%s";q=%d;w=%d' % (self._name, burst, max(1, math.ceil(self._burst_s)))

    @property
    def on(self) -> bool:
        """Tell whether anything is limited."""
        return self._per_s > 0

    def take(self, who: str) -> bytes:
        """Count a request and return its `RateLimit`. Raises `RateLimited` when there is none left; it is not counted.

        What is remembered of somebody is the instant at which all of their requests have come back.
        """
        now = self._now()
        until = max(now, self._until.get(who, now)) + self._each_s
        if until - now > self._burst_s * (1 + 1e-9):
            raise self._refusal(until - now - self._burst_s)
        if who not in self._until and len(self._until) >= self._most:
            self._sweep(now)
        self._until[who] = until
        left = (self._burst_s - (until - now)) * self._per_s + 1e-6
        return b'"%s";r=%d;t=%d' % (self._name, left, math.ceil(until - now))

    def require(self, who: str) -> None:
        """Raise `RateLimited` when there is none left; nothing is counted."""
        until, now = self._until.get(who), self._now()
        if until is not None and until - now + self._each_s > self._burst_s * (1 + 1e-9):
            raise self._refusal(until - now + self._each_s - self._burst_s)

    def _refusal(self, wait_s: float) -> RateLimited:
        return RateLimited(
            f"Too many requests: {self._per_s:g} a second, {self._burst_s * self._per_s:.0f} at once. Come back later.",
            retry_after_s=max(round(wait_s, 3), 0.001),
        )

    def _sweep(self, now: float) -> None:
        """Forget everybody of whom there is nothing to know, and, if that is too few, the half that came first."""
        self._until = {who: until for who, until in self._until.items() if until > now}
        if len(self._until) >= self._most:
            self._until = dict(list(self._until.items())[len(self._until) // 2 + 1 :])


def neighbourhood(address: str) -> str:
    """Return what addresses are counted as: an IPv4 address as itself, an IPv6 address as its /64."""
    try:
        read = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(read, ipaddress.IPv4Address):
        return str(read)
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return str(ipaddress.IPv6Network((read, 64), strict=False))
