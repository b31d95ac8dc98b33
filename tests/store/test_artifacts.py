"""Large values by their digest: whole or not there, and never another than was stored."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.clock import FrozenClock
from runwright.domain.ports import ArtifactStore
from runwright.errors import NotFound, StoreError, StoreUnavailable, TooLarge
from runwright.store.artifacts import FOLDERS, INCOMING, FileArtifacts
from runwright.store.bucket import BucketArtifacts
from runwright.store.postgres.blobs import PART_BYTES, BlobArtifacts
from runwright.store.postgres.store import PostgresStore
from tests.postgres import execute, new_database, rows
from tests.store.buckets import S3, s3, terms
from tests.store.observers import END

MOST = 5 * PART_BYTES // 2
DAY_S = 86_400
FUNCTION_SCOPED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


class Shelf(Protocol):
    """Where artifacts lie; `more` opens it once more, `count` tells how many pieces lie there."""

    clock: FrozenClock

    async def more(self) -> ArtifactStore: ...

    def count(self) -> int: ...

    def change(self, data: bytes) -> None: ...


class FileShelf:
    """A directory, of one process."""

    def __init__(self, directory: Path) -> None:
        self.clock = FrozenClock()
        self.directory = directory
        self._one = FileArtifacts(directory, MOST, self.clock)

    async def more(self) -> ArtifactStore:
        return self._one

    def files(self) -> list[Path]:
        return [path for path in self.directory.rglob("*") if path.is_file()]

    def count(self) -> int:
        return len(self.files())

    def change(self, data: bytes) -> None:
        self.files()[0].write_bytes(data)


class BucketShelf:
    """A bucket, of any number of nodes."""

    def __init__(self, server: S3, bucket: str) -> None:
        self.clock = FrozenClock()
        self._server = server
        self._bucket = bucket

    async def more(self) -> BucketArtifacts:
        return BucketArtifacts(terms(self._server.url, self._bucket), MOST, self.clock)

    def count(self) -> int:
        return len({key.rpartition("/")[0] for key in self._server.keys(self._bucket)})

    def change(self, data: bytes) -> None:
        self._server.replace(self._bucket, self._server.keys(self._bucket)[0], data)


class BlobShelf:
    """A database, of any number of nodes."""

    def __init__(self, url: str, stack: contextlib.AsyncExitStack) -> None:
        self.clock = FrozenClock()
        self.url = url
        self._stack = stack

    async def more(self) -> BlobArtifacts:
        store = PostgresStore(self.url, self.clock)
        await store.open()
        self._stack.push_async_callback(store.close)
        return store.artifacts(MOST)

    def rows(self, statement: str) -> list[Any]:
        return rows(self.url, statement)

    def count(self) -> int:
        return int(self.rows("SELECT count(*) FROM blobs")[0][0])

    def change(self, data: bytes) -> None:
        execute(self.url, f"UPDATE blob_parts SET data = '\\x{data.hex()}'")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with new_database() as url:
        yield url


@pytest.fixture
async def blobs(database: str) -> AsyncIterator[BlobShelf]:
    """Return an empty shelf in a database."""
    execute(database, "TRUNCATE blobs, blob_parts")
    async with contextlib.AsyncExitStack() as stack:
        yield BlobShelf(database, stack)


@pytest.fixture
def files(tmp_path: Path) -> FileShelf:
    """Return an empty shelf in a directory."""
    return FileShelf(tmp_path / "artifacts")


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3() as running:
        yield running


@pytest.fixture
def bucket(server: S3, request: pytest.FixtureRequest) -> BucketShelf:
    """Return an empty shelf in a bucket."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:32]
    server.make(name)
    return BucketShelf(server, name)


