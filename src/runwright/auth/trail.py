"""The audit log for its readers: listed by pages, and verified from the first entry to the recorded head."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from runwright.auth.policy import require_org
from runwright.domain.chain import Break
from runwright.domain.tenancy import Actor
from runwright.store.audit import Entry, Walk, genesis
from runwright.store.base import Store
from runwright.store.queries.audit import ENTRIES, HEAD, listing

PAGE = 500


class Head(msgspec.Struct, frozen=True):
    """Where a log ends: the number and the hash of its last entry; number 0 for one without entries."""

    number: int
    hash: bytes


class Linked(msgspec.Struct, frozen=True):
    """An entry, and the hash that it is chained to: None where the entry before is missing."""

    entry: Entry
    prev_hash: bytes | None


class Listed(msgspec.Struct, frozen=True):
    """Entries of a page; `scanned_to` is the number at which the scan budget ended it, None if it did not."""

    entries: list[Linked]
    scanned_to: int | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What a verification found: how many entries follow one another, the head, and the first break."""

    org_id: str
    verified: int
    head: Head
    broken: Break | None


class Trail:
    """Reads the audit log of the caller's organization; a key that is bound to a project reads none of it."""

    def __init__(self, store: Store, *, scan_budget: int) -> None:
        self._store = store
        self._scan_budget = scan_budget

    async def page(
        self, actor: Actor, wanted: dict[str, Any], *, bound: int | None, limit: int, newest_first: bool
    ) -> Listed:
        """Return up to `limit` entries beyond the number `bound` that meet what is `wanted`.

        `wanted` names conditions of `store.queries.audit`. A filter reads at most the scan budget.
        """
        require_org(actor, "audit:read")
        head = await self.head(actor.org_id)
        if newest_first:
            high = head.number if bound is None else min(bound - 1, head.number)
            low = max(high - self._scan_budget + 1, 1)
        else:
            low = 1 if bound is None else max(bound, 0) + 1
            high = min(low + self._scan_budget - 1, head.number)
        statement = listing(frozenset(wanted), newest_first=newest_first)
        own = self._store.within(actor.org_id)
        rows = await own.fetch(statement, **wanted, org_id=actor.org_id, low=low, high=high, limit=limit)
        entries = [_linked(row) for row in rows]
        edge, last = (low, 1) if newest_first else (high, head.number)
        more = len(entries) < limit and (edge > last if newest_first else edge < last)
        return Listed(entries, edge if more else None)

    async def head(self, org_id: str) -> Head:
        """Return where the log of an organization ends, as it was recorded with the last entry."""
        rows = await self._store.within(org_id).fetch(HEAD, org_id=org_id)
        return Head(*rows[0]) if rows else Head(0, genesis(org_id))

    async def verify(self, actor: Actor, known: Head | None = None) -> Verdict:
        """Walk the whole log; return the first break, or that it reaches the recorded head.

        `known` is a head that the caller noted before: a log that was written anew, head and all, does not hold it.
        """
        require_org(actor, "audit:read")
        head = await self.head(actor.org_id)
        hashes = {each.number: each.hash for each in (head, known) if each is not None and each.number}
        own, walk, more = self._store.within(actor.org_id), Walk(actor.org_id), True
        while more:
            rows = await own.fetch(ENTRIES, org_id=actor.org_id, after=walk.number, limit=PAGE)
            for row in rows:
                broken = walk.step(Entry(*row))
                if broken is None and hashes.get(walk.number, walk.hash) != walk.hash:
                    broken = Break(walk.number, "edited")
                if broken is not None:
                    return Verdict(actor.org_id, broken.seq - 1, head, broken)
            more = len(rows) == PAGE
            await asyncio.sleep(0)  # a long log lets others have their turn
        # What was appended since the head was read is fine; what is missing before it is not.
        cut = walk.number < max(hashes, default=0)
        return Verdict(actor.org_id, walk.number, head, Break(walk.number + 1, "dropped") if cut else None)


def _linked(row: tuple[Any, ...]) -> Linked:
    entry = Entry(*row[:-1])
    return Linked(entry, genesis(entry.org_id) if entry.number == 1 else row[-1])
