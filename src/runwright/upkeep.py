"""The second composition root: what is done to a database beside its servers, or while there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import msgspec

from runwright import ids
from runwright.auth.keyring import Keys
from runwright.auth.secret_files import parse_master_key, read_master_key
from runwright.clock import SystemClock
from runwright.config import Settings
from runwright.domain.ports import ArtifactStore
from runwright.errors import NotFound, StoreError
from runwright.store import migrations, moving
from runwright.store.artifacts import FileArtifacts
from runwright.store.bucket_terms import bucket, bucket_terms
from runwright.store.inspected import Finding, Progress, State, Unlock
from runwright.store.migrations import Status, Upgraded
from runwright.store.moving import Mark, Moved
from runwright.store.postgres import check as cluster
from runwright.store.postgres.arrival import arriving
from runwright.store.sqlite import backup as copies
from runwright.store.sqlite import check as files
from runwright.store.sqlite import upgrade as directory
from runwright.store.sqlite.backup import MANIFEST, Manifest
from runwright.store.sqlite.connection import FILE
from runwright.store.sqlite.departure import departing

__all__ = [
    "Finding", "Manifest", "Moved", "backup", "check", "copy_artifacts", "fits", "move", "opens_sealed_values", "probe",
    "restore", "status", "upgrade",
]  # fmt: skip


def backup(settings: Settings, target: Path, tell: Progress, *, keys: bool = True) -> Manifest:
    """Copy the data directory, beside its server too; see `store.sqlite.backup`."""
    if settings.database_url is not None:
        raise StoreError(
            "this copies data directories; back PostgreSQL up with its own tools, pg_basebackup or pg_dump,"
            " or leave RUNWRIGHT_DATABASE_URL unset"
        )
    clock = SystemClock()
    fetch = None if (lying := bucket(settings, clock)) is None else partial(_fetch, lying)
    return copies.backup(settings.data_dir, target, clock.now(), tell, keys=keys, fetch=fetch)


async def restore(settings: Settings, source: Path, tell: Progress) -> list[Finding]:
    """Make a data directory of a backup that is whole; otherwise return what is wrong with it."""
    if settings.database_url is not None:
        raise StoreError(
            "this makes data directories, and servers with RUNWRIGHT_DATABASE_URL use PostgreSQL: restore that with its"
            " own tools, or leave RUNWRIGHT_DATABASE_URL unset"
        )
    return await copies.restore(source, settings.data_dir, tell)


async def check(settings: Settings, tell: Progress) -> list[Finding]:
    """Return what is wrong with the database, and with the artifacts that it names."""
    unlock, clock = _unlock(settings), SystemClock()
    if settings.database_url is not None:
        return await cluster.check(settings.database_url, clock, tell, unlock, bucket(settings, clock))
    directory = _there(settings)
    copied = (directory / MANIFEST).exists()  # a backup has its artifacts with it
    return await files.check(directory, tell, unlock, None if copied else bucket(settings, clock))


def opens_sealed_values(settings: Settings) -> bool:
    """Tell whether there is a master key, so that `check` opens what is sealed."""
    return _unlock(settings) is not None


async def upgrade(settings: Settings, tell: Progress, *, row_security: bool | None = None) -> Upgraded:
    """Apply the migrations that are pending, and switch row-level security if that is asked for.

    If nothing is said of it, it is switched on where the settings want it, and otherwise stays as it is.
    """
    if settings.database_url is not None:
        wanted = row_security if row_security is not None else settings.database_row_security or None
        return await cluster.upgrade(settings.database_url, migrations.load("postgresql"), SystemClock(), tell, wanted)
    if row_security is not None:
        raise StoreError("only PostgreSQL has row-level security: name a database with --database-url")
    applied = directory.upgrade(_there(settings), migrations.load("sqlite"), SystemClock().now(), tell)
    return Upgraded(applied=applied)


async def status(settings: Settings) -> Status:
    """Tell which schema the database has, and which this program needs. Raises `SchemaMismatch` when it is too new.

    Row-level security that the settings want is pending while it is not on.
    """
    if settings.database_url is None:
        return directory.status(_there(settings), migrations.load("sqlite"))
    found = await cluster.status(settings.database_url, migrations.load("postgresql"))
    if settings.database_row_security and found.row_security != "on":
        return msgspec.structs.replace(found, pending=[*found.pending, "row-level security"])
    return found


async def fits(settings: Settings) -> bool | None:
    """Tell whether the master key is that of the PostgreSQL; None where there is nothing yet, or no key was given."""
    unlock = _unlock(settings)
    if unlock is None or settings.database_url is None:
        return None
    return await cluster.opens(settings.database_url, unlock)


async def move(settings: Settings, target: str, tell: Progress) -> tuple[Moved, list[Finding]]:
    """Move the data directory into an empty PostgreSQL, or return what is wrong: then nothing was moved."""
    clock = SystemClock()
    lying = bucket(settings, clock)
    with departing(settings.data_dir, clock, lying) as source:
        unlock = _unlock(settings)
        if unlock is None:
            raise StoreError(
                f"{settings.data_dir} has no master.key: give RUNWRIGHT_MASTER_KEY, the key that it was made with",
                code="keyring.wrong_master_key",
            )
        async with arriving(target, clock, settings.artifact_max_bytes, lying) as arrival:
            mark = Mark(ids.new_id("move", clock.now()), source.name, arrival.name, clock.now())
            return await moving.move(source, arrival, mark, tell, unlock)


async def copy_artifacts(settings: Settings, tell: Progress, *, to_bucket: bool) -> int:
    """Copy the artifacts that the database names into the bucket, or back beside the database; return how many.

    A server may run, and go on putting: what it put meanwhile is copied by the next time. Nothing is removed.
    """
    clock = SystemClock()
    lying = bucket(settings, clock)
    if lying is None:
        raise StoreError("no bucket is named: set RUNWRIGHT_S3_BUCKET")
    await lying.probe()
    if settings.database_url is not None:
        async with cluster.blobs(settings.database_url, clock, settings.artifact_max_bytes) as (state, beside):
            return await _copied(state, beside, lying, tell, to_bucket=to_bucket)
    own = FileArtifacts(_there(settings) / copies.ARTIFACTS, settings.artifact_max_bytes, clock)
    with closing(files.reading(settings.data_dir)) as reader:
        return await _copied(files.SqliteState(reader), own, lying, tell, to_bucket=to_bucket)


async def _copied(state: State, beside: ArtifactStore, lying: ArtifactStore, tell: Progress, *, to_bucket: bool) -> int:
    source, target = (beside, lying) if to_bucket else (lying, beside)
    return await moving.copied(state, source, target, tell)


def probe(settings: Settings) -> str | None:
    """Try the bucket, and return what it is called, None where none is named. Raises `Error` if it is no good."""
    lying, terms = bucket(settings, SystemClock()), bucket_terms(settings)
    if lying is None or terms is None:
        return None
    asyncio.run(lying.probe())
    return terms.name


def _fetch(lying: ArtifactStore, digests: Sequence[str], target: Path, tell: Progress) -> list[str]:
    """Write artifacts of a bucket into the directory of a backup; return those that were there."""

    async def all_of_them() -> list[str]:
        found = []
        for number, digest in enumerate(digests, 1):
            with suppress(NotFound):  # it was removed since the database was read
                size, path = await lying.size(digest), copies.place(target, digest)
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with path.open("wb") as file:
                    path.chmod(0o600)
                    async for piece in lying.pieces(digest, 0, size):
                        file.write(piece)
                found.append(digest)
            tell("artifacts", number, len(digests))
        return found

    return asyncio.run(all_of_them())


def _there(settings: Settings) -> Path:
    if not (settings.data_dir / FILE).is_file():
        raise StoreError(f"{settings.data_dir} holds no database; name a data directory with --data-dir")
    return settings.data_dir


def _unlock(settings: Settings) -> Unlock | None:
    given = settings.master_key
    if given is None and settings.database_url is not None:
        return None  # a key that lies in a data directory is that directory's
    master = parse_master_key(given) if given is not None else read_master_key(settings.data_dir)
    return None if master is None else partial(Keys.of, master)
