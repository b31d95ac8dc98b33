"""Artifacts by digest, as files under the data directory."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from runwright.errors import NotFound, StoreError, StoreUnavailable, TooLarge

_DIGEST = re.compile(r"[0-9a-f]{64}")


class FileArtifacts:
    """`ArtifactStore` in `directory`: `ab/cdef…`, written beside, synced, then renamed, so none is ever half there."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes

    async def put(self, data: bytes) -> str:
        """Store the bytes durably and return their digest (hex). Raises `TooLarge`."""
        if len(data) > self._max_bytes:
            raise TooLarge(f"an artifact may have {self._max_bytes} bytes, this one has {len(data)}")
        digest = hashlib.sha256(data).hexdigest()
        await asyncio.to_thread(self._write, self._path(digest), data)
        return digest

    async def get(self, digest: str) -> bytes:
        """Return the bytes. Raises `NotFound`, and `StoreError` when they are not what the digest says."""
        if not _DIGEST.fullmatch(digest):
            raise NotFound("artifact", digest)
        try:
            data = await asyncio.to_thread(self._path(digest).read_bytes)
        except FileNotFoundError as absent:
            raise NotFound("artifact", digest) from absent
        except OSError as broken:
            raise StoreUnavailable(f"the artifact {digest} cannot be read: {broken.strerror}") from broken
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"the artifact {digest} was changed on disk; restore it from a backup")
        return data

    async def remove(self, digests: Sequence[str]) -> None:
        """Forget the bytes; unknown digests are no error."""
        for digest in digests:
            await asyncio.to_thread(self._path(digest).unlink, missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._directory / digest[:2] / digest[2:]

    def _write(self, path: Path, data: bytes) -> None:
        if path.exists():
            return
        beside = path.with_suffix(f".{secrets.token_hex(6)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(path)
            _sync(path.parent)
            _sync(self._directory)  # it may have got the folder just now
        except OSError as broken:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise StoreUnavailable(f"the artifact cannot be stored: {broken.strerror}") from broken


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
