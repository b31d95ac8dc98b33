"""What the store does after its disk failed, one failure at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runwright import telemetry
from runwright.clock import FrozenClock
from runwright.errors import StoreError, StoreUnavailable
from runwright.store.sqlite.connection import FILE
from runwright.store.sqlite.recovery import CHECKPOINT_PAGES, LOG
from runwright.store.sqlite.store import SqliteStore
from tests.domain.specimens import History
from tests.faults.disk import HARMS, Disk, Fault, Harm, Operation, drive
from tests.store.rows_of import born, history, write

# A connection that is closed over a broken disk tells its failures to the interpreter's hook, having nobody else.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. None:pytest.PytestUnraisableExceptionWarning")

STRIKES = [(operation, harm) for operation, harms in HARMS.items() for harm in harms]


@pytest.fixture
def disk() -> Iterator[Disk]:
    with drive() as made:
        made.fates = ["lost"]  # of what may be lost, everything is
        yield made


@pytest.fixture
async def store(disk: Disk, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path, FrozenClock())
    await made.open()
    yield made
    disk.dead = False
    disk.heal()
    await made.close()


@pytest.fixture
def reports() -> Iterator[list[str]]:
    """Return the names of what is reported during the test."""
    heard: list[str] = []

    def hear(name: str, fields: Mapping[str, Any]) -> None:
        heard.append(name)

    detach = telemetry.attach(hear)
    yield heard
    detach()


async def reborn(store: SqliteStore, disk: Disk, *, power_lost: bool) -> SqliteStore:
    """Kill the process that has the store open, and open it in another one."""
    disk.dead = True
    await store.close()
    disk.restart(power_lost=power_lost)
    another = SqliteStore(store.directory, FrozenClock())
    await another.open()
    return another


async def kept(store: SqliteStore, *told: History) -> list[bool]:
    """Tell which of these runs are stored."""
    return [await store.record(each.standing.run_id) is not None for each in told]


async def refused(store: SqliteStore, told: History) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        await write(store, born(told))
    assert caught.value.code == "store.unavailable"
    return caught.value


# --- fsync ------------------------------------------------------------------------------------------------------------


async def test_after_a_failed_sync_nothing_is_written_before_the_disk_has_proved_itself(disk: Disk, store: SqliteStore):
    first, second, third, fourth = (history() for _ in range(4))
    await write(store, born(first))
    disk.arm(Fault("sync", "error", 1, lasting=True))
    assert "disk" in (await refused(store, second)).detail
    struck = disk.struck
    await refused(store, third)
    assert disk.struck > struck, "it asked the disk again, and the disk said no again"
    disk.heal()
    await write(store, born(fourth))
    assert await kept(store, first, second, third, fourth) == [True, False, False, True]


async def test_what_was_refused_for_a_failed_sync_does_not_come_back_with_a_restart(disk: Disk, store: SqliteStore):
    first, second, third = (history() for _ in range(3))
    await write(store, born(first))
    disk.arm(Fault("sync", "error", 1, file=LOG))
    await refused(store, second)
    await write(store, born(third))
    again = await reborn(store, disk, power_lost=False)
    assert await kept(again, first, second, third) == [True, False, True]
    await again.close()


async def test_commits_after_a_restart_do_not_stand_on_a_log_that_only_the_cache_has(disk: Disk, store: SqliteStore):
    first, second, third = (history() for _ in range(3))
    await write(store, born(first))
    disk.arm(Fault("sync", "error", 1, file=LOG))
    await refused(store, second)  # whole in the page cache, and nowhere else; the process ends before it writes again
    again = await reborn(store, disk, power_lost=False)
    await write(again, born(third))
    again = await reborn(again, disk, power_lost=True)
    assert (await kept(again, first, second, third))[::2] == [True, True]
    await again.close()


async def test_a_checkpoint_that_fails_is_told_and_refuses_the_writes_after_it(
    disk: Disk, store: SqliteStore, reports: list[str]
):
    disk.arm(Fault("sync", "error", 1, lasting=True, file=FILE))
    told: list[History] = []
    while "store.checkpoint_failed" not in reports:
        told.append(history(payload=bytes(100_000)))
        await write(store, born(told[-1]))  # durable in the log, whatever becomes of the checkpoint behind it
        assert len(told) < CHECKPOINT_PAGES
    late = history()
    await refused(store, late)
    disk.heal()
    await write(store, born(history()))
    assert "store.recovered" in reports
    again = await reborn(store, disk, power_lost=True)
    assert await kept(again, *told, late) == [True] * len(told) + [False]
    await again.close()


# --- full disks and reads ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [LOG, FILE])
async def test_a_full_disk_refuses_and_goes_on_when_there_is_space(disk: Disk, store: SqliteStore, file: str):
    first, second, third = history(), history(payload=bytes(50_000)), history()
    await write(store, born(first))
    disk.arm(Fault("write", "full", 1, lasting=True))
    assert "full" in (await refused(store, second)).detail
    assert "full" in (await refused(store, second)).detail
    assert await kept(store, first, second) == [True, False], "what is there can be read"
    disk.heal()
    await write(store, born(third))
    assert await kept(store, first, second, third) == [True, False, True]


@pytest.mark.parametrize("harm", HARMS["read"])
@pytest.mark.parametrize("at", [1, 2, 3, 5, 8])
async def test_a_read_that_fails_is_not_remembered(disk: Disk, tmp_path: Path, harm: Harm, at: int):
    told = [history(payload=bytes(20_000)) for _ in range(20)]
    store = SqliteStore(tmp_path, FrozenClock())
    await store.open()
    await write(store, born(*told))
    await store.close()
    store = SqliteStore(tmp_path, FrozenClock())
    await store.open()
    disk.arm(Fault("read", harm, at, lasting=True))
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            await read_all(store, told)
        assert caught.value.code in ("store.unavailable", "store.error")
    disk.heal()
    await read_all(store, told)
    await write(store, born(history()))
    await store.close()


async def read_all(store: SqliteStore, told: list[History]) -> None:
    """Read every page of these runs, and compare what it says."""
    for each in told:
        run_id = each.standing.run_id
        assert await store.payloads([run_id]) == {run_id: bytes(20_000)}


# --- opening ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operation", "harm"), STRIKES)
async def test_a_directory_that_could_not_be_opened_can_be_opened_when_the_disk_is_well(
    disk: Disk, tmp_path: Path, operation: Operation, harm: Harm
):
    for at in (1, 2, 3, 5, 8, 13, 21, 34, 55):
        store = SqliteStore(tmp_path / f"{at}", FrozenClock())
        disk.arm(Fault(operation, harm, at))
        try:
            await store.open()
        except StoreError:
            assert disk.struck
        disk.dead = disk.dead or operation == "sync"
        await store.close()
        disk.restart(power_lost=True)
        again = SqliteStore(tmp_path / f"{at}", FrozenClock())
        await again.open()
        told = history()
        await write(again, born(told))
        assert await kept(again, told) == [True]
        await again.close()


async def test_a_store_that_is_closed_while_its_disk_fails_frees_the_directory(disk: Disk, tmp_path: Path):
    store = SqliteStore(tmp_path, FrozenClock())
    await store.open()
    told = history()
    await write(store, born(told))
    disk.arm(Fault("sync", "error", 1, lasting=True))
    await store.close()
    disk.heal()
    again = SqliteStore(tmp_path, FrozenClock())
    await again.open()
    assert await kept(again, told) == [True]
    await again.close()
