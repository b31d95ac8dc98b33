"""Files that nothing names go after their time; one that is named, or was put a moment ago, never does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runwright.domain import outcome as o
from runwright.domain.commands import Append, Value
from runwright.store.artifacts import FOLDERS, INCOMING
from runwright.store.sqlite.backup import backup
from runwright.store.sqlite.check import check
from tests.engine.world import ADMIN, PROJECT, World

DAY_S = 86_400
HOUR_S = 3600


def names(world: World) -> set[str]:
    paths = (world.directory / "artifacts").rglob("*")
    return {path.parent.name + path.name for path in paths if path.is_file()}


async def bytes_of(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def upload(world: World, data: bytes) -> str:
    uploaded, _ = await world.engine.operations.artifacts.upload(ADMIN, PROJECT, bytes_of(data))
    return uploaded.digest


async def sweep(world: World) -> None:
    """Look through every folder once."""
    for _ in range(-(-len(FOLDERS) // 4)):
        await world.engine.operations.artifacts.sweep()


async def ended(world: World, artifact: str | None = None) -> str:
    """Make a run that has ended, with an output in an artifact of its own or in this one."""
    run_id = await world.submit(world.job())
    run = (await world.take())[0]
    if artifact is None:
        packed, _ = await world.engine.values.pack("proj_1", run_id, "output", "k", {"n": "x" * 100})
    else:
        packed = Value("output", "k", None, artifact)
    await world.engine.commit.apply(Append(run_id, run.lease_epoch, (), (packed,)))
    await world.finish(run, o.Completed())
    return run_id


async def test_a_file_that_nothing_names_goes_after_its_age_and_no_named_one_ever(open_world):
    world = await open_world(value_inline_max_bytes=0, artifact_orphan_h=24)
    await ended(world)
    kept = names(world) | {await upload(world, b"uploaded")}
    orphan = await world.artifacts.put(b"of a transaction that failed")
    half = world.directory / "artifacts" / INCOMING / "half"
    half.write_bytes(b"of a process that was killed")
    world.clock.advance(24 * HOUR_S)
    await sweep(world)
    assert names(world) >= kept | {orphan}, "it is not older than its age"
    world.clock.advance(1)
    await sweep(world)
    assert names(world) == kept
    world.clock.advance(1000 * DAY_S)
    await sweep(world)
    assert names(world) == kept


async def test_the_pruner_looks_through_all_folders_in_turn(open_world):
    world = await open_world()
    await world.artifacts.put(b"orphan")
    world.clock.advance(2 * DAY_S)
    for _ in range(-(-len(FOLDERS) // 4)):
        await world.round_of(world.engine.pruner.loop)
    assert names(world) == set()


async def test_a_file_that_is_put_again_is_young_again(open_world):
    world = await open_world()
    digest = await world.artifacts.put(b"twice")
    world.clock.advance(2 * DAY_S)
    assert await world.artifacts.put(b"twice") == digest
    await sweep(world)
    assert names(world) == {digest}


async def test_a_file_that_is_put_again_while_it_is_looked_at_stays(open_world):
    world = await open_world()
    digest = await world.artifacts.put(b"looked at")
    world.clock.advance(2 * DAY_S)
    before = world.clock.now() - DAY_S * 1_000_000
    assert await world.artifacts.aged(FOLDERS.index(digest[:2]), before) == [digest]
    await upload(world, b"looked at")  # after the look, before the removal
    assert await world.artifacts.collect([digest], before) == 0
    assert await world.artifacts.get(digest) == b"looked at"


async def test_uploads_and_sweeps_at_once_lose_nothing(open_world):
    world = await open_world()
    for turn in range(8):
        data = [b"%d" % (number % 5) for number in range(10)]
        for each in set(data):
            await world.artifacts.put(each)
        world.clock.advance(2 * DAY_S)
        digests, *_ = await asyncio.gather(asyncio.gather(*(upload(world, each) for each in data)), sweep(world))
        assert set(digests) <= names(world), turn
        kept = {digest for (digest,) in world.rows("SELECT digest FROM artifacts")}
        assert kept <= names(world), turn


@pytest.mark.parametrize("how", ["erase", "prune"])
async def test_a_file_that_another_row_names_outlives_the_run(open_world, how):
    world = await open_world(value_inline_max_bytes=0, retention_days=1)
    shared = await upload(world, b"shared")
    run_id = await ended(world, shared)
    other = await ended(world)
    world.clock.advance(2 * DAY_S)
    if how == "prune":
        await world.round_of(world.engine.pruner.loop)
    else:
        for each in (run_id, other):
            await world.engine.operations.eraser.erase(world.engine.reader(ADMIN), ADMIN, each)
    assert names(world) == {shared}


async def test_a_file_that_is_about_to_be_named_outlives_the_run_that_named_it(open_world):
    world = await open_world()
    digest = await world.artifacts.put(b"put, named, put again")
    run_id = await ended(world, digest)
    assert await world.artifacts.put(b"put, named, put again") == digest  # and not named yet
    await world.engine.operations.eraser.erase(world.engine.reader(ADMIN), ADMIN, run_id)
    assert names(world) == {digest}
    world.clock.advance(2 * DAY_S)
    await sweep(world)
    assert names(world) == set(), "nobody named it after all"


@pytest.mark.parametrize("database_kind", ["sqlite"])  # backups are of files
async def test_a_backup_holds_uploads_and_a_check_misses_them(open_world, tmp_path: Path):
    world = await open_world()
    digest = await upload(world, b"kept")
    await world.artifacts.put(b"orphan")
    target = tmp_path / "backup"
    assert backup(world.directory, target, 0, lambda *_: None).artifacts == 1
    assert await check(target, lambda *_: None) == []
    await world.artifacts.remove([digest])
    assert [(found.where, found.what, found.how) for found in await check(world.directory, lambda *_: None)] == [
        ("artifact", digest, "is missing")
    ]
