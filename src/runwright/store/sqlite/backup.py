"""Copy a data directory while a server writes to it, put a copy back, and check either.

A backup reads SQLite beside the server: one read transaction holds one state of the database for the whole copy,
whatever is written meanwhile, so the lock of the directory is not needed. Artifacts never change: those that are there
are copied before the database is read, those that it names besides afterwards, so each that the copy names is in it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import apsw
import msgspec

from runwright.errors import StoreError, StoreReadOnly
from runwright.store.inspected import Finding, Progress
from runwright.store.sqlite.check import NAMED, check, reading, schema
from runwright.store.sqlite.connection import FILE, LOCK, lock, translated

ARTIFACTS = "artifacts"
MANIFEST = "backup.json"
SECRETS = ("master.key", "credentials.json")
PAGES = 256
TRIES = 3


Fetch = Callable[[Sequence[str], Path, Progress], Iterable[str]]
"""Writes artifacts into the directory of a copy, and tells which were there."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int = 1
    made_at: int
    schema: int
    database_sha256: str
    database_bytes: int
    artifacts: int
    artifact_bytes: int
    secrets: list[str]


def backup(
    directory: Path, target: Path, made_at: int, tell: Progress, *, keys: bool = True, fetch: Fetch | None = None
) -> Manifest:
    """Copy a data directory to `target`, which must not exist; it is there whole or not at all.

    `fetch` brings artifacts that lie elsewhere: the copy has them, too, whatever becomes of that place.
    Raises `StoreReadOnly` where it cannot be written, `StoreError` for what is no data directory or already there.
    """
    if not (directory / FILE).is_file():
        raise StoreError(f"{directory} holds no database; name the data directory of a server with --data-dir")
    if target.exists():
        raise StoreError(f"{target} is there already; name a directory that does not exist")
    beside = target.with_name(f".{target.name}.partial")
    with _written(beside):
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700, parents=True)
        manifest = _fill(directory, beside, made_at, tell, fetch, keys=keys)
        _write(beside / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        _sync_all(beside)
        beside.rename(target)
        _sync(target.parent)
    return manifest


def _fill(directory: Path, beside: Path, made_at: int, tell: Progress, fetch: Fetch | None, *, keys: bool) -> Manifest:
    copied = set(_copy_all(directory, beside, _there(directory), tell) if fetch is None else ())
    for _ in range(TRIES):
        named, number = _copy_database(directory, beside, tell)
        missing = [digest for digest in named if digest not in copied]
        copied.update(_copy_all(directory, beside, missing, tell) if fetch is None else fetch(missing, beside, tell))
        if copied.issuperset(named):
            break  # else one was pruned or erased after the database was read: a later state does not name it
    else:
        raise StoreError("artifacts that the database names are missing; `runwright db check` tells which")
    for digest in copied - set(named):
        place(beside, digest).unlink()
    kept = [name for name in SECRETS if keys and (directory / name).is_file()]
    for name in kept:
        _write(beside / name, (directory / name).read_bytes())
    sizes = [place(beside, digest).stat().st_size for digest in named]
    return Manifest(
        made_at=made_at,
        schema=number,
        database_sha256=_digest(beside / FILE),
        database_bytes=(beside / FILE).stat().st_size,
        artifacts=len(sizes),
        artifact_bytes=sum(sizes),
        secrets=kept,
    )


def _copy_database(directory: Path, beside: Path, tell: Progress) -> tuple[list[str], int]:
    """Copy one state of the database; return the artifacts that it names and its schema's number."""
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal"):
        (beside / name).unlink(missing_ok=True)
    with translated(), closing(reading(directory)) as source, closing(apsw.Connection(str(beside / FILE))) as copy:
        source.execute("BEGIN")
        number = schema(source)  # this read fixes the state: what is written from now on is not in it
        with copy.backup("main", source, "main") as steps:
            while not steps.done:
                steps.step(PAGES)
                tell("database", steps.page_count - steps.remaining, steps.page_count)
        named = [str(row[0]) for row in source.execute(NAMED)]
        source.execute("COMMIT")
        copy.execute("PRAGMA journal_mode = DELETE")
    (beside / FILE).chmod(0o600)
    return named, number


async def restore(source: Path, directory: Path, tell: Progress) -> list[Finding]:
    """Put a backup where no data directory is yet, after it was checked; return what the check found.

    Nothing is written when something was found. Raises `StoreError` for what is no backup or would be overwritten.
    """
    manifest = _manifest(source)
    if (directory / FILE).exists() or (directory / ARTIFACTS).exists():
        raise StoreError(f"{directory} holds data; move it away, or name another directory with --data-dir")
    if _digest(source / FILE) != manifest.database_sha256:
        return [Finding("database", FILE, "is not the one that was backed up")]
    found = await check(source, tell)
    if found:
        return found
    descriptor = lock(directory)
    try:
        with _written(directory):
            _copy_all(source, directory, _there(source), tell)
            for name in manifest.secrets:
                if (source / name).is_file() and not (directory / name).exists():
                    _write(directory / name, (source / name).read_bytes())
            beside = directory / f".{FILE}.partial"
            _copy(source / FILE, beside)
            beside.rename(directory / FILE)  # last: a directory without it is no data directory yet
            _sync_all(directory)
    finally:
        os.close(descriptor)
        with suppress(OSError):
            (directory / LOCK).unlink()
    return []


def _manifest(source: Path) -> Manifest:
    try:
        return msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as broken:
        raise StoreError(f"{source} is no backup: its {MANIFEST} cannot be read") from broken


def _there(directory: Path) -> list[str]:
    return [path.parent.name + path.name for path in _files(directory / ARTIFACTS)]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.glob("??/*")):
        if "." not in path.name and path.is_file():
            yield path


def place(directory: Path, digest: str) -> Path:
    """Return where an artifact lies in a data directory or a backup."""
    return directory / ARTIFACTS / digest[:2] / digest[2:]


def _copy_all(source: Path, target: Path, digests: list[str], tell: Progress) -> list[str]:
    copied = []
    for number, digest in enumerate(digests, 1):
        with suppress(FileNotFoundError):  # it was removed since it was listed
            _copy(place(source, digest), place(target, digest))
            copied.append(digest)
        tell("artifacts", number, len(digests))
    return copied


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as origin:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as copy:
            shutil.copyfileobj(origin, copy, 1 << 20)


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_all(directory: Path) -> None:
    for path in (*directory.rglob("*"), directory):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _written(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as broken:
        raise StoreReadOnly(f"{place} cannot be written: {broken.strerror}; is there room, and may you?") from broken
