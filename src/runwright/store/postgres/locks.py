"""Locks on what may not exist: a key, a limit, a duty. PostgreSQL's advisory locks of the transaction, by hash.

Two names of one hash only wait for each other without need; both sort to one place, so the order of locks holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

LOCK = "SELECT pg_advisory_xact_lock(n.hash) FROM unnest($1::bigint[]) AS n(hash)"
"""Takes the locks in the order of the array; a statement after it sees what the former holders committed."""
TRY = "SELECT pg_try_advisory_xact_lock($1::bigint)"


def hashed(kind: str, *names: str) -> int:
    """Return the lock of something, as PostgreSQL numbers them."""
    digest = blake2b("\0".join((kind, *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def in_order(hashes: Iterable[int]) -> list[int]:
    """Return locks in the order in which everybody takes them."""
    return sorted(set(hashes))
