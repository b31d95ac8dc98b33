"""Tickets: what a browser's EventSource or WebSocket shows in its address, because it cannot send headers.

A ticket stands for one caller on one path. It is good for `ticket_ttl_s` until it is used, while it is in use, and for
as long again after the last use ended. It is known to the process that made it, by a hash.
"""

from __future__ import annotations

import secrets
from collections import Counter
from hashlib import sha256

from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.tenancy import Actor
from runwright.errors import RateLimited, Unauthenticated

PREFIX = "rwticket_"
SECOND_US = 1_000_000


class Ticket:
    """What is known of one ticket."""

    __slots__ = ("actor", "open", "owner", "path", "until")

    def __init__(self, actor: Actor, owner: str, path: str, until: float) -> None:
        self.actor = actor
        self.owner = owner
        self.path = path
        self.until = until
        self.open = 0


class Tickets:
    """Issue tickets and take them; the verbs are asynchronous, so that a store may come between several servers."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._ttl_s = settings.ticket_ttl_s
        self._most = settings.tickets_max
        self._most_each = settings.tickets_per_key
        self._clock = clock
        self._known: dict[bytes, Ticket] = {}
        self._counts: Counter[str] = Counter()

    async def issue(self, actor: Actor, path: str) -> tuple[str, int]:
        """Make a ticket for a path; return it and the instant (µs) until which it must be used.

        Raises `RateLimited` when the caller has, or everybody together have, as many as there may be.
        """
        self._sweep()
        owner = actor.key_id or actor.label
        if self._counts[owner] >= self._most_each or len(self._known) >= self._most:
            raise RateLimited(
                f"These credentials have {self._counts[owner]} valid tickets; use them, or wait until they end.",
                code="limits.tickets",
                retry_after_s=self._ttl_s,
            )
        token = PREFIX + secrets.token_urlsafe(32)
        self._known[_name(token)] = Ticket(actor, owner, path, self._clock.monotonic() + self._ttl_s)
        self._counts[owner] += 1
        return token, self._clock.now() + round(self._ttl_s * SECOND_US)

    async def enter(self, token: str, path: str) -> Ticket:
        """Begin a use of a ticket. Raises `Unauthenticated` for one that is unknown, over, or for another path."""
        found = self._known.get(_name(token))
        if found is None or found.path != path or (not found.open and self._clock.monotonic() >= found.until):
            raise Unauthenticated
        found.open += 1
        return found

    async def leave(self, ticket: Ticket) -> None:
        """End a use of a ticket, which is good for another while if it was the last."""
        ticket.open -= 1
        ticket.until = self._clock.monotonic() + self._ttl_s

    def _sweep(self) -> None:
        """Look at the two that were looked at longest ago: whatever is made, what is over goes faster."""
        now = self._clock.monotonic()
        for name in [name for name, _ in zip(self._known, range(2), strict=False)]:
            ticket = self._known.pop(name)
            if ticket.open or now < ticket.until:
                self._known[name] = ticket
                continue
            self._counts[ticket.owner] -= 1
            if not self._counts[ticket.owner]:
                del self._counts[ticket.owner]


def _name(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
