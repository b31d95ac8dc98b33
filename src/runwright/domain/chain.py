"""Chain the events of a run by hashes, and find the first one that was touched.

``hash = SHA-256(0x01 ‖ previous hash ‖ header)``, where the header is the RFC 8785 form of `Header`. The header holds
``SHA-256(salt ‖ data)`` instead of the data: a log whose data was erased with its salt still verifies, and nobody can
guess the erased value. The first previous hash is `genesis`, the digest of the run's specification.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Literal

import msgspec

SALT_BYTES = 16
_SAFE_INTEGER = 2**53 - 1  # the largest that RFC 8785 lets through unchanged (I-JSON)

Usage = dict[str, int | str]


class Header(msgspec.Struct, frozen=True, gc=False):
    """Hold what the hash of an event covers; the fields stand in the order of RFC 8785.

    ``data_digest`` in hex; ``created_at`` in microseconds since the epoch; ``usage`` has ASCII names.
    """

    actor: str
    created_at: int
    data_digest: str
    run_id: str
    seq: int
    type: str
    usage: Usage


class Link(msgspec.Struct, frozen=True):
    """Hold one stored event as `verify` reads it.

    Data that was withheld or erased is None, and so is its salt; its digest (32 bytes) is given instead.
    """

    actor: str
    created_at: int
    run_id: str
    seq: int
    type: str
    usage: Usage
    hash: bytes
    salt: bytes | None = None
    data: bytes | None = None
    digest: bytes | None = None


class Break(msgspec.Struct, frozen=True):
    """Name the first event that does not belong to the chain, and what was done to it."""

    seq: int
    what: Literal["edited", "dropped", "reordered", "added"]


# Only dictionaries are sorted while encoding: the fields of Header are sorted where they are declared.
_encode = msgspec.json.Encoder(order="deterministic").encode


def genesis(spec: bytes) -> bytes:
    """Return the hash that the first event of a run is chained to: the SHA-256 of the run's specification."""
    return sha256(spec).digest()


def body(level: str, lease_epoch: int, message: str, data: bytes) -> bytes:
    """Return everything about an event that its header does not hold, as the digest covers it.

    It is unambiguous: the level and the epoch hold no NUL, and neither does the data, which are JSON.
    """
    return f"{level}\0{lease_epoch}\0{message}\0".encode() + data


def data_digest(salt: bytes, data: bytes) -> bytes:
    """Return the salted SHA-256 of an event's data.

    Raises `ValueError` unless ``salt`` has 16 bytes: with any length, bytes could move from the data into the salt.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 16 bytes")
    return sha256(salt + data).digest()


def link(prev: bytes, header: Header) -> bytes:
    """Return the hash of the event with this header that follows the event with the hash ``prev``.

    Raises `ValueError` for an integer outside of ±(2^53 - 1), which RFC 8785 cannot hold.
    """
    if header.created_at > _SAFE_INTEGER or (header.usage and not _is_safe(header.usage)):
        raise ValueError("an integer of the header is too large")
    return _hash(prev, header)


def _hash(prev: bytes, header: Header) -> bytes:
    return sha256(b"\x01" + prev + _encode(header)).digest()


def _is_safe(usage: Usage) -> bool:
    for value in usage.values():  # a plain loop: twice as fast as all() of a generator, and this is a hot path
        if not isinstance(value, str) and not -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
            return False
    return True


def verify(genesis: bytes, events: Iterable[Link], head: bytes | None = None) -> Break | None:
    """Walk the events of one run, first to last; return the first break, or None when the chain is whole.

    A missing end, and a log that was rewritten whole, show only against ``head``, the last hash as it was recorded
    elsewhere (run row, evidence): without it the chain is taken to end where ``events`` end.
    """
    prev, seq, remaining = genesis, 1, iter(events)
    head_seq: int | None = 0 if head == genesis else None
    for event in remaining:
        if event.seq != seq:
            return _misplaced(event.seq, seq, remaining)
        if _hash_of(prev, event) != event.hash:
            return Break(seq, "edited")
        if event.hash == head:
            head_seq = seq
        prev, seq = event.hash, seq + 1
    if head is None or head == prev:
        return None
    return Break(seq, "dropped") if head_seq is None else Break(head_seq + 1, "added")


def _hash_of(prev: bytes, event: Link) -> bytes | None:
    digest = event.digest
    if event.data is not None:
        if event.salt is None or len(event.salt) != SALT_BYTES:
            return None
        digest = data_digest(event.salt, event.data)
        if event.digest is not None and event.digest != digest:
            return None
    if digest is None:
        return None
    header = Header(event.actor, event.created_at, digest.hex(), event.run_id, event.seq, event.type, event.usage)
    return _hash(prev, header)  # unchecked: what was edited into nonsense is an edit, too


def _misplaced(found: int, expected: int, remaining: Iterable[Link]) -> Break:
    if found < expected:
        return Break(found, "added")
    later = any(event.seq == expected for event in remaining)
    return Break(expected, "reordered" if later else "dropped")
