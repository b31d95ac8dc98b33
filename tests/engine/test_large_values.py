"""Large values are kept and read apart from the event loop, and are the same bytes as small ones would be."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runwright.auth.sealing_key import PIECE_BYTES, SealingKey
from runwright.engine.large import LARGE_BYTES, bytes_of, text_of
from runwright.engine.values import Values
from runwright.store.base import StoredValue
from tests.engine.world import World

KEY, NONCE = bytes(range(32)), bytes(12)
SIZES = [0, 1, 2, 3, 3 << 18, (3 << 18) + 1, (3 << 19) + 2]


def some(size: int) -> bytes:
    """Return bytes that look like an archive: the same each time."""
    return random.Random(size).randbytes(size)


async def turns_of(work: Callable[[], Awaitable[Any]]) -> tuple[Any, int]:
    """Return what comes of some work, and how many turns somebody else had meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    try:
        return await work(), turns
    finally:
        counting.cancel()


def in_rows(world: World) -> Values:
    """Return values that lie in rows, however large: no file is written for them, which a thread does anyhow."""
    most = 1 << 30
    return Values(world.engine.vault, world.keyring, world.artifacts, most, most, most)


async def kept(values: Values, world: World, data: bytes) -> tuple[StoredValue, int]:
    """Return a value as it lies in the row, and the turns that others had while it was made ready."""
    run = await world.run(await world.submit(world.job()))
    project_id = run.spec.project_id
    (value, ref), turns = await turns_of(lambda: values.pack(project_id, run.run_id, "snapshot", "last", data))
    assert ref.bytes == len(text_of(data))
    return StoredValue(run.run_id, value.kind, value.key, value.sealed, value.artifact, None, 0), turns


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("size", [3 * LARGE_BYTES, 10_000])
async def test_others_have_their_turns_while_a_large_value_is_kept_and_read(open_world, size: int):
    world = await open_world()
    values, data = in_rows(world), some(size)
    stored, turns = await kept(values, world, data)
    project_id = (await world.run(stored.run_id)).spec.project_id
    found, back = await turns_of(lambda: values.unpack_bytes(project_id, stored))
    assert found == data
    large = size > LARGE_BYTES
    assert (turns >= 10, back >= 10) == (large, large), (turns, back)
    assert await values.unpack(project_id, stored) == msgspec.json.decode(msgspec.json.encode(data))


@pytest.mark.parametrize("size", SIZES)
def test_the_text_of_bytes_is_their_json(size: int):
    data = some(size)
    assert text_of(data) == msgspec.json.encode(data)
    assert bytes_of(text_of(data)) == data


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 17])
def test_what_is_sealed_in_pieces_is_what_is_sealed_whole(size: int):
    key, whole, data = SealingKey(KEY), AESGCM(KEY), some(size)
    sealed = key.encrypt(b"head", NONCE, data, b"bound")
    assert sealed == b"head" + NONCE + whole.encrypt(NONCE, data, b"bound")
    within = memoryview(sealed)[4 + len(NONCE) :]
    assert key.decrypt(NONCE, within, b"bound") == data
    with pytest.raises(InvalidTag):
        key.decrypt(NONCE, within, b"other")
    for place in {0, len(within) // 2, len(within) - 1}:
        spoilt = bytearray(within)
        spoilt[place] ^= 1
        with pytest.raises(InvalidTag):
            key.decrypt(NONCE, memoryview(bytes(spoilt)), b"bound")
