"""Tickets: what a browser's EventSource or WebSocket shows in its address, because it cannot send headers.

A ticket stands for one caller on one path. It is good for `ticket_ttl_s` until it is used, while it is in use, and for
as long again after the last use ended. The store knows it, by a hash: whichever server made it, every one takes it.
"""

from __future__ import annotations

import contextlib
import math
import secrets
from hashlib import sha256

import msgspec

from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain.instants import SECOND_US
from runwright.domain.tenancy import Actor
from runwright.errors import RateLimited, StoreError, Unauthenticated
from runwright.store.base import Store, Transaction
from runwright.store.queries.tickets import ALL, ENTER, KEEP, MAKE, OF_OWNER

PREFIX = "rwticket_"
COUNTED_S = 1.0
"""How long the count of everybody's tickets is believed; what others make in that time is over the limit at most."""
MISSED = 3
"""How many looks at its caller a stream may miss before its ticket counts as left."""

_encode = msgspec.json.Encoder().encode
_actor = msgspec.json.Decoder(Actor).decode


class Ticket(msgspec.Struct, frozen=True):
    """A ticket in use: what it is known by, and whom it stands for."""

    name: str
    actor: Actor


class Tickets:
    """Issue tickets and take them."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._ttl_us = round(settings.ticket_ttl_s * SECOND_US)
        # While it is in use it is kept each time that the stream looks at its caller again.
        self._use_us = max(self._ttl_us, round(settings.stream_keepalive_s * MISSED * SECOND_US))
        self._most = settings.tickets_max
        self._most_each = settings.tickets_per_key
        self._clock = clock
        self._count = 0
        self._counted_s = -math.inf

    async def issue(self, actor: Actor, path: str) -> tuple[str, int]:
        """Make a ticket for a path; return it and the instant (µs) until which it must be used.

        Raises `RateLimited` when the caller has, or everybody together have, as many as there may be.
        """
        owner = f"{actor.org_id}/{actor.key_id or actor.label}"
        token = PREFIX + secrets.token_urlsafe(32)
        if self._clock.monotonic() - self._counted_s >= COUNTED_S:
            self._counted_s = self._clock.monotonic()
            self._count = (await self._store.fetch(ALL, now=self._clock.now()))[0][0]
        if self._count >= self._most:
            raise self._refusal("All callers together have as many valid tickets as there may be.")

        async def work(tx: Transaction) -> int | None:
            await tx.limits([f"tickets/{owner}"])  # or two servers would each take the last place
            if (await tx.fetch(OF_OWNER, owner=owner, now=tx.now))[0][0] >= self._most_each:
                return None
            until = tx.now + self._ttl_us
            await tx.fetch(MAKE, name=_name(token), owner=owner, path=path, actor=_encode(actor), until=until)
            return until

        until = await self._store.write(work)
        if until is None:
            raise self._refusal(f"These credentials have {self._most_each} valid tickets.")
        self._count += 1
        return token, until

    def _refusal(self, detail: str) -> RateLimited:
        return RateLimited(
            f"{detail} Use them, or wait until they end.",
            code="limits.tickets",
            retry_after_s=self._ttl_us / SECOND_US,
        )

    async def enter(self, token: str, path: str) -> Ticket:
        """Begin a use of a ticket. Raises `Unauthenticated` for one that is unknown, over, or for another path."""
        name = _name(token)
        rows = await self._store.write(
            lambda tx: tx.fetch(ENTER, row=name, shown=path, now=tx.now, until=tx.now + self._use_us)
        )
        if not rows:
            raise Unauthenticated
        return Ticket(name, _actor(rows[0][0]))

    async def keep(self, ticket: Ticket) -> None:
        """Say that a ticket is still in use."""
        await self._until(ticket, self._use_us)

    async def leave(self, ticket: Ticket) -> None:
        """End a use of a ticket, which is good for another while if it was the last."""
        with contextlib.suppress(StoreError):  # the answer was given; the ticket ends by itself
            await self._until(ticket, self._ttl_us)

    async def _until(self, ticket: Ticket, length_us: int) -> None:
        await self._store.write(lambda tx: tx.fetch(KEEP, row=ticket.name, until=tx.now + length_us))


def _name(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
