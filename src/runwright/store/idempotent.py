"""Make something once for each idempotency key, whatever is made: a job, a project, a user, a key.

The key is taken in the transaction that makes the thing; a request that failed has taken none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, Generic, TypeVar

import msgspec

from runwright.domain.commands import IdempotencyKey
from runwright.errors import IdempotencyMismatch
from runwright.store.base import Transaction
from runwright.store.queries.idempotency import FORGET, REMEMBER

T = TypeVar("T")

_encode = msgspec.json.Encoder(order="deterministic").encode


class Made(msgspec.Struct, Generic[T], frozen=True):
    """What a request made, or what an earlier request with its key had made (`repeated`)."""

    value: T
    repeated: bool = False


def key_for(owner: str, verb: str, key: str | None, request: Any) -> IdempotencyKey | None:
    """Return the key of a request: valid within `owner` (a project or organization) and for one verb (`jobs.create`).

    The fingerprint is the SHA-256 of what was asked, read and resolved: spaces and the order of fields do not count.
    """
    if key is None:
        return None
    return IdempotencyKey(f"{owner}/{verb}", key, sha256(_encode(request)).hexdigest())


async def once(
    tx: Transaction,
    key: IdempotencyKey | None,
    ttl_us: int,
    find: Callable[[str], Awaitable[T | None]],
    make: Callable[[], Awaitable[tuple[str, T]]],
) -> Made[T]:
    """Make a thing (its id and itself), or find by its id the one that this key made in the last `ttl_us`.

    A key whose thing is gone is free again. Raises `IdempotencyMismatch` when the key made another request's thing.
    """
    if key is None:
        return Made((await make())[1])
    taken = (await tx.idempotency([key], tx.now - ttl_us)).get((key.scope, key.key))
    if taken is not None:
        fingerprint, target = taken
        if fingerprint != key.fingerprint:
            raise IdempotencyMismatch(
                "this idempotency key was used for another request; use a new key, or send the same request",
                data={"expected": fingerprint, "given": key.fingerprint},
            )
        found = await find(target)
        if found is not None:
            return Made(found, repeated=True)
    target, made = await make()
    # An expired row may still stand there.
    await tx.fetch(FORGET, scope=key.scope, key=key.key)
    await tx.fetch(
        REMEMBER, scope=key.scope, key=key.key, fingerprint=key.fingerprint, target=target, created_at=tx.now
    )
    return Made(made)
