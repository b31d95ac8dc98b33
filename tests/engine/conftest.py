"""Worlds for the tests of the engine: a real store, real encryption, a clock that stands still."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from runwright.client.handlers import Handler
from runwright.clock import FrozenClock
from tests.engine.world import World

Opener = Callable[..., Awaitable[World]]


@pytest.fixture
async def open_world(tmp_path: Path) -> AsyncIterator[Opener]:
    """Return what opens a world in the test's directory; each crashes in the end, if the test did not close it.

    A drain would wait for handlers that a failed test left in the middle of their work, by a clock that stands still.
    """
    worlds: list[World] = []
    clock = FrozenClock()

    async def opened(*handlers: Handler[..., Any], **settings: Any) -> World:
        world = World(tmp_path / "data", clock, handlers, **settings)
        worlds.append(world)
        return await world.open()

    yield opened
    for world in worlds:
        if world.store._writer is not None:
            await world.crash()


@pytest.fixture
async def world(open_world: Opener) -> World:
    """Return a world without a worker of its own."""
    return await open_world()
