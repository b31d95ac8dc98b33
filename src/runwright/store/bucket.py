"""Artifacts by digest, as objects of a bucket in S3 or what speaks like it: any node stores, reads and removes them.

An artifact is put before a transaction names it, so there is a time when nothing names bytes that are wanted. A bucket
has no lock under which one looks and removes, so no key is ever put again once it may be removed: a key is the digest
and the period in which it was put (`ab/cdef…/<its first second>`, a quarter of the time that orphans are kept). Who
puts bytes relies on the key of its own period and on no older one, and writes it, unless it is there. Then (1)
`collect` removes keys whose period ended longer ago than orphans are kept, so that whoever relied on one has had that
time to name it; (2) `remove`, which takes bytes at once after the last row that named them went, takes keys whose
period ended a whole period ago, and leaves younger ones for `collect`. What removes names exact keys: however late it
arrives, it meets nothing that was put since. Clocks of nodes may differ by a period.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import IO, Any, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from runwright.clock import Clock
from runwright.errors import NotFound, StoreError, StoreUnavailable, TooLarge
from runwright.store.artifacts import FOLDERS, INCOMING
from runwright.store.bucket_terms import BucketTerms

PIECE_BYTES = 4 << 20
"""So much is read by one request."""
PART_BYTES = 8 << 20
"""So much is one part of a large object; S3 takes none under 5 MiB but the last."""
WHOLE_BYTES = 16 << 20
"""What is larger is written in parts."""
PARTS_AT_ONCE = 4
KNOWN_MAX = 10_000
"""Digests of which the newest key is kept in mind."""
SECOND_US = 1_000_000
TOLD_MAX = 400
REFUSED = (
    "look at its credentials (RUNWRIGHT_S3_ACCESS_KEY_ID and RUNWRIGHT_S3_SECRET_ACCESS_KEY, or the AWS_* variables),"
    " and at its policy, which must allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket"
)
UNKNOWN = "501 Not Implemented"
"""What says a server that cannot put an object only where none is."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"([0-9a-f]{2})/([0-9a-f]{62})/([0-9a-f]{10})")
T = TypeVar("T")


