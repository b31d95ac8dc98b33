"""The archive of a bundle: stored, never compressed. So there is one way to write it, and each byte is looked at."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from typing import NamedTuple

from runwright.governance.verifier.report import NotABundle, Report

LOCAL, CENTRAL, END = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")
HEADER, ENTRY, LAST = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


class Member(NamedTuple):
    """A file of the archive: where its header and its bytes begin, and how many they are."""

    name: str
    head: int
    at: int
    size: int


def local_header(name: str, crc: int, size: int) -> bytes:
    """Return what stands before the bytes of a file."""
    encoded = name.encode()
    return LOCAL.pack(HEADER, 20, 0x0800, 0, 0, 0x21, crc, size, size, len(encoded), 0) + encoded


def directory(entries: Sequence[tuple[str, int, int, int]], at: int) -> bytes:
    """Return what stands at the end of an archive, at `at`: of each file (name, CRC, size, place of its header)."""
    parts = [
        CENTRAL.pack(
            ENTRY, 0x0314, 20, 0x0800, 0, 0, 0x21, crc, size, size, len(name.encode()), 0, 0, 0, 0, 0o100644 << 16, head
        )
        + name.encode()
        for name, crc, size, head in entries
    ]
    size = sum(map(len, parts))
    return b"".join(parts) + END.pack(LAST, 0, 0, len(entries), len(entries), size, at, 0)


class Archive:
    """The files of an archive, found from its beginning by what should be there."""

    def __init__(self, data: mmap.mmap, report: Report) -> None:
        self._data, self._report = data, report
        self.members: list[Member] = []
        self._at = 0

    def first(self, name: str) -> bytes:
        """Return the next file, which is one line; nothing where it is not there."""
        data, head = self._data, self._at
        encoded = name.encode()
        if data[head + 30 : head + 30 + len(encoded)] != encoded:
            if head == 0 and data[:4] != HEADER:
                raise NotABundle("this is no evidence bundle")
            head = self._elsewhere(name, encoded)
            if head < 0:
                return b""
        start = head + 30 + len(encoded)
        end = start + int.from_bytes(data[head + 22 : head + 26], "little")
        if not self._boundary(end):
            end = data.find(b"\n", start) + 1
        if end == 0:
            self._report.tell(name, "truncated")
            end = len(data)
        if head == self._at:
            self.members.append(Member(name, head, start, end - start))
            self._at = end
        return data[start:end]

    def _elsewhere(self, name: str, encoded: bytes) -> int:
        """Say what became of a file that does not begin here; return where its header is, or a negative number."""
        data, at = self._data, self._at
        while (at := data.find(encoded, at + 1)) >= 0:
            if data[at - 30 : at - 26] == HEADER:
                self._report.tell(name, "reordered", "it does not stand where it must")
                return at - 30
        alike = data[self._at + 26 : self._at + 28] == len(encoded).to_bytes(2, "little")
        end = data.find(b"\n", self._at + 30)
        if alike and end >= 0 and self._boundary(end + 1):
            self._report.tell(name, "edited", "its name in the archive")
            return self._at
        self._report.tell(name, "dropped")
        return -1

    def rest(self, expected: Sequence[tuple[str, int]]) -> int:
        """Find the other files, which should be these, of these sizes; return where they end."""
        sizes, names, place = dict(expected), [name for name, _ in expected], 0
        while self._at < len(self._data) and self._data[self._at : self._at + 4] not in (ENTRY, LAST):
            found = self._member(sizes, expected[place] if place < len(expected) else None)
            if found is None:
                at = self._next(self._at + 1, sizes)
                if at == len(self._data):
                    break
                self._at = at
                continue
            self.members.append(found)
            self._at = found.at + found.size
            place = names.index(found.name) + 1 if found.name in sizes else place
        return self._at

    def _member(self, sizes: dict[str, int], expected: tuple[str, int] | None) -> Member | None:
        """Return the file that begins here, as its header says, or as it should be where that is damaged."""
        data, head = self._data, self._at
        fields = LOCAL.unpack(data[head : head + 30]) if len(data) - head >= 30 else None
        name, at = "", head + 30
        if fields is not None and fields[0] == HEADER:
            at = head + 30 + fields[9] + fields[10]
            name = data[head + 30 : head + 30 + fields[9]].decode("utf-8", "replace")
            own = sizes.get(name, -1)
            if (fields[7] == own and at + own <= len(data)) or self._boundary(at + fields[7]):
                return Member(name, head, at, fields[7])
            if own >= 0 and self._boundary(at + own):
                return Member(name, head, at, own)
        if expected is not None and self._boundary(head + 30 + len(expected[0].encode()) + expected[1]):
            return Member(expected[0], head, head + 30 + len(expected[0].encode()), expected[1])
        if name not in sizes and expected is not None and len(data) - head < 30 + len(expected[0].encode()):
            name, at = expected[0], len(data)
        if name not in sizes:
            return None
        end = self._next(at, sizes)
        if end == len(data):
            self._report.tell(name, "truncated", "the archive ends in it")
        return Member(name, head, min(at, end), max(end - at, 0))

    def _boundary(self, at: int) -> bool:
        return self._data[at : at + 4] in (HEADER, ENTRY, LAST)

    def _next(self, at: int, sizes: dict[str, int]) -> int:
        """Return where the next file begins that should be there, or the directory, or the archive's end."""
        while (at := self._data.find(b"PK", at)) >= 0:
            if self._data[at : at + 4] in (ENTRY, LAST):
                return at
            if self._data[at : at + 4] == HEADER:
                length = int.from_bytes(self._data[at + 26 : at + 28], "little")
                if self._data[at + 30 : at + 30 + length].decode("utf-8", "replace") in sizes:
                    return at
            at += 1
        return len(self._data)

    def frame(self, crcs: Sequence[int], end: int) -> None:
        """Check every byte that belongs to no file: headers, directory, and what comes after it."""
        entries = [(each.name, crc, each.size, each.head) for each, crc in zip(self.members, crcs, strict=True)]
        at = 0
        for each, crc in zip(self.members, crcs, strict=True):
            if each.head != at:
                self._report.tell(each.name, "edited", "bytes stand before it that belong to nothing")
            at = each.at + each.size
            if self._data[each.head : each.at] != local_header(each.name, crc, each.size):
                self._report.tell(each.name, "edited", "its header in the archive")
        tail, wanted = self._data[end:], directory(entries, end)
        if tail == wanted or self._report.problems:
            return
        at = 0
        for name, *_ in entries:
            size = CENTRAL.size + len(name.encode())
            if tail[at : at + size] != wanted[at : at + size]:
                self._report.tell(name, "edited", "its entry in the archive's directory")
                return
            at += size
        what = "truncated" if len(tail) < len(wanted) else "added" if tail.startswith(wanted) else "edited"
        self._report.tell("the end of the archive", what)