@pytest.fixture(params=["files", "blobs", "bucket"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    found: Shelf = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def artifacts(shelf: Shelf) -> ArtifactStore:
    return await shelf.more()


async def bytes_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def torn(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    raise ConnectionError("the client is gone")


@settings(max_examples=25, suppress_health_check=FUNCTION_SCOPED)
@given(st.binary(max_size=1000))
async def test_bytes_come_back_by_their_digest(artifacts: ArtifactStore, data: bytes):
    digest = await artifacts.put(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert await artifacts.get(digest) == data
    assert await artifacts.size(digest) == len(data)


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, MOST])
async def test_what_comes_in_pieces_goes_out_in_pieces(artifacts: ArtifactStore, size: int):
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    pieces = [data[start : start + 300_000] for start in range(0, size, 300_000)]
    digest = hashlib.sha256(data).hexdigest()
    assert await artifacts.receive(bytes_of(*pieces)) == (digest, size)
    assert await artifacts.put(data) == digest
    assert await artifacts.get(digest) == data
    for start, stop in ((0, size), (size // 3, size), (0, size // 2), (PART_BYTES - 5, PART_BYTES + 5), (7, 8)):
        stop = min(stop, size)
        got = [piece async for piece in artifacts.pieces(digest, start, stop)]
        assert b"".join(got) == data[start:stop]


async def test_the_same_bytes_are_stored_once(shelf: Shelf, artifacts: ArtifactStore):
    assert await artifacts.put(b"same") == await artifacts.put(b"same")
    digests = await asyncio.gather(*(artifacts.receive(bytes_of(b"sa", b"me")) for _ in range(5)))
    assert digests == [(await artifacts.put(b"same"), 4)] * 5
    assert shelf.count() == 1


async def test_what_is_too_large_is_refused_and_leaves_nothing(shelf: Shelf, artifacts: ArtifactStore):
    with pytest.raises(TooLarge):
        await artifacts.put(bytes(MOST + 1))
    with pytest.raises(TooLarge):
        await artifacts.receive(bytes_of(bytes(MOST), b"x"))
    assert shelf.count() == 0
    await artifacts.put(bytes(MOST))
    assert shelf.count() == 1


async def test_what_ends_early_leaves_nothing(shelf: Shelf, artifacts: ArtifactStore):
    with pytest.raises(ConnectionError):
        await artifacts.receive(torn(b"half", bytes(PART_BYTES)))
    assert shelf.count() == 0


@pytest.mark.parametrize("changed", [b"", b"othes", b"others!", b"other" * 100])
async def test_an_artifact_that_was_changed_where_it_lies_is_found_out(
    shelf: Shelf, artifacts: ArtifactStore, changed: bytes
):
    digest = await artifacts.put(b"others")
    shelf.change(changed)
    with pytest.raises(StoreError, match=digest) as caught:
        await artifacts.get(digest)
    assert type(caught.value) is StoreError
    assert await artifacts.size(digest) == len(changed)
    with pytest.raises(StoreError, match="cut"):
        assert [piece async for piece in artifacts.pieces(digest, 0, 1000)]


@pytest.mark.parametrize("digest", ["", "0" * 64, "0" * 63, "A" * 64, "../../etc/passwd", "0" * 62 + "/.", "zz" * 32])
async def test_what_was_never_stored_is_not_found(artifacts: ArtifactStore, digest: str):
    await artifacts.put(b"something else")
    with pytest.raises(NotFound):
        await artifacts.get(digest)
    with pytest.raises(NotFound):
        await artifacts.size(digest)
    with pytest.raises(NotFound):
        assert [piece async for piece in artifacts.pieces(digest, 0, 1)]


async def test_removed_artifacts_are_gone_and_others_stay(shelf: Shelf, artifacts: ArtifactStore):
    one, other = await artifacts.put(b"one"), await artifacts.put(b"other")
    shelf.clock.advance(DAY_S)
    await artifacts.remove([one, "0" * 64])
    await artifacts.remove([])
    with pytest.raises(NotFound):
        await artifacts.get(one)
    assert await artifacts.get(other) == b"other"
    assert await artifacts.put(b"one") == one
    assert await artifacts.get(one) == b"one"


async def test_what_was_put_again_outlives_who_named_it_first(artifacts: ArtifactStore):
    digest = await artifacts.put(b"put, named, put again")
    await artifacts.receive(bytes_of(b"put, named, ", b"put again"))
    await artifacts.remove([digest])
    assert await artifacts.get(digest) == b"put, named, put again"


async def test_only_what_is_old_is_collected(shelf: Shelf, artifacts: ArtifactStore):
    old, again = await artifacts.put(b"old"), await artifacts.put(b"old, and put again")
    shelf.clock.advance(DAY_S)
    before = shelf.clock.now()
    young = await artifacts.put(b"young")
    every = [digest for folder in range(artifacts.folders) for digest in await artifacts.aged(folder, before)]
    assert sorted(every) == sorted([old, again])
    assert await artifacts.aged(FOLDERS.index(old[:2]), before - DAY_S * 1_000_000) == []
    await artifacts.put(b"old, and put again")  # after the look, before the removal
    assert await artifacts.collect([old, again, young], before) == 1
    for digest, there in ((old, False), (again, True), (young, True)):
        with contextlib.nullcontext() if there else pytest.raises(NotFound):
            await artifacts.get(digest)


async def test_puts_and_removals_of_several_nodes_lose_nothing_that_was_put_after(shelf: Shelf):
    nodes = [await shelf.more() for _ in range(3)]
    data = [b"%d" % number for number in range(4)]
    for turn in range(10):
        shelf.clock.advance(DAY_S)
        before = shelf.clock.now()
        old = [hashlib.sha256(each).hexdigest() for each in data]
        puts = [node.put(each) for each in data for node in nodes[:2]]
        received = [nodes[2].receive(bytes_of(each)) for each in data]
        shelf.clock.advance(1)
        await asyncio.gather(*puts, *received, *(node.collect(old, before) for node in nodes for _ in range(3)))
        for each, digest in zip(data, old, strict=True):
            assert await nodes[turn % 3].get(digest) == each, turn
    assert shelf.count() == len(data)


async def test_a_write_that_breaks_leaves_no_half_file(files: FileShelf):
    artifacts = await files.more()
    digest = hashlib.sha256(b"broken").hexdigest()
    in_the_way = files.directory / digest[:2]
    in_the_way.parent.mkdir()
    in_the_way.write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable):
        await artifacts.put(b"broken")
    assert files.files() == [in_the_way]
    with pytest.raises((NotFound, StoreUnavailable)):
        await artifacts.get(digest)
    in_the_way.unlink()
    assert await artifacts.put(b"broken") == digest
    assert await artifacts.get(digest) == b"broken"


async def test_what_a_killed_writer_left_beside_is_never_read_as_the_file(files: FileShelf):
    artifacts = await files.more()
    digest = hashlib.sha256(b"whole").hexdigest()
    folder = files.directory / digest[:2]
    folder.mkdir(parents=True)
    (folder / f"{digest[2:]}.abc123").write_bytes(b"who")
    with pytest.raises(NotFound):
        await artifacts.get(digest)
    assert await artifacts.put(b"whole") == digest
    assert await artifacts.get(digest) == b"whole"


async def test_what_a_killed_node_left_half_written_is_no_blob_and_goes_after_its_time(blobs: BlobShelf):
    artifacts = await blobs.more()
    begun, never = asyncio.Event(), asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield bytes(PART_BYTES)
        begun.set()
        await never.wait()

    receiving = asyncio.create_task(artifacts.receive(stuck()))
    await begun.wait()
    assert blobs.rows("SELECT count(*) FROM blobs JOIN blob_parts USING (blob_id) WHERE digest IS NULL")[0][0] == 1
    with pytest.raises(NotFound):
        await artifacts.get(hashlib.sha256(bytes(PART_BYTES)).hexdigest())
    other = await blobs.more()
    await other.aged(FOLDERS.index(INCOMING), blobs.clock.now())
    assert blobs.count() == 1, "it is not old yet"
    blobs.clock.advance(1)
    await other.aged(FOLDERS.index(INCOMING), blobs.clock.now())
    assert (blobs.count(), blobs.rows("SELECT count(*) FROM blob_parts")[0][0]) == (0, 0)
    never.set()
    with pytest.raises(StoreUnavailable, match="send it again"):
        await receiving


async def test_a_caller_that_is_cancelled_leaves_no_blob(blobs: BlobShelf):
    artifacts = await blobs.more()
    begun = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield bytes(PART_BYTES)
        begun.set()
        await asyncio.Event().wait()

    receiving = asyncio.create_task(artifacts.receive(stuck()))
    await begun.wait()
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    assert (blobs.count(), blobs.rows("SELECT count(*) FROM blob_parts")[0][0]) == (0, 0)


async def test_a_blob_is_stored_though_its_connections_were_lost_meanwhile(blobs: BlobShelf):
    artifacts = await blobs.more()

    async def cut() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield bytes(PART_BYTES)
            blobs.rows(END)

    digest, size = await artifacts.receive(cut())
    assert (size, await artifacts.get(digest)) == (2 * PART_BYTES, bytes(2 * PART_BYTES))
