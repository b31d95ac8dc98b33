"""Artifacts by digest, as rows of the database: any node stores, reads and removes them.

An artifact is put before a transaction names it, so there is a time when nothing names bytes that are wanted. Nobody
removes them in that time, because (1) every `put` of bytes that are there already sets their time anew, by an update of
the row that each removal deletes: either it comes first and the removal, which looks at the row again under its lock,
sees the new time, or it comes after, finds no row and writes the bytes again; (2) `collect` takes only what was put
longer ago than any such transaction lasts; (3) `remove`, which takes bytes at once after the last row that named them
went, leaves those that were ever put again, for `collect`.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import asyncpg

from runwright import ids
from runwright.clock import Clock
from runwright.errors import NotFound, StoreError, StoreUnavailable, TooLarge
from runwright.store.artifacts import FOLDERS, INCOMING
from runwright.store.postgres.connection import LOST, Connection, translated

PART_BYTES = 1 << 20

_DIGEST = re.compile(r"[0-9a-f]{64}")

TOUCH = "UPDATE blobs SET put_at = greatest(put_at, $2), again_at = $2 WHERE digest = $1 RETURNING blob_id"
PUT = (
    "WITH blob AS (INSERT INTO blobs (blob_id, digest, size, put_at) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (digest) DO UPDATE SET put_at = greatest(blobs.put_at, $4), again_at = $4 RETURNING blob_id)"
    " INSERT INTO blob_parts (blob_id, part, data) SELECT blob.blob_id, n.part, n.data"
    " FROM blob, unnest($5::int[], $6::bytea[]) AS n(part, data) WHERE blob.blob_id = $1 ON CONFLICT DO NOTHING"
)
BEGIN = "INSERT INTO blobs (blob_id, put_at) VALUES ($1, $2) ON CONFLICT DO NOTHING"
PART = "INSERT INTO blob_parts (blob_id, part, data) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
PLACE = "UPDATE blobs SET digest = $2, size = $3, put_at = $4 WHERE blob_id = $1 RETURNING blob_id"
GET = "SELECT p.data FROM blobs b JOIN blob_parts p ON p.blob_id = b.blob_id WHERE b.digest = $1 ORDER BY p.part"
BLOB = "SELECT blob_id FROM blobs WHERE digest = $1"
SIZE = (
    "SELECT (SELECT coalesce(sum(octet_length(p.data)), 0)::bigint FROM blob_parts p WHERE p.blob_id = b.blob_id)"
    " FROM blobs b WHERE b.digest = $1"
)
PIECE = "SELECT substr(data, $3, $4) FROM blob_parts WHERE blob_id = $1 AND part = $2"
AGED = "SELECT digest FROM blobs WHERE digest >= $1 AND digest < $2 AND put_at < $3 ORDER BY digest"
_GONE = (
    "WITH gone AS (DELETE FROM blobs WHERE {which} RETURNING blob_id), parts AS (DELETE FROM blob_parts p USING gone"
    " WHERE p.blob_id = ANY (ARRAY[gone.blob_id])) SELECT count(*) FROM gone"
)
REMOVE = _GONE.format(which="digest = ANY ($1::text[]) AND again_at IS NULL")
COLLECT = _GONE.format(which="digest = ANY ($1::text[]) AND put_at < $2")
FORGET = _GONE.format(which="digest IS NULL AND put_at < $1")
DROP = _GONE.format(which="blob_id = $1 AND digest IS NULL")


class Lender(Protocol):
    """Who lends connections: a pool, or a transaction that lends its own."""

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection."""


