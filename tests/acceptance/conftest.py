"""What the acceptance tests share: one server a process of the test run, its clients, a gate, and short sentences."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.contract import ContractClient
from tests.acceptance.gate import Gate, opened_gate
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import Speech


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    """Serve for all tests that do not stop the server."""
    live = LiveServer(tmp_path_factory.mktemp("shared"), stream_keepalive_s=0.2, key_cache_s=300)
    await live.start()
    yield live
    await live.close()


@pytest.fixture(scope="session")
async def admin(server: LiveServer) -> ContractClient:
    """Return the client of the administrator."""
    return server.client()


@pytest.fixture
async def api(admin: ContractClient) -> Speech:
    """Return the administrator's way to say things shortly."""
    return Speech(admin)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """Build a gate for this test's handlers."""
    async with opened_gate() as built:
        yield built


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    """Start a server that this test may stop and kill."""
    live = LiveServer(tmp_path)
    await live.start()
    yield live
    await live.close()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Return the file that handlers of this test note things in."""
    return tmp_path / "notes"