class BucketArtifacts:
    """`ArtifactStore` in a bucket; bytes are hashed as they are read, and no half of an object is ever there."""

    folders = len(FOLDERS) - 1  # nothing is ever half there, so there is no folder of what comes in

    def __init__(self, terms: BucketTerms, max_bytes: int, clock: Clock) -> None:
        self._terms = terms
        self._store = _opened(terms)
        self._max_bytes = max_bytes
        self._clock = clock
        self._period_us = max(terms.orphan_us // 4, SECOND_US)
        self._known: OrderedDict[str, str] = OrderedDict()
        self._conditional = True

    async def put(self, data: bytes) -> str:
        """Store the bytes durably and return their digest (hex). Raises `TooLarge`."""
        if len(data) > self._max_bytes:
            raise TooLarge(f"an artifact may have {self._max_bytes} bytes, this one has {len(data)}")
        digest = await asyncio.to_thread(_digest, data)
        await self._write(digest, data, len(data))
        return digest

    async def receive(self, parts: AsyncIterator[bytes]) -> tuple[str, int]:
        """Store bytes as they come and return digest and size; whatever ends early leaves nothing. Raises `TooLarge`.

        They are gathered in a temporary file: a bucket wants to know the key before the first byte.
        """
        file, digest, size = await asyncio.to_thread(_spool), hashlib.sha256(), 0
        try:
            async for part in parts:
                size += len(part)
                if size > self._max_bytes:
                    raise TooLarge(f"an artifact may have {self._max_bytes} bytes, this one has more")
                digest.update(part)
                await asyncio.to_thread(_kept, file, part)
            await asyncio.to_thread(file.seek, 0)
            source = file if size > WHOLE_BYTES else await asyncio.to_thread(file.read)
            await self._write(digest.hexdigest(), source, size)
            return digest.hexdigest(), size
        finally:
            file.close()

    async def get(self, digest: str) -> bytes:
        """Return the bytes. Raises `NotFound`, and `StoreError` when they are not what the digest says."""

        async def whole(key: str) -> bytes:
            found = await obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())

        data = await self._there(digest, whole)
        if await asyncio.to_thread(_digest, data) != digest:
            raise self._other(digest)
        return data

    async def size(self, digest: str) -> int:
        """Return how many bytes there are. Raises `NotFound`."""

        async def head(key: str) -> int:
            return int((await obstore.head_async(self._store, key))["size"])

        return await self._there(digest, head)

    async def pieces(self, digest: str, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` to before `stop`, piece by piece. Raises `NotFound`.

        Whoever asks for all of them gets the last ones only if all are what the digest says, else a `StoreError`.
        """
        size = await self.size(digest)
        hashed = hashlib.sha256() if start == 0 and stop == size else None
        while start < stop:
            if start >= size:
                raise StoreError(f"the artifact {digest} was cut in {self._terms.name}; restore it from a backup")
            piece = await self._there(digest, partial(self._piece, start, min(start + PIECE_BYTES, stop, size)))
            start += len(piece)
            if hashed is not None:
                hashed.update(piece)
                if start == size and hashed.hexdigest() != digest:
                    raise self._other(digest)
            yield piece

    async def remove(self, digests: Sequence[str]) -> None:
        """Remove bytes that nothing names any more, but those put lately; unknown digests are no error."""
        before = self._clock.now() - self._period_us
        for digest in digests:
            await self._drop([key for key, end in await self._keys(digest) if end <= before])

    async def aged(self, folder: int, before: int) -> list[str]:
        """Return the digests in one part of the store that were last put before an instant (µs), in order.

        Of bytes that were put in several periods, all but the newest go when they are as old.
        """
        assert FOLDERS[folder] != INCOMING
        newest: dict[str, tuple[int, str]] = {}
        older: list[tuple[int, str]] = []
        for key, digest, end in await self._listed(FOLDERS[folder]):
            last = newest.get(digest)
            newest[digest] = (end, key) if last is None else max(last, (end, key))
            if last is not None:
                older.append(min(last, (end, key)))
        await self._drop([key for end, key in older if end <= before])
        return sorted(digest for digest, (end, _) in newest.items() if end <= before)

    async def collect(self, digests: Sequence[str], before: int) -> int:
        """Remove those of the bytes that were last put before an instant (µs); return how many."""
        removed = 0
        for digest in digests:
            keys = await self._keys(digest)
            if keys and all(end <= before for _, end in keys):
                await self._drop([key for key, _ in keys])
                removed += 1
        return removed

    async def probe(self) -> None:
        """Write, find, read and remove an object. Raises `StoreUnavailable`, which says what is wrong."""
        key, data = f"probe/{secrets.token_hex(16)}", b"runwright"
        with self._said():
            await self._put(key, data)
            found = bytes(await (await obstore.get_async(self._store, key)).bytes_async())
            listed = [each["path"] async for page in obstore.list(self._store, "probe") for each in page]
            await obstore.delete_async(self._store, [key])
        if found != data or key not in listed:
            raise StoreUnavailable(f"{self._terms.name} does not give back what was written to it just now")

    # --- keys ---------------------------------------------------------------------------------------------------------

    async def _write(self, digest: str, source: bytes | IO[bytes], size: int) -> None:
        at = self._clock.now() // self._period_us * self._period_us // SECOND_US
        key = f"{digest[:2]}/{digest[2:]}/{at:010x}"
        if self._known.get(digest) == key:
            return
        with self._said():
            if size <= WHOLE_BYTES:
                await self._put(key, source)
            elif not any(each == key for each, _ in await self._keys(digest)):
                await obstore.put_async(
                    self._store, key, source, use_multipart=True, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
                )
        self._remember(digest, key)

    async def _put(self, key: str, data: bytes | IO[bytes]) -> None:
        """Write an object, unless it is there: then it has the same bytes, and the bucket need not take them."""
        if self._conditional:
            try:
                await obstore.put_async(self._store, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return
            except BaseError as refused:
                if UNKNOWN not in str(refused):
                    raise
                self._conditional = False  # this one knows no conditions; the same bytes once more do no harm
            else:
                return
        await obstore.put_async(self._store, key, data, use_multipart=False)

    async def _there(self, digest: str, use: Callable[[str], Awaitable[T]]) -> T:
        """Do something with the newest object of a digest. Raises `NotFound`."""
        if not _DIGEST.fullmatch(digest):
            raise NotFound("artifact", digest)
        known = self._known.get(digest)
        if known is not None:
            with contextlib.suppress(FileNotFoundError), self._said():
                return await use(known)
            self._known.pop(digest, None)  # another node removed it; it may have been put again
        newest = await self._newest(digest)
        with contextlib.suppress(FileNotFoundError), self._said():
            return await use(newest)
        raise NotFound("artifact", digest)

    async def _newest(self, digest: str) -> str:
        keys = await self._keys(digest)
        if not keys:
            raise NotFound("artifact", digest)
        self._remember(digest, keys[-1][0])
        return keys[-1][0]

    async def _piece(self, start: int, stop: int, key: str) -> bytes:
        found = bytes(await obstore.get_range_async(self._store, key, start=start, end=stop))
        if len(found) != stop - start:
            raise StoreUnavailable(f"{self._terms.name} gave {len(found)} bytes of {stop - start}")
        return found

    def _other(self, digest: str) -> StoreError:
        return StoreError(f"the artifact {digest} was changed in {self._terms.name}; restore it from a backup")

    async def _keys(self, digest: str) -> list[tuple[str, int]]:
        """Return the keys of a digest and when their periods end (µs), the oldest first."""
        if not _DIGEST.fullmatch(digest):
            return []
        found = await self._listed(f"{digest[:2]}/{digest[2:]}")
        return sorted(((key, end) for key, _, end in found), key=lambda each: each[1])

    async def _listed(self, beneath: str) -> list[tuple[str, str, int]]:
        """Return the keys in a folder, the digests that they are of, and when their periods end (µs)."""
        found: list[tuple[str, str, int]] = []
        with self._said():
            async for page in obstore.list(self._store, beneath, chunk_size=1000):
                for each in page:
                    named = _KEY.fullmatch(each["path"])
                    if named is not None:
                        end = int(named[3], 16) * SECOND_US + self._period_us
                        found.append((named[0], named[1] + named[2], end))
        return found

    async def _drop(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        with contextlib.suppress(FileNotFoundError), self._said():
            await obstore.delete_async(self._store, list(keys))
        for digest, key in [(each[:2] + each[3:65], each) for each in keys]:
            if self._known.get(digest) == key:
                del self._known[digest]

    def _remember(self, digest: str, key: str) -> None:
        self._known[digest] = key
        self._known.move_to_end(digest)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Translate what goes wrong, but for an object that is not there in a bucket that is."""
        name = self._terms.name
        try:
            yield
        except (FileNotFoundError, BaseError) as broken:
            if "NoSuchBucket" in str(broken):
                told = f"{name} is not there: create it, or correct RUNWRIGHT_S3_BUCKET"
                raise StoreUnavailable(told) from None
            if isinstance(broken, FileNotFoundError):
                raise
            if isinstance(broken, PermissionDeniedError | UnauthenticatedError):
                raise StoreUnavailable(f"{name} refuses this server: {REFUSED}") from None
            told = " ".join(str(broken).split("Debug source", 1)[0].split())[:TOLD_MAX]
            raise StoreUnavailable(f"{name} does not answer as it should: {told}") from None


def _opened(terms: BucketTerms) -> S3Store:
    options: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=terms.connect_s),
        "timeout": timedelta(seconds=terms.request_s),
        "allow_http": terms.plain,
    }
    if terms.certificates is not None:
        options["root_certificate"] = terms.certificates
    retry: Any = {
        "max_retries": terms.retries,
        "retry_timeout": timedelta(seconds=terms.retry_s),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    config: Any = terms.config()
    client: Any = options
    return S3Store(terms.bucket, prefix=terms.prefix or None, config=config, client_options=client, retry_config=retry)


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=PIECE_BYTES)


def _kept(file: IO[bytes], part: bytes) -> None:
    try:
        file.write(part)
    except OSError as broken:
        raise StoreUnavailable(f"the artifact cannot be kept for a moment: {broken.strerror}") from broken


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