class BlobArtifacts:
    """`ArtifactStore` in the tables `blobs` and `blob_parts`: 1 MiB a part, and none is readable before all are."""

    folders = len(FOLDERS)

    def __init__(self, pool: Lender, max_bytes: int, clock: Clock) -> None:
        self._pool = pool
        self._max_bytes = max_bytes
        self._clock = clock

    async def put(self, data: bytes) -> str:
        """Store the bytes durably and return their digest (hex). Raises `TooLarge`."""
        if len(data) > self._max_bytes:
            raise TooLarge(f"an artifact may have {self._max_bytes} bytes, this one has {len(data)}")
        digest = await asyncio.to_thread(_digest, data)
        now = self._clock.now()
        if not await self._fetch(TOUCH, digest, now):
            parts = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
            values = (ids.new_id("blob", now), digest, len(data), now, list(range(len(parts))), parts)
            await self._fetch(PUT, *values)
        return digest

    async def receive(self, parts: AsyncIterator[bytes]) -> tuple[str, int]:
        """Store bytes as they come and return digest and size; whatever ends early leaves nothing. Raises `TooLarge`.

        No more than two parts of them are in memory, and no connection is kept while they are waited for.
        """
        now = self._clock.now()
        blob_id, digest, waiting, size, number = ids.new_id("blob", now), hashlib.sha256(), bytearray(), 0, 0
        await self._fetch(BEGIN, blob_id, now)
        try:
            async for part in parts:
                waiting += part
                size += len(part)
                digest.update(part)
                if size > self._max_bytes:
                    raise TooLarge(f"an artifact may have {self._max_bytes} bytes, this one has more")
                while len(waiting) >= PART_BYTES:
                    await self._fetch(PART, blob_id, number, bytes(waiting[:PART_BYTES]))
                    del waiting[:PART_BYTES]
                    number += 1
            if waiting:
                await self._fetch(PART, blob_id, number, bytes(waiting))
            await self._place(blob_id, digest.hexdigest(), size)
            return digest.hexdigest(), size
        finally:
            await asyncio.shield(self._drop(blob_id))

    async def get(self, digest: str) -> bytes:
        """Return the bytes. Raises `NotFound`, and `StoreError` when they are not what the digest says."""
        data = b"".join([row[0] for row in await self._fetch(GET, _whole(digest))])
        if await asyncio.to_thread(_digest, data) != digest:
            await self._blob(digest)
            raise StoreError(f"the artifact {digest} was changed in the database; restore it from a backup")
        return data

    async def size(self, digest: str) -> int:
        """Return how many bytes there are. Raises `NotFound`."""
        found = await self._fetch(SIZE, _whole(digest))
        if not found:
            raise NotFound("artifact", digest)
        return int(found[0][0])

    async def pieces(self, digest: str, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` to before `stop`, piece by piece. Raises `NotFound`."""
        blob_id = await self._blob(_whole(digest))
        while start < stop:
            part, offset = divmod(start, PART_BYTES)
            found = await self._fetch(PIECE, blob_id, part, offset + 1, min(PART_BYTES - offset, stop - start))
            if not found or not found[0][0]:
                raise StoreError(f"the artifact {digest} was cut in the database; restore it from a backup")
            start += len(found[0][0])
            yield found[0][0]

    async def remove(self, digests: Sequence[str]) -> None:
        """Remove bytes that nothing names any more, but those that were put again; unknown digests are no error."""
        if digests:
            await self._fetch(REMOVE, list(digests))

    async def aged(self, folder: int, before: int) -> list[str]:
        """Return the digests in one part of the store that were last put before an instant (µs), in order.

        What killed writers left half written, as long ago, goes at once.
        """
        head = FOLDERS[folder]
        if head == INCOMING:
            await self._fetch(FORGET, before)
            return []
        return [row[0] for row in await self._fetch(AGED, head, head + "g", before)]

    async def collect(self, digests: Sequence[str], before: int) -> int:
        """Remove those of the bytes that were last put before an instant (µs); return how many."""
        return int((await self._fetch(COLLECT, list(digests), before))[0][0]) if digests else 0

    async def _place(self, blob_id: str, digest: str, size: int) -> None:
        """Give what was received its name, unless the same bytes have it."""
        while not await self._fetch(TOUCH, digest, self._clock.now()):
            try:
                if await self._fetch(PLACE, blob_id, digest, size, self._clock.now()):
                    return
            except StoreError as failure:
                if isinstance(failure.__cause__, asyncpg.UniqueViolationError):
                    continue  # another put was faster; it may be removed before it is touched
                raise
            raise StoreUnavailable("the upload took so long that it was given up; send it again")

    async def _drop(self, blob_id: str) -> None:
        try:
            await self._fetch(DROP, blob_id)
        except StoreUnavailable:
            return  # `aged` finds it

    async def _blob(self, digest: str) -> str:
        found = await self._fetch(BLOB, digest)
        if not found:
            raise NotFound("artifact", digest)
        return str(found[0][0])

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Run one statement by itself; every one may be repeated, so it is, once, when its connection was lost."""
        for fresh in (False, True):
            try:
                async with self._pool.connection() as connection:
                    with translated():
                        return await connection.fetch(statement, *values)
            except StoreUnavailable as lost:
                if fresh or not isinstance(lost.__cause__, LOST):
                    raise
        raise AssertionError("unreachable")


def _whole(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise NotFound("artifact", digest)
    return digest


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
