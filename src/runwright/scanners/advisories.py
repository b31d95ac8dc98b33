"""A local source of advisories: a directory of OSV records, a zip of them as osv.dev gives them away, or one file.

Nothing is asked of anybody: who wants fresh advisories fetches them beside the server. Which record is about which
package is found out once for each state of the source; records are read when a project has their package.
"""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from runwright.domain.osv import Advisory, Package, Unreadable, about, read_advisory

RECORD_MAX = 4 << 20
"""Bytes of one record; a larger one counts as unreadable."""
RECORDS_MAX = 2_000_000


class NoSource(Exception):
    """Say why there are no advisories."""


class Index(NamedTuple):
    """Which records are about a package, how many there are, and how many could not be read."""

    records: Mapping[Package, tuple[str, ...]]
    total: int
    unreadable: int


class Records(Protocol):
    """Records by the names that they have in their source."""

    def all(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield each with its name; None for one that is too large."""
        ...

    def one(self, name: str) -> bytes:
        """Return one."""
        ...


class Advisories:
    """The advisories of one source, in one state of it."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._index: Index | None = None
        self._one = threading.Lock()

    @property
    def index(self) -> Index:
        """Return which record is about whom, found out once. Raises `NoSource` where there is none."""
        with self._one:
            if self._index is None:
                self._index = _indexed(self._records.all())
            return self._index

    def of(self, whom: Package) -> Iterator[Advisory]:
        """Yield the advisories about a package. Raises `NoSource`."""
        for name in self.index.records.get(whom, ()):
            try:
                yield read_advisory(self._records.one(name))
            except Unreadable:
                continue  # it counts as unreadable already, or has been one that is read
            except (OSError, KeyError, zipfile.BadZipFile) as gone:
                raise NoSource(f"the source of advisories has changed: {gone}") from None


def _indexed(records: Iterable[tuple[str, bytes | None]]) -> Index:
    found: dict[Package, list[str]] = {}
    count = unreadable = 0
    for name, data in records:
        count += 1
        if count > RECORDS_MAX:
            raise NoSource(f"the source of advisories has more than {RECORDS_MAX} records")
        try:
            whom = about(data) if data is not None else None
            if whom:
                read_advisory(data or b"")
        except Unreadable:
            whom = None
        if whom is None:
            unreadable += 1
        for each in whom or ():
            found.setdefault(each, []).append(name)
    if count == unreadable:
        raise NoSource("the source of advisories holds no record of OSV")
    return Index({whom: tuple(names) for whom, names in found.items()}, count, unreadable)


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root

    def all(self) -> Iterator[tuple[str, bytes | None]]:
        for path in sorted(self._root.rglob("*.json")):
            if path.is_file():
                small = path.stat().st_size <= RECORD_MAX
                yield str(path.relative_to(self._root)), path.read_bytes() if small else None

    def one(self, name: str) -> bytes:
        return (self._root / name).read_bytes()


class _Zip:
    """A zip that stays open: to read what it lists takes as long as many of its records."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)

    def all(self) -> Iterator[tuple[str, bytes | None]]:
        for info in self._archive.infolist():
            if info.filename.endswith(".json"):
                yield info.filename, self._archive.read(info) if info.file_size <= RECORD_MAX else None

    def one(self, name: str) -> bytes:
        return self._archive.read(name)


class Given:
    """Records that were read from somewhere else: a file holds one, or a list of them."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._records: dict[str, bytes] = {}
        for name, data in files.items():
            for number, record in enumerate(_listed(data)):
                self._records[f"{name}#{number}"] = record

    def all(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield each with its name."""
        yield from self._records.items()

    def one(self, name: str) -> bytes:
        """Return one."""
        return self._records[name]


def _listed(data: bytes) -> list[bytes]:
    try:
        return [bytes(each) for each in msgspec.json.decode(data, type=list[msgspec.Raw])]
    except msgspec.DecodeError:
        return [data]


class Shelf:
    """The source that a path names; looked through anew when it is another than before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: object = None
        self._now: Advisories | None = None
        self._one = threading.Lock()

    def advisories(self) -> Advisories:
        """Return the advisories as they are now. Raises `NoSource`."""
        with self._one:
            try:
                state = self._looked_at()
            except OSError as why:
                raise NoSource(f"the source of advisories cannot be read: {why.strerror}") from None
            if self._now is None or state != self._state:
                self._state, self._now = state, Advisories(self._records())
            return self._now

    def _looked_at(self) -> object:
        whole = (
            [self._path, *(path for path in self._path.iterdir() if path.is_dir())]
            if self._path.is_dir()
            else [self._path]
        )
        return [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(whole)]

    def _records(self) -> Records:
        if self._path.is_dir():
            return _Directory(self._path)
        if zipfile.is_zipfile(self._path):
            return _Zip(self._path)
        return Given({self._path.name: self._path.read_bytes()})


def given(files: Mapping[str, bytes]) -> Advisories:
    """Return the advisories of files that were read from a repository. Raises `NoSource` when they are asked."""
    return Advisories(Given(files))
