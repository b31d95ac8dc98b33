"""Move everything from one store to another: all of it and checked, or nothing.

The source is locked and only read. What arrives is one transaction of the target: copied, counted and inspected before
it is committed, so nobody ever sees half of it, and a move that was killed left nothing. From the first byte on, and
after the move, a mark in the source keeps servers from going on there with runs that go on elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from runwright.domain.ports import ArtifactStore
from runwright.errors import NotFound, StoreError
from runwright.store.base import Row
from runwright.store.inspected import Finding, Progress, State, Unlock
from runwright.store.inspection import inspect, unlocked
from runwright.store.queries import artifacts as artifact_sql


class Mark(msgspec.Struct, frozen=True):
    """What stands in a source whose runs move, or moved, elsewhere. No secret is in `target`."""

    move_id: str
    source: str
    target: str
    began_at: int


class Moved(msgspec.Struct, frozen=True):
    """What was moved: rows by table, and artifacts; `again` if an earlier move had moved it already."""

    tables: dict[str, int]
    artifacts: int
    again: bool = False


class Source(Protocol):
    """A store that nobody else uses until this is closed."""

    name: str
    tables: Sequence[tuple[str, Sequence[str]]]
    state: State
    artifacts: ArtifactStore

    def mark(self) -> Mark | None:
        """Return the mark of a move that began here."""

    def set_mark(self, mark: Mark) -> None:
        """Keep servers away, durably, until the mark is removed."""

    def remove_mark(self) -> None:
        """Let servers come back: nothing was moved."""

    def count(self, table: str) -> int:
        """Return how many rows a table has."""

    def span(self) -> tuple[str, str] | None:
        """Return the first and the last id of the runs."""

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows of a table."""


class Target(Protocol):
    """An empty store, in the transaction that will fill it."""

    name: str
    state: State
    artifacts: ArtifactStore

    async def moved(self, move_id: str) -> Moved | None:
        """Return what an earlier move of this id moved here."""

    async def prepare(self, run_ids: tuple[str, str] | None) -> None:
        """Lock everything and see that it is empty; make room for runs between two ids. Raises `StoreError`."""

    async def copy(self, table: str, columns: Sequence[str], rows: AsyncIterator[Row]) -> None:
        """Write rows."""

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""

    async def finish(self, mark: Mark, moved: Moved) -> None:
        """Write that all is here, and commit."""


async def move(
    source: Source, target: Target, mark: Mark, tell: Progress, unlock: Unlock
) -> tuple[Moved, list[Finding]]:
    """Move all of it and return what, or what the inspection of the target found: then nothing was moved.

    Raises `StoreError` for a master key that is another's, before anything is copied.
    """
    for wrong in (await unlocked(source.state, unlock))[1]:
        raise StoreError(wrong.how, code="keyring.wrong_master_key")
    begun = source.mark()
    if begun is not None:
        if begun.target != mark.target:
            raise StoreError(
                f"a move of {source.name} to {begun.target} began before: move there, or, if nothing arrived there,"
                " remove moved.json in the data directory"
            )
        done = await target.moved(begun.move_id)
        if done is not None:
            return msgspec.structs.replace(done, again=True), []
    source.set_mark(mark)
    try:
        moved, found = await _copied(source, target, tell, unlock)
    except BaseException:  # an interruption, too: nothing of this can be there without a commit
        _put_back(source, begun)
        raise
    if found:
        _put_back(source, begun)
        return moved, found
    try:
        await target.finish(mark, moved)
    except StoreError as failure:
        # Whether a commit whose answer was lost was one, only the target knows: the mark stays, and says what to do.
        if not failure.retryable:
            _put_back(source, begun)
        raise
    return moved, found


def _put_back(source: Source, begun: Mark | None) -> None:
    """Let servers come back: unless a move that was killed may have come to its end since it was asked for."""
    if begun is None:
        source.remove_mark()
    else:
        source.set_mark(begun)


async def _copied(source: Source, target: Target, tell: Progress, unlock: Unlock) -> tuple[Moved, list[Finding]]:
    counts = {table: source.count(table) for table, _ in source.tables}
    missing = [] if source.artifacts is target.artifacts else await _missing(source)
    if missing:
        return Moved(counts, 0), [Finding("artifact", digest, "is missing") for digest in missing]
    await target.prepare(source.span())
    whole, done = sum(counts.values()), 0
    for table, columns in source.tables:
        tell(table, done, whole)
        await target.copy(table, columns, _told(source.rows(table), table, done, whole, tell))
        done += counts[table]
    artifacts = await copied(source.state, source.artifacts, target.artifacts, tell)
    found = [
        Finding("table", table, f"has {await target.count(table)} rows, {counts[table]} were there")
        for table in counts
        if await target.count(table) != counts[table]
    ]
    found += await inspect(target.state, target.artifacts, counts["runs"], tell, unlock)
    return Moved(counts, artifacts), found


async def _missing(source: Source) -> list[str]:
    """Return the artifacts that are named and not there."""
    missing = []
    for (digest,) in await source.state.fetch(artifact_sql.NAMED, first="", last="g"):
        try:
            await source.artifacts.size(str(digest))
        except NotFound:
            missing.append(str(digest))
    return missing


async def _told(rows: Iterable[Row], table: str, before: int, whole: int, tell: Progress) -> AsyncIterator[Row]:
    for number, row in enumerate(rows, 1):
        if number % 1000 == 0:
            tell(table, before + number, whole)
        yield row


async def copied(state: State, source: ArtifactStore, target: ArtifactStore, tell: Progress) -> int:
    """Copy the artifacts that a database names from one store to another; return how many those are.

    What both stores share stays where it is. Raises `StoreError` for bytes that are not what their digest says.
    """
    named: list[str] = [str(row[0]) for row in await state.fetch(artifact_sql.NAMED, first="", last="g")]
    for number, digest in enumerate(named if source is not target else (), 1):
        tell("artifacts", number - 1, len(named))
        arrived, _ = await target.receive(source.pieces(digest, 0, await source.size(digest)))
        if arrived != digest:
            raise StoreError(f"the artifact {digest} has other bytes than its digest says; restore it from a backup")
    return len(named)
