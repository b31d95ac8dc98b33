"""Worlds for the tests of the engine: each real store in turn, real encryption, a clock that stands still."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from runwright.client.handlers import Handler
from runwright.clock import FrozenClock
from tests.engine.databases import DATABASES, Database
from tests.engine.kept import Kept
from tests.engine.world import World

NewDatabase = Callable[[], AbstractContextManager[Database]]
Opener = Callable[..., Awaitable[World]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on each database."""
    if "database_kind" in metafunc.fixturenames and not _chosen(metafunc):
        metafunc.parametrize("database_kind", tuple(DATABASES), indirect=True)


def _chosen(metafunc: pytest.Metafunc) -> bool:
    """Tell whether the test or its module names its databases itself."""
    named = (mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    return hasattr(metafunc.module, "database_kind") or "database_kind" in named


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """Name the database of this test."""
    return str(request.param)


@pytest.fixture
def new_database(database_kind: str, tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    """Return what makes an empty database, for tests that play many cases."""
    return lambda: DATABASES[database_kind](tmp_path_factory.mktemp("database"))


@pytest.fixture
def database(database_kind: str, tmp_path: Path) -> Iterator[Database]:
    """Yield an empty database."""
    with DATABASES[database_kind](tmp_path / "data") as made:
        yield made


@pytest.fixture(scope="session")
async def kept() -> AsyncIterator[Kept]:
    """Keep connections, and with them the event loop that they belong to, from test to test."""
    kept = Kept()
    yield kept
    kept.close()


@pytest.fixture
async def open_world(database: Database, tmp_path: Path, kept: Kept) -> AsyncIterator[Opener]:
    """Return what opens a world over the test's database; each is left in the end, if the test did not close it.

    A drain would wait for handlers that a failed test left in the middle of their work, by a clock that stands still.
    """
    worlds: list[World] = []
    clock = FrozenClock()
    database.keep(kept)

    async def opened(*handlers: Handler[..., Any], **settings: Any) -> World:
        world = World(tmp_path / "data", clock, handlers, database, **settings)
        worlds.append(world)
        return await world.open()

    yield opened
    for world in worlds:
        if world.opened:
            await world.leave()


@pytest.fixture
async def world(open_world: Opener) -> World:
    """Return a world without a worker of its own."""
    return await open_world()
