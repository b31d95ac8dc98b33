"""Artifacts in a bucket: what every store of artifacts does is asked in `test_artifacts`; here, what a bucket adds."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest

from runwright.clock import FrozenClock
from runwright.domain.instants import DAY_US
from runwright.errors import NotFound, StoreError, StoreUnavailable
from runwright.store.artifacts import FOLDERS
from runwright.store.bucket import PIECE_BYTES, WHOLE_BYTES, BucketArtifacts
from tests.store.buckets import S3, SECRET, Relay, changed, cut, s3, silent, status, terms

MOST = 64 << 20
PERIOD_S = DAY_US // 4 // 1_000_000
NAMES = (f"bucket-{number}" for number in count())


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3() as running:
        yield running


@pytest.fixture
def bucket(server: S3) -> str:
    name = next(NAMES)
    server.make(name)
    return name


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def opened(server: S3, bucket: str, clock: FrozenClock) -> Any:
    """Return what opens the bucket, as one node does."""
    return lambda **changes: BucketArtifacts(terms(server.url, bucket, **changes), MOST, clock)


@pytest.fixture
async def relay(server: S3) -> AsyncIterator[Relay]:
    async with Relay(server.port).running() as running:
        yield running


async def bytes_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def whole(artifacts: BucketArtifacts, digest: str, size: int) -> bytes:
    return b"".join([piece async for piece in artifacts.pieces(digest, 0, size)])


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_a_key_is_the_digest_and_the_period_and_the_same_bytes_are_written_once_in_each(
    server: S3, bucket: str, clock: FrozenClock, opened: Any
):
    one, other = opened(), opened()
    digest = await one.put(b"bytes")
    assert await other.put(b"bytes") == await one.put(b"bytes") == digest
    (first,) = server.keys(bucket)
    assert first.startswith(f"{digest[:2]}/{digest[2:]}/")
    clock.advance(PERIOD_S)
    await other.put(b"bytes")
    assert len(server.keys(bucket)) == 2
    assert await one.get(digest) == b"bytes"


async def test_what_one_node_removes_another_has_put_again_stays(
    server: S3, bucket: str, clock: FrozenClock, opened: Any
):
    one, other = opened(), opened()
    digest = await one.put(b"put, named, put again")
    clock.advance(3 * PERIOD_S)
    await other.put(b"put, named, put again")
    await one.remove([digest])
    assert len(server.keys(bucket)) == 1
    assert await one.get(digest) == await other.get(digest) == b"put, named, put again"
    with pytest.raises(NotFound):
        await one.get("0" * 64)


async def test_what_was_put_lately_is_left_for_the_collector(server: S3, bucket: str, clock: FrozenClock, opened: Any):
    artifacts = opened()
    digest = await artifacts.put(b"young")
    clock.advance(PERIOD_S - 1)
    await artifacts.remove([digest])
    assert await artifacts.get(digest) == b"young", "somebody may have relied on it a moment ago"
    clock.advance(PERIOD_S + 2)
    await artifacts.remove([digest])
    assert server.keys(bucket) == []


async def test_a_collector_that_comes_late_meets_nothing_that_was_put_since(
    server: S3, bucket: str, clock: FrozenClock, opened: Any
):
    slow, quick, other = opened(), opened(), opened()
    digest = await quick.put(b"orphan")
    clock.advance(5 * PERIOD_S)
    before = clock.now() - DAY_US
    assert await slow.aged(FOLDERS.index(digest[:2]), before) == [digest]
    late = [key for key, _ in await slow._keys(digest)]
    assert await quick.collect([digest], before) == 1
    await other.put(b"orphan")  # somebody wants it again
    await slow._drop(late)  # decided before
    assert await other.get(digest) == await slow.get(digest) == b"orphan"


async def test_of_bytes_that_were_put_again_and_again_the_newest_stay(
    server: S3, bucket: str, clock: FrozenClock, opened: Any
):
    artifacts = opened()
    for _ in range(7):
        digest = await artifacts.put(b"often")
        clock.advance(PERIOD_S)
    assert len(server.keys(bucket)) == 7
    assert await artifacts.aged(FOLDERS.index(digest[:2]), clock.now() - DAY_US) == []
    assert 1 < len(server.keys(bucket)) < 7
    assert await artifacts.get(digest) == b"often"


async def test_what_another_node_removed_is_looked_for_again(server: S3, bucket: str, clock: FrozenClock, opened: Any):
    one, other = opened(), opened()
    digest = await one.put(b"bytes")
    clock.advance(5 * PERIOD_S)
    assert await other.collect([digest], clock.now() - DAY_US) == 1
    with pytest.raises(NotFound):
        await one.get(digest)
    await other.put(b"bytes")
    assert await one.get(digest) == b"bytes"


async def test_two_prefixes_of_a_bucket_are_two_stores(server: S3, bucket: str, opened: Any):
    one, other = opened(prefix="one"), opened(prefix="deep/other")
    digest = await one.put(b"bytes")
    assert [key.split("/")[0] for key in server.keys(bucket)] == ["one"]
    with pytest.raises(NotFound):
        await other.get(digest)
    await other.put(b"bytes")
    assert sorted(key.split(digest[:2])[0] for key in server.keys(bucket)) == ["deep/other/", "one/"]
    assert await other.aged(FOLDERS.index(digest[:2]), 1 << 60) == [digest]


# --- large ones, and what the server is asked for ---------------------------------------------------------------------


async def test_what_is_large_goes_in_parts_and_comes_in_pieces(
    server: S3, bucket: str, clock: FrozenClock, opened: Any
):
    artifacts = opened()
    data = hashlib.shake_256(b"seed").digest(1 << 20) * 20
    assert len(data) > WHOLE_BYTES
    pieces = [data[at : at + 700_000] for at in range(0, len(data), 700_000)]
    digest, size = await artifacts.receive(bytes_of(*pieces))
    assert size == len(data)
    (key,) = server.keys(bucket)
    assert server.head(bucket, key)["ETag"].endswith('-3"'), "three parts"
    assert await whole(artifacts, digest, size) == data
    middle = [piece async for piece in artifacts.pieces(digest, PIECE_BYTES - 1, PIECE_BYTES + 2)]
    assert b"".join(middle) == data[PIECE_BYTES - 1 : PIECE_BYTES + 2]
    clock.advance(1)
    assert await artifacts.receive(bytes_of(*pieces)) == (digest, size)
    assert len(server.keys(bucket)) == 1


async def test_encryption_is_asked_for(server: S3, bucket: str, opened: Any):
    await opened(encryption="AES256").put(b"secret")
    (key,) = server.keys(bucket)
    assert server.head(bucket, key)["ServerSideEncryption"] == "AES256"


async def test_whoever_reads_all_of_changed_bytes_gets_no_end_of_them(server: S3, bucket: str, opened: Any):
    artifacts = opened()
    data = bytes(PIECE_BYTES + 10)
    digest = await artifacts.put(data)
    (key,) = server.keys(bucket)
    server.replace(bucket, key, data[:-1] + b"x")
    pieces = artifacts.pieces(digest, 0, len(data))
    assert await anext(pieces) == data[:PIECE_BYTES]
    with pytest.raises(StoreError, match="changed"):
        await anext(pieces)
    with pytest.raises(StoreError, match="changed"):
        await artifacts.get(digest)


# --- what goes wrong --------------------------------------------------------------------------------------------------


async def test_a_probe_tells_that_all_is_well_and_leaves_nothing(server: S3, bucket: str, opened: Any):
    await opened(prefix="here").probe()
    assert server.keys(bucket) == []


async def test_a_bucket_that_is_not_there_is_named(server: S3, clock: FrozenClock):
    artifacts = BucketArtifacts(terms(server.url, "nobodys-bucket"), MOST, clock)
    for ask in (lambda: artifacts.put(b"bytes"), lambda: artifacts.get("0" * 64), artifacts.probe):
        with pytest.raises(StoreUnavailable, match=r"nobodys-bucket at http://.* is not there: create it"):
            await ask()


async def test_a_refusal_says_what_to_look_at_and_no_secret(bucket: str, clock: FrozenClock, relay: Relay):
    artifacts = BucketArtifacts(terms(relay.url, bucket), MOST, clock)
    relay.play("", status(403, b"<Error><Code>AccessDenied</Code></Error>"))
    with pytest.raises(StoreUnavailable, match="s3:PutObject") as refused:
        await artifacts.put(b"bytes")
    assert "RUNWRIGHT_S3_ACCESS_KEY_ID" in refused.value.detail
    assert SECRET not in refused.value.detail + repr(refused.value.__cause__) + repr(refused.value.__context__)


async def test_nobody_listens(bucket: str, clock: FrozenClock):
    artifacts = BucketArtifacts(terms("http://127.0.0.1:1", bucket, retries=1, retry_s=1), MOST, clock)
    with pytest.raises(StoreUnavailable, match="does not answer as it should"):
        await artifacts.put(b"bytes")


async def test_a_server_that_is_busy_for_a_moment_is_asked_again(
    server: S3, bucket: str, clock: FrozenClock, relay: Relay
):
    artifacts = BucketArtifacts(terms(relay.url, bucket), MOST, clock)
    relay.play("PUT", status(503), times=2)
    digest = await artifacts.put(b"bytes")
    relay.play("GET", status(500), times=2)
    assert await artifacts.get(digest) == b"bytes"


async def test_a_server_that_stays_busy_is_given_up(bucket: str, clock: FrozenClock, relay: Relay):
    artifacts = BucketArtifacts(terms(relay.url, bucket), MOST, clock)
    relay.play("PUT", status(503))
    with pytest.raises(StoreUnavailable, match="does not answer as it should"):
        await artifacts.put(b"bytes")
    assert len(relay.seen) == 3, "once, and two times again"


async def test_a_server_that_says_nothing_is_not_waited_for(bucket: str, clock: FrozenClock, relay: Relay):
    artifacts = BucketArtifacts(terms(relay.url, bucket, request_s=0.3, retries=1, retry_s=1), MOST, clock)
    relay.play("PUT", silent)
    with pytest.raises(StoreUnavailable, match="does not answer as it should"):
        await artifacts.put(b"bytes")


@pytest.mark.parametrize("how", [cut, changed])
async def test_no_wrong_bytes_come_through(bucket: str, clock: FrozenClock, relay: Relay, how: Any):
    artifacts = BucketArtifacts(terms(relay.url, bucket, request_s=2, retries=1, retry_s=1), MOST, clock)
    data = b"the bytes that were stored " * 100
    digest = await artifacts.put(data)
    relay.play("GET", how)
    with pytest.raises(StoreError):
        await artifacts.get(digest)
    with pytest.raises(StoreError):
        await whole(artifacts, digest, len(data))
    relay.play("-", how)
    assert await artifacts.get(digest) == data


async def test_a_put_whose_answer_was_lost_is_made_again_and_is_one(
    server: S3, bucket: str, clock: FrozenClock, relay: Relay
):
    artifacts = BucketArtifacts(terms(relay.url, bucket), MOST, clock)
    relay.play("PUT", status(500), times=1)  # the server took it, and nobody heard
    digest = await artifacts.put(b"bytes")
    assert len(server.keys(bucket)) == 1
    assert await artifacts.get(digest) == b"bytes"


async def test_a_server_that_knows_no_conditions_takes_the_bytes_again(
    server: S3, bucket: str, clock: FrozenClock, relay: Relay
):
    artifacts = BucketArtifacts(terms(relay.url, bucket), MOST, clock)

    def refuses(request: bytes, answer: bytes) -> bytes | None:
        refusal = status(501, b"<Error><Code>NotImplemented</Code></Error>")(request, answer)
        return refusal if b"if-none-match" in request.lower() else answer

    relay.play("PUT", refuses)
    digest = await artifacts.put(b"bytes")
    assert await artifacts.get(digest) == b"bytes"
