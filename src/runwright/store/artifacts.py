"""Artifacts by digest, as files under the data directory.

A file is put before a transaction names it, so there is a time when nothing names a file that is wanted. Nobody removes
a file in that time, because (1) every `put` of bytes that are there already sets their time anew, under the lock that
also covers each removal: either it comes first and the removal sees the new time, or it comes after and writes the
file again; (2) `collect` takes only files whose time is older than any such transaction lasts; (3) `remove`, which
takes files at once after the last row that named them went, leaves those that were put again in this process, for
`collect`. Transactions end with their process, and one process owns the directory, so memory is enough for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path

from runwright.clock import Clock
from runwright.errors import NotFound, StoreError, StoreUnavailable, TooLarge

INCOMING = "incoming"
"""The folder of files that are being written; their digests are not known before their ends."""
FOLDERS = (*(f"{number:02x}" for number in range(256)), INCOMING)
PIECE_BYTES = 256 * 1024

_DIGEST = re.compile(r"[0-9a-f]{64}")


class FileArtifacts:
    """`ArtifactStore` in `directory`: `ab/cdef…`, written beside, synced, then renamed, so none is ever half there."""

    folders = len(FOLDERS)

    def __init__(self, directory: Path, max_bytes: int, clock: Clock) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._put_again: dict[str, int] = {}

    async def put(self, data: bytes) -> str:
        """Store the bytes durably and return their digest (hex). Raises `TooLarge`."""
        if len(data) > self._max_bytes:
            raise TooLarge(f"an artifact may have {self._max_bytes} bytes, this one has {len(data)}")
        return await asyncio.to_thread(self._write, data)

    async def receive(self, parts: AsyncIterator[bytes]) -> tuple[str, int]:
        """Store bytes as they come and return digest and size; whatever ends early leaves nothing. Raises `TooLarge`.

        No more than a piece of them is in memory.
        """
        incoming = await asyncio.to_thread(_Incoming, self._directory / INCOMING)
        try:
            waiting = bytearray()
            size = 0
            async for part in parts:
                waiting += part
                size += len(part)
                if size > self._max_bytes:
                    raise TooLarge(f"an artifact may have {self._max_bytes} bytes, this one has more")
                if len(waiting) >= PIECE_BYTES:
                    await asyncio.to_thread(incoming.write, bytes(waiting))
                    waiting.clear()
            await asyncio.to_thread(incoming.write, bytes(waiting))
            return await asyncio.to_thread(self._place, incoming), size
        finally:
            await asyncio.shield(asyncio.to_thread(incoming.drop))

    async def get(self, digest: str) -> bytes:
        """Return the bytes. Raises `NotFound`, and `StoreError` when they are not what the digest says."""
        path = self._path(digest)
        with _read(digest):
            data, found = await asyncio.to_thread(_hashed, path)
        if found != digest:
            raise StoreError(f"the artifact {digest} was changed on disk; restore it from a backup")
        return data

    async def size(self, digest: str) -> int:
        """Return how many bytes there are. Raises `NotFound`."""
        path = self._path(digest)
        with _read(digest):
            return (await asyncio.to_thread(path.stat)).st_size

    async def pieces(self, digest: str, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` to before `stop`, piece by piece. Raises `NotFound`."""
        path = self._path(digest)
        with _read(digest):
            file = await asyncio.to_thread(path.open, "rb")
            try:
                file.seek(start)
                while start < stop:
                    piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, stop - start))
                    if not piece:
                        raise StoreError(f"the artifact {digest} was cut on disk; restore it from a backup")
                    start += len(piece)
                    yield piece
            finally:
                file.close()

    async def remove(self, digests: Sequence[str]) -> None:
        """Remove files that nothing names any more, but those that were put again; unknown digests are no error."""
        for digest in digests:
            await asyncio.to_thread(self._unlink, digest, None)

    async def aged(self, folder: int, before: int) -> list[str]:
        """Return the digests in a folder that were last put before an instant (µs), in order.

        What killed writers left half written, as long ago, goes at once.
        """
        return await asyncio.to_thread(self._aged, FOLDERS[folder], before)

    async def collect(self, digests: Sequence[str], before: int) -> int:
        """Remove those of the files that were last put before an instant (µs); return how many."""
        return sum([await asyncio.to_thread(self._unlink, digest, before) for digest in digests])

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise NotFound("artifact", digest)
        return self._directory / digest[:2] / digest[2:]

    def _write(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        if not self._touched(digest):
            incoming = _Incoming(self._directory / INCOMING)
            try:
                incoming.write(data)
                self._place(incoming)
            finally:
                incoming.drop()
        return digest

    def _touched(self, digest: str) -> bool:
        """Set the time of a file anew; tell whether there is one, durably."""
        path, now = self._path(digest), self._clock.now()
        with _written(), self._lock:
            try:
                os.utime(path, ns=(now * 1000, now * 1000))
            except (FileNotFoundError, NotADirectoryError):
                return False
            self._put_again[digest] = now
        with _written():
            _sync(path.parent)  # whoever put it first may not have come so far
        return True

    def _place(self, incoming: _Incoming) -> str:
        """Give a written file its name; return the digest that it is."""
        digest = incoming.close()
        path, now = self._path(digest), self._clock.now()
        if self._touched(digest):
            return digest
        with _written():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.utime(incoming.path, ns=(now * 1000, now * 1000))
            with self._lock:
                if path.exists():  # another put was faster
                    self._put_again[digest] = now
                incoming.path.rename(path)
            _sync(path.parent)
            _sync(self._directory)  # it may have got the folder just now
        return digest

    def _unlink(self, digest: str, before: int | None) -> bool:
        path = self._path(digest)
        with self._lock, contextlib.suppress(FileNotFoundError):
            if before is None and digest in self._put_again:
                return False
            if before is not None and path.stat().st_mtime_ns >= before * 1000:
                return False
            path.unlink()
            self._put_again.pop(digest, None)
            return True
        return False

    def _aged(self, folder: str, before: int) -> list[str]:
        with self._lock:
            for digest in [each for each, at in self._put_again.items() if at < before]:
                del self._put_again[digest]
        found = []
        for path in sorted((self._directory / folder).glob("*")):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns < before * 1000:
                    if _DIGEST.fullmatch(folder + path.name):
                        found.append(folder + path.name)
                    else:
                        path.unlink()
        return found


def _hashed(path: Path) -> tuple[bytes, str]:
    data = path.read_bytes()
    return data, hashlib.sha256(data).hexdigest()


class _Incoming:
    """A file that is being written and hashed, under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / secrets.token_hex(16)
        self._hash = hashlib.sha256()
        with _written():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("xb")

    def write(self, data: bytes) -> None:
        """Write more."""
        with _written():
            self._file.write(data)
        self._hash.update(data)

    def close(self) -> str:
        """Make what was written durable; return its digest."""
        with _written(), self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._hash.hexdigest()

    def drop(self) -> None:
        """Remove the file, unless it got its name."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


@contextlib.contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as broken:
        raise StoreUnavailable(f"the artifact cannot be stored: {broken.strerror}") from broken


@contextlib.contextmanager
def _read(digest: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as absent:
        raise NotFound("artifact", digest) from absent
    except OSError as broken:
        raise StoreUnavailable(f"the artifact {digest} cannot be read: {broken.strerror}") from broken


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
