"""The audit log of an organization: who changed what, numbered and chained, written together with the change itself.

``hash = SHA-256(0x01 ‖ previous hash ‖ header)``, the header being the RFC 8785 form of `Header`, which holds the
SHA-256 of the entry's data. The first previous hash is the SHA-256 of the organization's id. So an entry that was
edited, dropped or moved shows itself, as in the log of a run (`domain.chain`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from runwright.domain.chain import Break
from runwright.store.base import Transaction
from runwright.store.queries.audit import INSERT_ENTRY, LAST_ENTRY, LOCK_ORGANIZATION


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
    last = await tx.fetch(LAST_ENTRY, org_id=org_id)
    number, prev = (last[0][0] + 1, last[0][1]) if last else (1, genesis(org_id))
    encoded = _encode(data or {})
    digest = link(prev, Header(action, actor, tx.now, sha256(encoded).hexdigest(), number, org_id, target))
    entry = Entry(org_id, number, actor, action, target, encoded, tx.now, digest)
    await tx.fetch(INSERT_ENTRY, **msgspec.structs.asdict(entry))
    return entry


def genesis(org_id: str) -> bytes:
    """Return the hash that the first entry of an organization is chained to."""
    return sha256(org_id.encode()).digest()


def link(prev: bytes, header: Header) -> bytes:
    """Return the hash of the entry with this header that follows the entry with the hash `prev`."""
    return sha256(b"\x01" + prev + _encode(header)).digest()


def verify(org_id: str, entries: Iterable[Entry], head: bytes | None = None) -> Break | None:
    """Walk the entries of an organization, first to last; return the first break, or None when the chain is whole.

    Entries missing at the end show only against `head`, the last hash as it was recorded elsewhere.
    """
    prev, number, remaining = genesis(org_id), 1, iter(entries)
    for entry in remaining:
        if entry.number != number:
            later = entry.number > number and any(each.number == number for each in remaining)
            if entry.number < number:
                return Break(entry.number, "added")
            return Break(number, "reordered" if later else "dropped")
        digest = sha256(entry.data).hexdigest()
        header = Header(entry.action, entry.actor, entry.created_at, digest, number, entry.org_id, entry.target)
        if entry.org_id != org_id or link(prev, header) != entry.hash:
            return Break(number, "edited")
        prev, number = entry.hash, number + 1
    return None if head in (None, prev) else Break(number, "dropped")
