"""Write a bundle to a spool, and hand it out from there: nothing is sent before all of it is known to be right."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Sequence
from hashlib import sha256
from typing import IO, NamedTuple
from zlib import crc32

import msgspec

from runwright.errors import TooLarge
from runwright.governance.verifier.archive import directory, local_header

IN_MEMORY_BYTES = 4 << 20
PIECE_BYTES = 256 * 1024


class File(msgspec.Struct, frozen=True):
    """A file of the bundle, as the manifest lists it."""

    name: str
    bytes: int
    sha256: str


class Stretch(NamedTuple):
    """Bytes of the spool; `joined` with a comma in place of each line's end."""

    start: int
    size: int
    joined: bool = False


class Packer:
    """Writes files into a spool, one after the other, as an archive keeps them; at most `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - `Bundle` closes it
        self._max_bytes = max_bytes
        self._entries: list[tuple[str, int, int, int]] = []
        self._open = ("", 0, 0)
        self._size = 0
        self._crc = 0
        self._digest = sha256()
        self.files: list[File] = []

    def begin(self, name: str) -> None:
        """Begin a file."""
        head = self._spool.tell()
        self._spool.write(local_header(name, 0, 0))
        self._open = (name, head, self._spool.tell())
        self._size, self._crc, self._digest = 0, 0, sha256()

    def write(self, data: bytes) -> None:
        """Write more of it. Raises `TooLarge`."""
        self._spool.write(data)
        self._size += len(data)
        self._crc = crc32(data, self._crc)
        self._digest.update(data)
        if self._spool.tell() > self._max_bytes:
            raise TooLarge(
                f"the evidence has more than {self._max_bytes} bytes (RUNWRIGHT_EVIDENCE_MAX_BYTES); with"
                " profile=auditor or profile=public it leaves more out",
                code="evidence.too_large",
            )

    def end(self) -> File:
        """End it: now its header can tell its size."""
        name, head, _ = self._open
        end = self._spool.tell()
        self._spool.seek(head)
        self._spool.write(local_header(name, self._crc, self._size))
        self._spool.seek(end)
        self._entries.append((name, self._crc, self._size, head))
        made = File(name, self._size, self._digest.hexdigest())
        self.files.append(made)
        return made

    def add(self, name: str, data: bytes) -> File:
        """Write a whole file."""
        self.begin(name)
        self.write(data)
        return self.end()

    def stretch(self, name: str) -> Stretch:
        """Return where the bytes of a file lie."""
        at = next(entry for entry in self._entries if entry[0] == name)
        return Stretch(at[3] + len(local_header(name, 0, 0)), at[2])

    def archive(self, front: Sequence[tuple[str, bytes]], etag: str) -> Bundle:
        """Return the whole as a zip, in which the files of `front` come before those that were written."""
        begin, entries = b"", []
        for name, data in front:
            entries.append((name, crc32(data), len(data), len(begin)))
            begin += local_header(name, crc32(data), len(data)) + data
        entries += [(name, crc, size, head + len(begin)) for name, crc, size, head in self._entries]
        written = self._spool.tell()
        end = directory(entries, len(begin) + written)
        return Bundle(self._spool, [begin, Stretch(0, written), end], etag)

    def composed(self, parts: list[bytes | Stretch], etag: str) -> Bundle:
        """Return bytes and stretches of the spool as one answer."""
        return Bundle(self._spool, parts, etag)

    def close(self) -> None:
        """Give up what was written."""
        self._spool.close()


class Bundle:
    """What is handed out: its size, a tag that changes with it, and its bytes; close it when that is done."""

    def __init__(self, spool: IO[bytes], parts: list[bytes | Stretch], etag: str) -> None:
        self._spool = spool
        self._parts = parts
        self.etag = etag
        self.size = sum(len(part) if isinstance(part, bytes) else part.size for part in parts)

    async def pieces(self, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` to before `stop`."""
        at = 0
        for part in self._parts:
            size = len(part) if isinstance(part, bytes) else part.size
            first, last = max(start - at, 0), min(stop - at, size)
            while first < last:
                upto = min(first + PIECE_BYTES, last)
                if isinstance(part, bytes):
                    yield part[first:upto]
                else:
                    yield await asyncio.to_thread(self._read, part, first, upto)
                first = upto
            at += size

    def close(self) -> None:
        """Let go of the spool."""
        self._spool.close()

    def _read(self, part: Stretch, first: int, upto: int) -> bytes:
        self._spool.seek(part.start + first)
        data = self._spool.read(upto - first)
        return data.replace(b"\n", b",") if part.joined else data
