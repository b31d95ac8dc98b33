"""The audit log of an organization: who changed what, numbered and chained, written together with the change itself.

``hash = SHA-256(0x01 ‖ previous hash ‖ header)``, the header being the RFC 8785 form of `Header`, which holds the
SHA-256 of the entry's data. The first previous hash is the SHA-256 of the organization's id. So an entry that was
edited, dropped or moved shows itself, as in the log of a run (`domain.chain`). The head, number and hash of the last
entry, stands in a row of its own: entries that were cut off at the end are missed against it, and the next entry is
chained to what was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from runwright.domain.chain import Break
from runwright.store.base import Transaction
from runwright.store.queries.audit import HEAD, INSERT_ENTRY, INSERT_HEAD, LOCK_ORGANIZATION, MOVE_HEAD


class Header(msgspec.Struct, frozen=True):
    """Hold what the hash of an entry covers; the fields stand in the order of RFC 8785."""

    action: str
    actor: str
    created_at: int
    data_digest: str
    number: int
    org_id: str
    target: str


class Entry(msgspec.Struct, frozen=True):
    """One entry, as stored. `action` is `<noun>.<past tense>`, `target` the id of what was changed; `data` is JSON."""

    org_id: str
    number: int
    actor: str
    action: str
    target: str
    data: bytes
    created_at: int
    hash: bytes


# Only dictionaries are sorted while encoding: the fields of Header are sorted where they are declared.
_encode = msgspec.json.Encoder(order="deterministic").encode


async def lock(tx: Transaction, org_id: str) -> None:
    """Wait for the organization's turn: audited changes of one organization are made one after the other.

    A verb takes it before it looks whether a name is free: nobody else can take the name before it commits.
    """
    await tx.fetch(LOCK_ORGANIZATION, org_id=org_id)


async def append(
    tx: Transaction, org_id: str, actor: str, action: str, target: str, data: Mapping[str, Any] | None = None
) -> Entry:
    """Append an entry in the transaction of the change that it tells of; neither is ever there without the other.

    `data` says what changed, by names and numbers: no secret, and nothing that a user's text could smuggle in.
    """
    await lock(tx, org_id)  # or two transactions would take one number
    last = await tx.fetch(HEAD, org_id=org_id)
    number, prev = (last[0][0] + 1, last[0][1]) if last else (1, genesis(org_id))
    encoded = _encode(data or {})
    digest = link(prev, Header(action, actor, tx.now, sha256(encoded).hexdigest(), number, org_id, target))
    entry = Entry(org_id, number, actor, action, target, encoded, tx.now, digest)
    await tx.fetch(INSERT_ENTRY, **msgspec.structs.asdict(entry))
    if last:
        await tx.fetch(MOVE_HEAD, row=org_id, number=number, hash=digest)
    else:
        await tx.fetch(INSERT_HEAD, org_id=org_id, number=number, hash=digest)
    return entry


def genesis(org_id: str) -> bytes:
    """Return the hash that the first entry of an organization is chained to."""
    return sha256(org_id.encode()).digest()


def link(prev: bytes, header: Header) -> bytes:
    """Return the hash of the entry with this header that follows the entry with the hash `prev`."""
    return sha256(b"\x01" + prev + _encode(header)).digest()


class Walk:
    """Follow the log of an organization, entry by entry from the first: what does not belong there is named."""

    def __init__(self, org_id: str) -> None:
        self.org_id = org_id
        self.number = 0
        self.hash = genesis(org_id)

    def step(self, entry: Entry) -> Break | None:
        """Take the next entry; return the break that shows at it, and then stay where the walk was."""
        expected = self.number + 1
        if entry.number != expected:
            return Break(entry.number, "added") if entry.number < expected else Break(expected, "dropped")
        header = Header(
            entry.action, entry.actor, entry.created_at, digest(entry), expected, entry.org_id, entry.target
        )
        if entry.org_id != self.org_id or link(self.hash, header) != entry.hash:
            return Break(expected, "edited")
        self.number, self.hash = expected, entry.hash
        return None


def digest(entry: Entry) -> str:
    """Return the SHA-256 of an entry's data, in hex, as its header holds it; nothing for what was made no bytes."""
    return sha256(entry.data).hexdigest() if isinstance(entry.data, bytes) else ""


def verify(org_id: str, entries: Iterable[Entry], head: bytes | None = None) -> Break | None:
    """Walk the entries of an organization, first to last; return the first break, or None when the chain is whole.

    Entries missing at the end show only against `head`, the last hash as it was recorded elsewhere.
    """
    walk, remaining = Walk(org_id), iter(entries)
    for entry in remaining:
        found = walk.step(entry)
        if found is not None:
            later = found.what == "dropped" and any(each.number == found.seq for each in remaining)
            return Break(found.seq, "reordered") if later else found
    return None if head in (None, walk.hash) else Break(walk.number + 1, "dropped")
